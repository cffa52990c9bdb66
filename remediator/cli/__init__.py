"""The commands beside serving; one line each in COMMANDS, which `main` adds to its own.

Rule: a table only; importing it runs nothing.
"""

import click

from remediator.cli.console import console_password
from remediator.cli.orders import approvals, approve, deny, deploy_lock

COMMANDS: tuple[click.Command, ...] = (
    deploy_lock,
    approvals,
    approve,
    deny,
    console_password,
)

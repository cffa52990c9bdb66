"""The commands beside serving; one line each in COMMANDS, which `main` adds to its own.

Rule: a table only; importing it runs nothing.
"""

import click

from remediator.cli.acting import ack, explain, pause, resume, run
from remediator.cli.console import console_password
from remediator.cli.looking import entries, incidents, postmortem, show, status
from remediator.cli.orders import (
    approvals,
    approve,
    deny,
    deploy_lock,
    maintenance,
    reset_breaker,
)

COMMANDS: tuple[click.Command, ...] = (
    status,
    incidents,
    show,
    ack,
    approvals,
    approve,
    deny,
    entries,
    explain,
    run,
    pause,
    resume,
    maintenance,
    reset_breaker,
    deploy_lock,
    postmortem,
    console_password,
)

"""The commands beside serving; one line each in COMMANDS, which `main` adds to its own.

Rule: a table only; importing it runs nothing.
"""

import click

from remediator.cli.check import check
from remediator.cli.init import init
from remediator.cli.orders import approvals, approve, deny, deploy_lock
from remediator.cli.reports import morning_check, weekly_review
from remediator.cli.simulate import simulate

COMMANDS: tuple[click.Command, ...] = (
    deploy_lock,
    approvals,
    approve,
    deny,
    init,
    check,
    simulate,
    morning_check,
    weekly_review,
)

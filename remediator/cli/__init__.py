"""The commands beside serving, each with the module that has it.

Rule: a table, and no more; a command's module is imported when the command is asked for.
"""

from collections.abc import Mapping
from importlib import import_module

import click
from typing_extensions import override

COMMANDS: Mapping[str, str] = {
    "status": "looking",
    "incidents": "looking",
    "show": "looking",
    "ack": "acting",
    "approvals": "orders",
    "approve": "orders",
    "deny": "orders",
    "entries": "looking",
    "explain": "acting",
    "run": "acting",
    "pause": "acting",
    "resume": "acting",
    "maintenance": "orders",
    "reset-breaker": "orders",
    "deploy-lock": "orders",
    "postmortem": "looking",
    "oncall": "oncall",
    "init": "init",
    "check": "check",
    "journal": "journal",
    "simulate": "simulate",
    "morning-check": "reports",
    "weekly-review": "reports",
    "console-password": "console",
}


class Commands(click.Group):
    """In the order of the table, which is that of a night on call."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"remediator.cli.{COMMANDS[cmd_name]}")
        command = getattr(module, cmd_name.replace("-", "_"))
        if not isinstance(command, click.Command):
            raise TypeError(f"{command} is no command")
        return command

"""The command that makes a line of the console's accounts file.

Rule: the password comes from the terminal or from standard input, never from an argument,
where everybody on the machine would see it.
"""

import re
import sys

import click

from remediator.web.console.accounts import NAME, Role, hashed

SHORTEST = 12


@click.command("console-password")
@click.argument("name")
@click.option("--role", type=click.Choice([role.value for role in Role]), default=Role.VIEWER.value)
def console_password(name: str, role: str) -> None:
    """Print the line of NAME for the file that console.accounts_file names."""
    if not re.fullmatch(NAME, name):
        raise click.ClickException("a name is of letters, digits and . _ @ -, at most 64 of them")
    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\n")
    if len(password) < SHORTEST:
        raise click.ClickException(f"a password has at least {SHORTEST} characters")
    click.echo(f'"{name}": {{role: {role}, password: "{hashed(password)}"}}')

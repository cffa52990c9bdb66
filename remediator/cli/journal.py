"""`journal copy`: the journal from a file to a server, or back.

Rule: only this command works on a journal beside the remediator, and only while none runs. Exit
status: 0 copied, 1 refused, 2 something cannot be used.
"""

from pathlib import Path

import click

from remediator.cli.tables import table
from remediator.config_journal import is_url, without_a_password
from remediator.journal import JournalLocked, JournalUnavailable
from remediator.journal.copying import CopyRefused, File, Place, copy

REFUSED, UNUSABLE = 1, 2

_PLACE = "FILE|URL"


@click.group("journal")
def journal() -> None:
    """The journal itself, while no remediator runs."""


@journal.command("copy")
@click.option(
    "--from", "source", metavar=_PLACE, required=True, help="A state file, or a journal.url."
)
@click.option("--to", "target", metavar=_PLACE, required=True, help="The same; it must be empty.")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Of the server's user; else libpq looks for it.",
)
@click.option("--dry-run", is_flag=True, help="Do all of it, and commit nothing.")
def copy_(source: str, target: str, password_file: Path | None, *, dry_run: bool) -> None:
    """Take a whole journal to another place, or nothing of it.

    All remediators must be stopped; then start the new ones, and none on the old journal again.
    """
    try:
        counts = copy(_place(source, password_file), _place(target, password_file), dry_run=dry_run)
    except (CopyRefused, JournalLocked) as error:
        click.echo(error, err=True)
        raise SystemExit(REFUSED) from None
    except JournalUnavailable as error:
        click.echo(error, err=True)
        raise SystemExit(UNUSABLE) from None
    for line in table(("table", "rows"), counts.items()):
        click.echo(line)
    click.echo("it would be copied; nothing was written" if dry_run else "copied")


def _place(text: str, password_file: Path | None) -> Place:
    if not is_url(text):
        return File(Path(text))
    try:
        url = without_a_password(text)
    except ValueError as error:
        raise click.UsageError(f"the URL {error}") from None
    from remediator.journal.copying_server import Server  # noqa: PLC0415 - as in opening.py
    from remediator.journal.session import Address  # noqa: PLC0415

    return Server(Address(url, "copy", password_file))

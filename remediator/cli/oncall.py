"""Who is on call, by oncall.yml: shown, checked, and compiled for Alertmanager.

Rule: these commands read and write files and ask nobody. Exit status: 0 good, 1 something is
to be done, 2 a file cannot be used.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from remediator.checkup.documents import Unreadable, parse
from remediator.checkup.duty import LASTS, gaps, local, uncompiled, unheard
from remediator.config_mistakes import ConfigError
from remediator.config_oncall import Oncall, load_oncall
from remediator.oncall import Rota, Turn
from remediator.oncall_intervals import BEGIN, END, compiled, replaced

TO_DO, UNUSABLE = 1, 2
SHOWN_TURNS = 6

_FILE = click.option(
    "--file", "file", type=click.Path(path_type=Path), default="alert_rules/oncall.yml",
    show_default=True,
)  # fmt: skip
_ALERTMANAGER = click.option(
    "--alertmanager", type=click.Path(path_type=Path), default="alert_rules/alertmanager.yml",
    show_default=True,
)  # fmt: skip
_AT = click.option("--at", help="Another moment than now, local: 2026-12-24 18:00.")


@click.group("oncall")
def oncall() -> None:
    """Who is on call, by oncall.yml."""


@oncall.command("show")
@_FILE
@_AT
def show(file: Path, at: str | None) -> None:
    """Tell who is on call, and the next hand-overs; the exit status is 1 when nobody is."""
    rota = _loaded(file).rota
    now = _moment(at, rota)
    turn = rota.turn(now)
    click.echo(f"now   {_words(turn, rota)}" if turn else "now   nobody")
    for later in rota.after(now)[:SHOWN_TURNS]:
        click.echo(f"then  {_words(later, rota)}")
    click.echo(f"the rota ends {local(rota.ends, rota)}, in {(rota.ends - now).days} days")
    click.echo(f"business hours: {'yes' if rota.in_business_hours(now) else 'no'}")
    if turn is None:
        raise SystemExit(TO_DO)


@oncall.command("check")
@_FILE
@_ALERTMANAGER
@_AT
@click.option(
    "--days", type=click.IntRange(min=0), default=LASTS.days, show_default=True,
    help="The rota must last for so long.",
)  # fmt: skip
def check(file: Path, alertmanager: Path, at: str | None, days: int) -> None:
    """Look for gaps: the exit status is 1 when there is something to do."""
    own = _loaded(file)
    now = _moment(at, own.rota)
    found = list(gaps(own.rota, now, timedelta(days=days)))
    found += [f"{alertmanager}: {sentence}" for sentence in _unfit(own, alertmanager)]
    for problem in found:
        click.echo(problem, err=True)
    if found:
        raise SystemExit(TO_DO)
    click.echo(f"{file}: good; somebody is on call until {local(own.rota.ends, own.rota)}")


@oncall.command("compile")
@_FILE
@_ALERTMANAGER
@click.option("--check", "only_check", is_flag=True, help="Write nothing; 1 when it would.")
def compile_(file: Path, alertmanager: Path, *, only_check: bool) -> None:
    """Write the time intervals into alertmanager.yml, between their marks."""
    own = _loaded(file)
    text, new = _compiled_into(own, alertmanager)
    if new == text:
        click.echo(f"{alertmanager}: up to date")
    elif only_check:
        click.echo(f"{alertmanager} is not what {file} says; run oncall compile", err=True)
        raise SystemExit(TO_DO)
    else:
        alertmanager.write_text(new, encoding="utf-8")
        click.echo(f"{alertmanager}: written; let Alertmanager reload it")


# -- files and times --------------------------------------------------------------------------


def _loaded(file: Path) -> Oncall:
    try:
        return load_oncall(file)
    except ConfigError as error:
        click.echo(error, err=True)
        raise SystemExit(UNUSABLE) from None


def _unfit(own: Oncall, alertmanager: Path) -> Iterator[str]:
    text, _ = _compiled_into(own, alertmanager)
    try:
        document = parse(text, str(alertmanager))
    except Unreadable as error:
        click.echo(error, err=True)
        raise SystemExit(UNUSABLE) from None
    yield from uncompiled(own, text)
    yield from unheard(own.rota, document.get("route"))


def _compiled_into(own: Oncall, alertmanager: Path) -> tuple[str, str]:
    """The text of the file, and what it should be."""
    try:
        text = alertmanager.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        click.echo(f"{alertmanager}: cannot be read: {error}", err=True)
        raise SystemExit(UNUSABLE) from None
    new = replaced(text, compiled(own.rota, own.zone_name))
    if new is None:
        click.echo(f"{alertmanager}: must hold these two lines, once:\n{BEGIN}\n{END}", err=True)
        raise SystemExit(UNUSABLE)
    return text, new


def _moment(at: str | None, rota: Rota) -> datetime:
    if at is None:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        raise click.BadParameter(f"{at!r} is not a time", param_hint="--at") from None
    return moment.replace(tzinfo=moment.tzinfo or rota.zone).astimezone(UTC)


def _words(turn: Turn, rota: Rota) -> str:
    why = f"  ({turn.why})" if turn.why else ""
    start, end = local(turn.start, rota), local(turn.end, rota)
    return f"{start} to {end}  {turn.team}, {rota.teams[turn.team]}{why}"

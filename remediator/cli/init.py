"""`init`: a first exporter.yml and remediator.yml, from the compose projects that run.

Rule: the engine is only read; no file is written over without --force. Exit status: 0 written,
1 files stand in the way, 2 the engine cannot be asked or nothing was found.
"""

import secrets
from collections.abc import Sequence
from pathlib import Path

import click

from remediator.discovery.engine import EngineUnreachable, containers
from remediator.discovery.guess import Container, Found, groups, services
from remediator.discovery.writing import Places, exporter_yml, remediator_yml
from remediator.shown import plain, table

IN_THE_WAY, CANNOT = 1, 2
WATCHERS = frozenset({"prometheus", "alertmanager", "remediator", "exporter"})


@click.command()
@click.option("--engine", metavar="URL", help="unix:///path or tcp://host:port.")
@click.option("--project", "projects", multiple=True, help="A compose project; may be repeated.")
@click.option("--live-url", metavar="URL", help="Answers with the colour that is live.")
@click.option(
    "--folder", type=click.Path(path_type=Path, file_okay=False), default=Path(),
    show_default=True, help="Where the files are written.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Write over what is there.")
@click.option("--yes", is_flag=True, help="Ask nothing.")
def init(
    *,
    engine: str | None,
    projects: Sequence[str],
    live_url: str | None,
    folder: Path,
    force: bool,
    yes: bool,
) -> None:
    """Write a first configuration from the compose projects that run, in observe mode."""
    files = [folder / name for name in ("exporter.yml", "remediator.yml")]
    _keep(files, force=force)
    default = "unix:///var/run/docker.sock"
    engine = engine or (default if yes else click.prompt("The engine", default=default))
    found = services(_chosen(_asked(engine), projects, yes=yes))
    if not found:
        _leave("no container of a compose project was found there", CANNOT)
    if live_url is None and groups(found) and not yes:
        asked = "URL that answers with the live colour (empty: none)"
        live_url = click.prompt(asked, default="", show_default=False) or None
    places = Places(live_url=live_url)
    click.echo(table(("key", "container", "kind", "probe"), [_row(one) for one in found]))
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in zip(
        files, (exporter_yml(found, places), remediator_yml(found, places)), strict=True
    ):
        file.write_text(text, encoding="utf-8")
        click.echo(f"written: {file}")
    _make_token(folder / "secrets")
    _tell_next(folder, found)


def _keep(files: Sequence[Path], *, force: bool) -> None:
    there = [str(file) for file in files if file.exists()]
    if there and not force:
        _leave(f"{' and '.join(there)} exist; --force writes over them", IN_THE_WAY)


def _leave(sentence: str, status: int) -> None:
    click.echo(plain(sentence), err=True)
    raise SystemExit(status)


def _asked(engine: str) -> tuple[Container, ...]:
    try:
        return containers(engine)
    except EngineUnreachable as error:
        click.echo(plain(error), err=True)
        raise SystemExit(CANNOT) from None


def _chosen(found: Sequence[Container], projects: Sequence[str], *, yes: bool) -> list[Container]:
    """Those of the named projects; else of all that are not the monitoring itself."""
    if not projects:
        ours = {one.project for one in found if one.service in WATCHERS}
        names = sorted({one.project for one in found} - ours)
        if names and not yes:
            said = click.prompt("The projects to look after", default=" ".join(names))
            names = said.split()
        projects = names
    return [one for one in found if one.project in projects]


def _row(one: Found) -> tuple[str, str, str, str]:
    return one.key, one.container.name, one.kind, one.url or "none"


def _make_token(folder: Path) -> None:
    """As compose mounts it: readable for the containers' users, the folder for its owner."""
    file = folder / "remediator_token"
    if file.exists():
        return
    folder.mkdir(mode=0o700, exist_ok=True)
    file.write_text(f"{secrets.token_urlsafe(32)}\n", encoding="utf-8")
    file.chmod(0o444)
    click.echo(f"written: {file}")


def _tell_next(folder: Path, found: Sequence[Found]) -> None:
    names = " ".join(one.container.name for one in found)
    click.echo(
        "Next: read both files; put the passwords into "
        f"{folder / 'secrets'}; allow these containers in engine-rw.conf: {names}; then\n"
        f"  stackmedic-remediator --config.file {folder / 'remediator.yml'} check "
        f"--secrets {folder / 'secrets'}"
    )

"""`check`: every file of the stack's monitoring against every other, all findings at once.

Rule: reads only. Exit status: 0 good, 1 findings, 2 something cannot be looked at.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from remediator.checkup.documents import Unreadable
from remediator.checkup.everything import findings
from remediator.checkup.sources import gather
from remediator.shown import plain

FOUND, CANNOT = 1, 2


@click.command()
@click.option("--exporter", metavar="FILE", help="exporter.yml")
@click.option("--rules", metavar="PATH", help="Folder of Prometheus' rules, or one file.")
@click.option("--prometheus", metavar="FILE", help="prometheus.yml")
@click.option("--alertmanager", metavar="FILE", help="alertmanager.yml")
@click.option("--dashboards", metavar="PATH", help="Folder of Grafana's dashboards, or one file.")
@click.option("--pages", metavar="FOLDER", help="Folder of the runbook pages, <Alert>.md.")
@click.option("--metrics", metavar="PATH|URL", help="docs/metrics.md, or a /metrics page.")
@click.option("--oncall", metavar="FILE", help="oncall.yml")
@click.option("--accounts", metavar="FILE", help="The console's accounts.")
@click.option(
    "--secrets",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the files of /run/secrets lie on this machine.",
)
@click.option("--live", is_flag=True, help="Also ask whether everything answers now.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def check(
    context: click.Context,
    /,
    secrets: Path | None,
    *,
    live: bool,
    as_json: bool,
    **given: str | None,
) -> None:
    """Check configuration, rules, routes, rota, pages and dashboards against one another.

    Files that are not named are looked for beside the configuration and where the project
    keeps them.
    """
    options = context.find_root().params
    named = {key: value for key, value in given.items() if value is not None}
    try:
        sources = gather(options["config_file"], options["profile"], named, datetime.now(UTC))
    except Unreadable as error:
        click.echo(plain(error), err=True)
        raise SystemExit(CANNOT) from None
    found = findings(sources, secrets=secrets, is_live=live)
    if as_json:
        document = {
            "findings": [finding._asdict() for finding in found],
            "unchecked": list(sources.unchecked),
        }
        click.echo(json.dumps(document, indent=2))
    else:
        for finding in found:
            place = f"{finding.file}:{finding.line}" if finding.line else finding.file
            click.echo(plain(f"{place}: {finding.sentence}"))
        if sources.unchecked:
            click.echo(f"not looked at: {', '.join(sources.unchecked)}", err=True)
        click.echo(f"{len(found)} findings" if found else "good", err=True)
    if found:
        raise SystemExit(FOUND)

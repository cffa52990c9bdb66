"""`simulate`: what would have been done about the alerts of the past.

Rule: the policy is the file's, with a profile as in serving; nothing outside is asked or
touched. Exit status: 0 played, 2 the configuration or the history cannot be read.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from remediator.actions import ACTIONS
from remediator.config import Config, load_config
from remediator.config_mistakes import ConfigError
from remediator.durations import parse_duration_seconds
from remediator.notices import Story
from remediator.replay import told
from remediator.replay.edges import Actions
from remediator.replay.history import History, Played
from remediator.replay.player import Wishes, play
from remediator.replay.reading import Unplayable, read_history
from remediator.shown import plain, progress, table

CANNOT = 2


def _duration(_context: click.Context, _option: click.Parameter, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return parse_duration_seconds(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.option(
    "--history", "file", required=True, type=click.Path(path_type=Path, dir_okay=False),
    help="Alerts as JSON lines or YAML, an answer of query_range for ALERTS, the answer of "
    "/api/v1/incidents, or a state file.",
)  # fmt: skip
@click.option(
    "--against", type=click.Path(path_type=Path, dir_okay=False),
    help="A second profile, to see what it changes.",
)  # fmt: skip
@click.option(
    "--actions", type=click.Choice([a.value for a in Actions]), default="recorded",
    show_default=True,
    help="Alerts end when they did; or an action ends those of its target; or each action fails.",
)  # fmt: skip
@click.option(
    "--approve-after", callback=_duration, metavar="DURATION",
    help="A human approves each run so long after being asked; without it nobody answers.",
)  # fmt: skip
@click.option("--guards", is_flag=True, help="Show every guard's verdict, not only what blocks.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def simulate(
    context: click.Context,
    file: Path,
    against: Path | None,
    actions: str,
    approve_after: float | None,
    *,
    guards: bool,
    as_json: bool,
) -> None:
    """What the policy would have done about the alerts of a history; nothing is touched."""
    options = context.find_root().params
    config_file, profile = options["config_file"], options["profile"]
    wishes = Wishes(Actions(actions), approve_after)
    try:
        history = read_history(file)
        config = load_config(config_file, ACTIONS, profile)
        other = load_config(config_file, ACTIONS, against) if against else None
    except (Unplayable, ConfigError) as error:
        click.echo("\n".join(map(plain, str(error).splitlines())), err=True)
        raise SystemExit(CANNOT) from None
    ours = play(history, config, wishes, progress("playing"))
    theirs = play(history, other, wishes, progress("playing again")) if other else None
    if as_json:
        click.echo(json.dumps(_document(history, ours, theirs), indent=2))
        return
    for line in _text(history, config, ours, every_guard=guards):
        click.echo(line)
    if theirs is not None and against is not None:
        names = (str(profile or config_file), str(against))
        click.echo("\n".join(_compared(history, ours, theirs, names)))


def _document(history: History, ours: Played, theirs: Played | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "incidents": [{**story, "outcome": told.outcome(story)} for story in ours.incidents],
        "sums": told.sums(ours),
    }
    if theirs is not None:
        document["against"] = {
            "sums": told.sums(theirs),
            "alerts": [
                {
                    "fires_at": pair.alert.fires_at.isoformat(),
                    "labels": dict(pair.alert.labels),
                    "ours": pair.ours,
                    "theirs": pair.theirs,
                    "differs": pair.differs,
                }
                for pair in told.beside(history, ours, theirs)
            ],
        }
    return document


def _text(history: History, config: Config, played: Played, *, every_guard: bool) -> Iterator[str]:
    yield (
        f"{len(history.alerts)} alerts from {history.begins:%Y-%m-%d %H:%M} to "
        f"{history.ends:%Y-%m-%d %H:%M} UTC, mode {config.policy.mode}"
    )
    for story in played.incidents:
        yield ""
        yield from _incident(story, every_guard=every_guard)
    yield ""
    yield from _sums(told.sums(played))
    yield (
        "Alerts end as in the history unless --actions says otherwise: whether an action "
        "would have helped is not known."
    )


def _incident(story: Story, *, every_guard: bool) -> Iterator[str]:
    alerts = ", ".join(sorted({alert["name"] for alert in story["alerts"]}))
    yield plain(
        f"{story['opened_at']}  {alerts} on {story['target']} -> {story['runbook']}: "
        f"{told.outcome(story)}"
    )
    for line in told.timeline(story):
        yield plain(f"  {line.at[11:-1]}  {line.what}{': ' if line.detail else ''}{line.detail}")
    for runbook, guard, said in told.verdicts(story, every=every_guard):
        yield plain(f"      {runbook}, guard {guard}: {said}")


def _sums(found: dict[str, object]) -> Iterator[str]:
    rows = []
    for key, value in found.items():
        name = key.replace("_", " ")
        if isinstance(value, dict):
            rows += [(f"{name} {reason}", count) for reason, count in value.items()]
        else:
            rows.append((name, value))
    yield table(("sum", "number"), rows)


def _compared(
    history: History, ours: Played, theirs: Played, names: tuple[str, str]
) -> Iterator[str]:
    pairs = told.beside(history, ours, theirs)
    different = [pair for pair in pairs if pair.differs]
    yield ""
    yield f"{len(different)} of {len(pairs)} alerts end otherwise:"
    rows = [
        (
            f"{pair.alert.fires_at:%m-%d %H:%M:%S}",
            pair.alert.labels.get("alertname", ""),
            pair.alert.labels.get("service", ""),
            pair.ours,
            pair.theirs,
        )
        for pair in different
    ]
    yield table(("fires at", "alert", "service", *names), rows)

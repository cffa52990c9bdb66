"""The commands of a person at work: say that you are on it, stop, explain, run.

Rule: nothing is run that was not shown before, with what each guard says of it.
"""

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import click

from remediator.cli.asking import REFUSED, Remediator, asking
from remediator.cli.looking import as_json, event_line, say
from remediator.cli.tables import clock, coloured, guards, plain, steps
from remediator.outcomes import MENDED

Json = Mapping[str, Any]
_LOOK_AGAIN_SECONDS = 1.0


@click.command()
@click.argument("number", type=int)
@click.option("--note", default="", help="What you are doing about it.")
@asking
def ack(remediator: Remediator, number: int, note: str) -> None:
    """Acknowledge an incident: you are on it, and nobody else needs to be called."""
    said = remediator.order("POST", f"/incidents/{number}/acknowledge", note=note)["acknowledged"]
    click.echo(f"incident {number} is acknowledged by {plain(said['by'])} at {clock(said['at'])}")


@click.command()
@click.option("--reason", required=True, help="Why nothing may be begun.")
@click.option("--minutes", type=click.IntRange(1, 7 * 24 * 60), help="It ends by itself after it.")
@asking
def pause(remediator: Remediator, reason: str, minutes: int | None) -> None:
    """Begin nothing any more; a run that works stops before its next step."""
    order = {"reason": reason} | ({} if minutes is None else {"minutes": minutes})
    say(_pauses(remediator.order("POST", "/pause", **order)))


@click.command()
@asking
def resume(remediator: Remediator) -> None:
    """End what `pause` ordered; exit status 1 when something else still pauses."""
    left = remediator.order("POST", "/resume")
    say(_pauses(left))
    if left["paused"]:
        raise SystemExit(REFUSED)


def _pauses(found: Json) -> Iterator[str]:
    for pause in found["paused"]:
        until = f" until {clock(pause['until'])}" if pause["until"] else ""
        yield f"paused by {plain(pause['by'])} ({pause['source']}){until}: {plain(pause['reason'])}"
    if not found["paused"]:
        yield "not paused"


@click.command()
@click.option("--alert", required=True, help="The alert's name.")
@click.option("--label", "labels", multiple=True, help="name=value; once for each label.")
@as_json
@asking
def explain(remediator: Remediator, alert: str, labels: tuple[str, ...], *, raw: bool) -> None:
    """Say what an alert would lead to now, and why. Nothing is done or written."""
    _tell(remediator.get("/explain", alert=alert, label=labels), raw=raw)


def _tell(shown: Json, *, raw: bool) -> None:
    if raw:
        click.echo(json.dumps(shown, indent=2))
        return
    say(_explained(shown))


def _explained(shown: Json) -> Iterator[str]:
    if shown["entry"]:
        yield f"{plain(shown['entry'])} on {plain(shown['target'])}, mode {plain(shown['mode'])}"
    if shown["incident_id"]:
        yield f"belongs to incident {shown['incident_id']}"
    if shown["plan"]:
        yield f"plan {shown['plan_hash']}:"
        yield from steps(shown["plan"]["steps"])
        verify = shown["verify"]
        often = f"{verify['consecutive']} times in a row within {verify['within_seconds']:g} s"
        yield f"  then: {', '.join(verify['checks'])}, {often}"
        if shown["ladder"]:
            yield f"  if that does not help: {', '.join(map(plain, shown['ladder']))}"
    yield from guards(shown["guards"])
    verdict = coloured(shown["verdict"], shown["verdict"].replace("_", " "))
    yield f"{verdict}: {plain(shown['detail'], 500)}"


@click.command()
@click.argument("entry")
@click.option("--target", required=True, help="A key of the topology.")
@click.option("--note", default="", help="Why; it is kept with the run.")
@click.option("--dry-run", is_flag=True, help="Only show what it would do and what guards say.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--wait", type=click.IntRange(min=0), default=600, show_default=True,
    help="Seconds to watch it; the run goes on without.",
)  # fmt: skip
@as_json
@asking
def run(
    remediator: Remediator,
    entry: str,
    *,
    target: str,
    note: str,
    dry_run: bool,
    yes: bool,
    wait: int,
    raw: bool,
) -> None:
    """Run a runbook entry on a target, as it is shown first.

    Your order stands in for the alert and for an approval; every other guard holds, and it is
    judged once. The exit status is 0 when the run has mended or still works after --wait, 1 when it
    was refused or has not mended; with --dry-run, whether it would be run.
    """
    shown = remediator.get("/explain", entry=entry, target=target, by=remediator.by)
    if not raw or dry_run:
        _tell(shown, raw=raw)
    if shown["verdict"] != "would_run":
        raise SystemExit(REFUSED)
    if dry_run:
        return
    if not yes:
        click.confirm("Run this now?", abort=True, err=True)
    order = {"entry": entry, "target": target, "plan_hash": shown["plan_hash"], "note": note}
    placed = remediator.order("POST", "/runs", **order)
    story = _watch(remediator, placed, wait, quiet=raw)
    if raw:
        click.echo(json.dumps(placed | {"incident": story}, indent=2))
    _leave(story, placed["order_id"])


def _watch(remediator: Remediator, placed: Json, wait: int, *, quiet: bool) -> Json:
    """Tell each event as it comes, until the order was refused or its run has ended."""
    until, told = time.monotonic() + wait, 0
    while True:
        story: Json = remediator.get(f"/incidents/{placed['incident_id']}")
        if not quiet:
            say(map(event_line, story["events"][told:]))
        told = len(story["events"])
        if _ended(story, placed["order_id"]) or time.monotonic() >= until:
            return story
        time.sleep(_LOOK_AGAIN_SECONDS)


def _ended(story: Json, order_id: int) -> bool:
    order, found = _order(story, order_id)
    return order["refused"] is not None or (found is not None and found["ended_at"] is not None)


def _order(story: Json, order_id: int) -> tuple[Json, Json | None]:
    (order,) = [order for order in story["orders"] if order["id"] == order_id]
    return order, next((run for run in story["runs"] if run["id"] == order["run_id"]), None)


def _leave(story: Json, order_id: int) -> None:
    order, found = _order(story, order_id)
    if order["refused"] is not None:
        click.echo(f"refused: {plain(order['refused'], 500)}", err=True)
        raise SystemExit(REFUSED)
    if found is None or found["ended_at"] is None:
        click.echo(f"it goes on; look at incident {story['id']}", err=True)
        return
    click.echo(f"run {found['id']} is {found['state']}: {plain(found['detail'], 500)}", err=True)
    if found["state"] not in MENDED:
        raise SystemExit(REFUSED)

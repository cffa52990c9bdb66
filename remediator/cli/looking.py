"""The commands that look: incidents, one of them, the entries, how the chain is.

Rule: each is one question to the API. `--json` prints what the API says, for programs.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from remediator.cli.asking import REFUSED, Remediator, asking
from remediator.cli.tables import clock, coloured, guards, plain, table
from remediator.durations import parse_duration_seconds
from remediator.rfc3339 import rfc3339

Json = Mapping[str, Any]
LAST_EVENTS = 40

as_json = click.option("--json", "raw", is_flag=True, help="What the API says, for programs.")


def say(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


def _since(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    """`8h` as the moment that long ago."""
    if text is None:
        return None
    try:
        seconds = parse_duration_seconds(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return rfc3339(datetime.now(UTC) - timedelta(seconds=seconds))


@click.command()
@click.option("--state", type=click.Choice(["open", "closed"]), help="Only those; else all.")
@click.option("--entry", help="Of this runbook entry.")
@click.option("--target", help="Of this service.")
@click.option("--since", callback=_since, help="Open still, or closed since so long: 8h, 2d.")
@click.option("--text", help="In targets, labels, reasons and notes, whatever its case.")
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True)
@click.option("--before", type=int, help="The page before this number.")
@as_json
@asking
def incidents(remediator: Remediator, *, raw: bool, **wanted: object) -> None:
    """List incidents, the newest first."""
    found = remediator.get("/incidents", **wanted)
    if raw:
        click.echo(json.dumps(found, indent=2))
        return
    say(table(("number", "severity", "state", "opened", "target", "entry", "now"), _rows(found)))
    if not found["incidents"]:
        click.echo("none")
    if found["next"] is not None:
        click.echo(f"there may be more: --before {found['next']}")


def _rows(found: Json) -> Iterator[tuple[object, ...]]:
    for story in found["incidents"]:
        said = story["acknowledged"]
        on_it = f"[{said['by']}] " if said and story["state"] == "open" else ""
        yield (
            story["id"],
            story["severity"],
            story["state"],
            clock(story["opened_at"]),
            story["target"],
            story["runbook"],
            f"{on_it}{story['now']['detail']}",
        )


@click.command()
@click.argument("number", type=int)
@click.option("--guards", "all_guards", is_flag=True, help="Also the guards that said yes.")
@as_json
@asking
def show(remediator: Remediator, number: int, *, all_guards: bool, raw: bool) -> None:
    """Show one incident: what fired, what was judged, done and found."""
    story = remediator.get(f"/incidents/{number}")
    if raw:
        click.echo(json.dumps(story, indent=2))
        return
    say(_head(story))
    for run in story["runs"]:
        say(_run(run, all_guards=all_guards))
    click.echo("\nTimeline (UTC)")
    events = story["events"]
    if len(events) > LAST_EVENTS:
        click.echo(f"  {story['events_total'] - LAST_EVENTS} before these; --json shows more")
    for event in events[-LAST_EVENTS:]:
        click.echo(event_line(event))


def _head(story: Json) -> Iterator[str]:
    how = f"{coloured(story['severity'])} {coloured(story['state'])}"
    yield f"Incident {story['id']} {how}: {plain(story['target'])}, {plain(story['runbook'])}"
    yield f"  opened {clock(story['opened_at'])}, closed {clock(story['closed_at'])}"
    yield f"  now: {plain(story['now']['detail'], 300)}"
    if story.get("worked_on_by"):
        yield f"  worked on by {plain(story['worked_on_by'])}"
    if story["acknowledged"]:
        said = story["acknowledged"]
        by = f"{plain(said['by'])} ({said['via']})" if said.get("via") else plain(said["by"])
        yield f"  acknowledged {clock(said['at'])} by {by}: {plain(said['note'])}"
    if story["escalated"]:
        call = story["escalated"]
        yield f"  a human was called {clock(call['at'])}: {plain(call['summary'], 300)}"
    for order in story["orders"]:
        end = f"refused: {plain(order['refused'], 300)}" if order["refused"] else "taken"
        what = f"{plain(order['by'])} ordered {plain(order['runbook'])} {clock(order['at'])}"
        yield f"  {what}: {end if order['refused'] or order['run_id'] else 'waits'}"
    for alert in story["alerts"]:
        ended = f" to {clock(alert['resolved_at'])}" if alert["resolved_at"] else ""
        labels = ", ".join(f"{k}={v}" for k, v in alert["labels"].items() if k != "alertname")
        yield f"  fired: {plain(alert['name'])} from {clock(alert['starts_at'])}{ended}"
        yield f"    {plain(labels, 300)}"


def _run(run: Json, *, all_guards: bool) -> Iterator[str]:
    by = f", ordered by {plain(run['ordered_by'])}" if run["ordered_by"] else ""
    why = f": {plain(run['detail'], 300)}" if run["detail"] else ""
    yield f"\nRun {run['id']} {plain(run['runbook'])}{by}: {coloured(run['state'])}{why}"
    shown = [v for v in run["guards"] if all_guards or v["verdict"] == "blocked"]
    yield from (f"  {line}" for line in guards(shown))
    for step in run["steps"]:
        end = f"{coloured(step['outcome'] or 'working')}: {plain(step['summary'], 300)}"
        yield f"  {clock(step['intent_at'])} {plain(step['action'])}: {end}"
        for name, value in step["evidence"].items():
            yield f"    {plain(name)}: {plain(value, 300)}"
    for finding in run["findings"]:
        yield f"  {plain(finding['check'])} {finding['verdict']}: {plain(finding['detail'], 300)}"


def event_line(event: Json) -> str:
    run = f" run {event['run_id']}" if event["run_id"] else ""
    detail = ", ".join(f"{key} {value}" for key, value in event["detail"].items() if value)
    told = f": {plain(detail, 200)}" if detail else ""
    return f"  {clock(event['at'])} {plain(event['kind'].replace('_', ' '))}{run}{told}"


@click.command()
@click.argument("number", type=int)
@asking
def postmortem(remediator: Remediator, number: int) -> None:
    """Print the draft of an incident's post-mortem, as Markdown."""
    click.echo(remediator.ask("GET", f"/incidents/{number}/postmortem").text, nl=False)


@click.command()
@as_json
@asking
def entries(remediator: Remediator, *, raw: bool) -> None:
    """List the entries of the runbook: how each has gone, and what keeps it from being tried."""
    found = remediator.get("/entries")
    if raw:
        click.echo(json.dumps(found, indent=2))
        return
    heads = ("entry", "mode", "risk", "runs", "mended", "mends in", "kept from trying")
    say(table(heads, map(_entry, found["entries"])))


def _entry(entry: Json) -> tuple[object, ...]:
    runs = entry["runs"]
    rate, took = runs["success_rate"], runs["median_seconds_to_mend"]
    held = [
        f"{target['target']}: breaker open, {target['breaker']['why']}"
        if target["breaker"]["open"]
        else f"{target['target']}: cools down until {clock(target['cooldown_until'])}"
        for target in entry["targets"]
        if target["breaker"]["open"] or target["cooldown_until"]
    ]
    return (
        entry["id"],
        entry["mode"],
        entry["risk"],
        runs["total"],
        None if rate is None else f"{rate:.0%}",
        None if took is None else f"{took:.0f} s",
        "; ".join(held),
    )


@click.command()
@as_json
@asking
def status(remediator: Remediator, *, raw: bool) -> None:
    """Say how the chain is and what works now; the exit status is 1 when a link is broken."""
    found = remediator.get("/status")
    runs = remediator.get("/running")["runs"]
    if raw:
        click.echo(json.dumps(found | {"running": runs}, indent=2))
    else:
        say(_status(found))
        for run in runs:
            say(_working(run))
    if not found["healthy"]:
        raise SystemExit(REFUSED)


def _status(found: Json) -> Iterator[str]:
    waiting, open_ones = found["approvals_waiting"], found["open_incidents"]
    yield f"mode {found['mode']}, {open_ones} open incidents, {waiting} wait for approval"
    for pause in found["pauses"]:
        yield f"{coloured('broken', 'paused')} by {plain(pause['by'])}: {plain(pause['reason'])}"
    if found["deploy_lock"]:
        lock = found["deploy_lock"]
        yield f"{plain(lock['by'])} deploys until {clock(lock['until'])}: {plain(lock['reason'])}"
    for work in found["maintenance"]:
        where = plain(work["target"] or "everything")
        yield f"{plain(work['by'])} works on {where} until {clock(work['until'])}"
    heads = ("remediator", "state", "last word", "open incidents", "does for all")
    yield from table(heads, map(_sharer, found["remediators"]))
    words = {True: "good", False: "broken", None: "unknown"}
    rows = ((link["link"], words[link["ok"]], link["detail"]) for link in found["health"])
    yield from table(("link", "state", "what is known"), rows)


def _sharer(one: Json) -> tuple[object, ...]:
    name = f"{one['name']} (this one)" if one["is_this"] else one["name"]
    last = f"{one['silent_seconds']:.0f} s ago"
    for_all = "pruning, issues" if one["leads"] else ""
    return name, one["state"], last, one["incidents"], for_all


def _working(run: Json) -> Iterator[str]:
    by = f", ordered by {plain(run['ordered_by'])}" if run["ordered_by"] else ""
    what = f"{plain(run['runbook'])} on {plain(run['target'])}"
    yield f"\nrun {run['run_id']} {what}: {run['state']} since {clock(run['since'])}{by}"
    for step in run["steps"]:
        yield f"  {plain(step['id'])}: {coloured(step['state'])} {plain(step['summary'])}"
    if run["verification"]:
        checks = ", ".join(run["verification"]["checks"])
        yield f"  verification: {run['verification']['state']} ({checks})"

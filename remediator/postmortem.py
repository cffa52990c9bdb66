"""The draft of a post-mortem, as Markdown, from what the journal holds of one incident.

Rule: pure. What is not ours to say (impact, cause, prevention) is left to a human and says
so. Text of labels, logs and errors stands in code spans and fences that it cannot leave:
nothing of it becomes a link, a mention, an image or a heading.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from remediator.notices import URGENT, Story, duration_seconds, resolution, severity_of, status_of
from remediator.outcomes import MENDED, NOT_MENDED, State

TIMELINE_LINES = 200
LAST_LINES = 50
LINE_CHARS = 300
EVIDENCE_LINES = 60
EVIDENCE_CHARS = 4000
GUESS = "_for a human to fill in_"


def render(story: Story, url: str, max_chars: int | None = None) -> str:
    """`url` leads to this document. A part that does not fit into `max_chars` is left out."""
    parts = [f"# Post-mortem: incident {story['id']}, {code(story['target'])}\n"]
    sections = (
        ("Summary", _summary(story)),
        ("Impact", _impact()),
        ("Timeline (UTC)", _timeline(story)),
        ("What the machine judged", _judged(story)),
        ("What it did", _did(story)),
        ("Verification", _verified(story)),
        ("Left to a human", _human(story)),
        ("Final status update", _final(story, url)),
    )
    too_long = f"Too long for this place; it is at {url}"
    headings = sum(len(heading) + len(too_long) + len("## \n\n\n\n") for heading, _ in sections)
    left = None if max_chars is None else max_chars - len(parts[0]) - headings
    for heading, lines in sections:
        text = "\n".join(lines).rstrip("\n")
        if left is not None and len(text) > left:
            text = too_long
        elif left is not None:
            left -= len(text)
        parts.append(f"## {heading}\n\n{text}\n")
    return "\n".join(parts)


def deserves_issue(story: Story) -> str | None:
    """Why somebody must work on it after it has closed, in a word; None when it was mended."""
    acted = [run for run in story["runs"] if run["steps"]]
    if story["escalated"]:
        return "failed"
    came_back = any(run["state"] == State.RECURRED for run in acted)
    by_itself = [run for run in acted if not run.get("ordered_by")]
    if came_back or any(earlier["state"] in MENDED for earlier, _ in pairwise(by_itself)):
        return "recurred"
    return "failed" if acted and acted[-1]["state"] in NOT_MENDED else None


def title_of(story: Story, why: str) -> str:
    return f"Incident {story['id']} {why}: {story['target']}, {story['runbook']}"[:200]


# -- the parts ----------------------------------------------------------------------------


def _summary(story: Story) -> Iterator[str]:
    alerts, closed = story["alerts"], story["closed_at"]
    names = dict.fromkeys(alert["name"] for alert in alerts)
    said = story.get("acknowledged")
    yield f"- Service: {code(story['target'])}, runbook entry {code(story['runbook'])}"
    yield f"- Severity: {severity(story)}"
    more = story.get("alerts_total", len(alerts))
    yield f"- Alerts: {', '.join(map(code, names)) or 'none, a human ordered it'} ({more} in all)"
    ordered = {
        event["detail"].get("order_id"): event["detail"]
        for event in story["events"]
        if event["kind"] == "run_ordered"
    }
    for order in story.get("orders", ()):
        by = f"{code(order['by'])}{_through(ordered.get(order.get('id'), {}))}"
        yield f"- Ordered: {code(order['runbook'])} by {by}, {moment(order['at'])}"
    if said:
        yield f"- Acknowledged: {moment(said['at'])} by {code(said['by'])}{_through(said)}"
    yield f"- Opened: {moment(story['opened_at'])}"
    if closed is None:
        yield f"- Still open: {code(status_of(story)[1])}"
        return
    lasted = duration_seconds(story["opened_at"], closed)
    yield f"- Closed: {moment(closed)}, after {lasted:.0f} s"
    yield f"- Outcome: {code(resolution(story))}"


def _through(detail: Mapping[str, Any]) -> str:
    """Where a human said it, where that is known."""
    return f" ({code(str(detail['via']))})" if detail.get("via") else ""


def _impact() -> Iterator[str]:
    yield f"- What users saw, and how many: {GUESS}"
    yield f"- Data lost or damaged: {GUESS}"


def _timeline(story: Story) -> Iterator[str]:
    events = story["events"]
    for first in story["alerts"][:1]:
        yield f"- {moment(first['starts_at'])} {code(first['name'])} began to fire"
    told: list[tuple[str, str, int]] = []  # when it first happened, what, and how often
    for event in events:
        run = f" (run {event['run_id']})" if event["run_id"] else ""
        what = f"{_happened(event)}{run}"
        if told and told[-1][1] == what:
            told[-1] = (*told[-1][:2], told[-1][2] + 1)
        else:
            told.append((event["at"], what, 1))
    head, tail = told[: TIMELINE_LINES - LAST_LINES], told[TIMELINE_LINES - LAST_LINES :]
    for number, (at, what, often) in enumerate([*head, *tail[-LAST_LINES:]]):
        if number == len(head) and len(tail) > LAST_LINES:
            yield f"- {len(tail) - LAST_LINES} lines are left out here"
        yield f"- {moment(at)} {what}{f', {often} times' if often > 1 else ''}"
    left = story.get("events_total", len(events)) - len(events)
    if left > 0:
        yield f"- {left} more events, most of them alerts like these, are in the journal"


def _happened(event: Mapping[str, Any]) -> str:
    detail = event["detail"]
    words = event["kind"].replace("_", " ")
    told = [str(detail[key]) for key in ("alert", "step", "outcome", "reason") if detail.get(key)]
    said = str(detail.get("summary") or detail.get("detail") or "")
    sentence = ": ".join(filter(None, [" ".join(told), said]))
    if not sentence:
        sentence = ", ".join(f"{key} {value}" for key, value in detail.items() if value)
    return f"{code(words)} {code(sentence)}" if sentence else code(words)


def _judged(story: Story) -> Iterator[str]:
    if not story["runs"]:
        yield "Nothing: no run was begun."
    for run in story["runs"]:
        yield f"Run {run['id']}, {code(run['runbook'])}: {code(_state(run))}, as last judged:"
        yield ""
        for guard in run["guards"]:
            reason = f" ({code(guard['reason'])})" if guard["reason"] else ""
            yield f"- {code(guard['guard'])} {guard['verdict']}{reason}: {code(guard['detail'])}"
        yield ""


def _did(story: Story) -> Iterator[str]:
    steps = [(run, step) for run in story["runs"] for step in run["steps"]]
    if not steps:
        yield "Nothing was touched."
    for run, step in steps:
        yield f"Run {run['id']}, step {code(step['id'])}, {code(step['action'])}:"
        yield ""
        yield f"- intended {moment(step['intent_at'])}"
        ended = moment(step["outcome_at"]) if step["outcome_at"] else "never: it was interrupted"
        yield f"- ended {ended}, {code(step['outcome'] or 'unknown')}: {code(step['summary'])}"
        yield ""
        for name, value in step["evidence"].items():
            yield from _evidence(str(name), value)


def _evidence(name: str, value: object) -> Iterator[str]:
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        value = "\n".join(value)
    if not isinstance(value, str):
        value = json.dumps(value, default=str, ensure_ascii=False)
    if "\n" not in value and len(value) <= LINE_CHARS:
        yield from (f"Evidence, {code(name)}: {code(value)}", "")
        return
    yield from (f"Evidence, {code(name)}:", "", *fenced(value), "")


def _verified(story: Story) -> Iterator[str]:
    acted = [run for run in story["runs"] if run["findings"] or run["acted_at"]]
    if not acted:
        yield "Nothing was verified."
    for run in acted:
        yield f"Run {run['id']}: {code(_state(run))}: {code(run['detail'])}"
        yield ""
        for finding in run["findings"]:
            yield f"- {code(finding['check'])} {finding['verdict']}: {code(finding['detail'])}"
        yield ""


def _human(story: Story) -> Iterator[str]:
    yield f"- [ ] Root cause: {GUESS}"
    yield f"- [ ] Prevention: {GUESS}"
    yield "- [ ] What happened is in the incident log"
    yield "- [ ] An issue holds the root cause analysis"
    yield "- [ ] Alerts and runbook are updated, if they should have told more or sooner"
    if severity(story) == URGENT:
        yield "- [ ] A blameless post-mortem meeting is held within 48 h"


def _final(story: Story, url: str) -> Iterator[str]:
    done = [
        f"{step['action']} ({step['outcome']})" for run in story["runs"] for step in run["steps"]
    ]
    checks = [run["detail"] for run in story["runs"] if run["state"] in MENDED]
    fix = ", ".join(done) if done else "none by the remediator"
    yield from fenced(
        "\n".join(
            [
                f"{severity(story)} Incident Resolved:",
                "- Root Cause: [brief description]",
                f"- Fix Applied: {fix}",
                f"- Verification: {checks[-1] if checks else '[how it is known]'}",
                f"- Post-Mortem: {url}",
                "- Prevention: [steps to prevent recurrence]",
            ]
        )
    )


def severity(story: Story) -> str:
    """The worst of its alerts."""
    return min((severity_of(alert["labels"]) for alert in story["alerts"]), default="P1")


def _state(run: Mapping[str, Any]) -> str:
    return f"{run['state']} ({run['reason']})" if run["reason"] else str(run["state"])


# -- Markdown that holds what it is given ---------------------------------------------------


def moment(text: str | None) -> str:
    return text[:23].replace("T", " ") if text else "at an unknown time"


def code(text: str) -> str:
    """A code span on one line, whatever the text holds."""
    line = " ".join(clean(text).split())
    line = line if len(line) <= LINE_CHARS else f"{line[: LINE_CHARS - 3]}..."
    if not line:
        return "-"
    ticks = "`" * (longest_run(line) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{ticks}{pad}{line}{pad}{ticks}"


def fenced(text: str) -> Sequence[str]:
    """The last lines of a text in a fence that none of them can close."""
    lines = clean(text)[-EVIDENCE_CHARS:].splitlines()[-EVIDENCE_LINES:]
    fence = "`" * max(3, max(map(longest_run, lines), default=0) + 1)
    return [f"{fence}text", *lines, fence]


def clean(text: str) -> str:
    """Without control characters, terminal colours and those that turn text around."""
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
    return "".join(char if char == "\n" or char.isprintable() else " " for char in text)


def longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)

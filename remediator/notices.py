"""What humans are told of an incident, as alerts: that it needs them, and how far it is.

Rule: pure. Labels come from what the journal fixed once; whatever changes is annotation. Text
of labels and logs is untrusted: no chat can read a mention or a link in it.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from remediator.outcomes import MENDED, State
from remediator.ports import Notice
from remediator.runs import Call, Escalation

Story = Mapping[str, Any]
"""An incident as `journal.Records.story` gives it, and the API."""

SEVERITIES = ("P0", "P1", "P2", "P3")
URGENT = "P0"
LISTED = 10
MAX_CHARS = 3000  # a chat shows no more of a message

_MENTIONS = str.maketrans({"<": "\u2039", ">": "\u203a", "@": "(at)", "&": "+"})


def severity_of(labels: Mapping[str, str]) -> str:
    """P1 when the alert names none that is known: it calls a human, and does not wake the chief."""
    severity = labels.get("severity", "")
    return severity if severity in SEVERITIES else "P1"


def notice_of(call: Call, story: Story, incidents_url: str) -> Notice:
    """`incidents_url`: below it a human finds an incident by its number."""
    url = f"{incidents_url}/{story['id']}"
    labels = {
        "service": story["target"],
        "severity": call.severity,
        "category": "remediation",
        "remediation": "manual",
        "incident": str(story["id"]),
    }
    tell = _progress if call.escalation is None else _escalated
    own, annotations = tell(call, story, url)
    return Notice(labels | own, {key: _plain(text) for key, text in annotations.items()}, url)


def _escalated(call: Call, story: Story, url: str) -> tuple[dict[str, str], dict[str, str]]:
    why = call.escalation
    if not isinstance(why, Escalation):
        raise TypeError("an escalation says why")
    target = story["target"]
    labels = {
        "alertname": "RemediationEscalated",
        "runbook": why.runbook,
        "reason": why.reason.value,
    }
    return labels, {
        "summary": f"{target} was not mended by {why.runbook} ({why.reason})",
        "description": "\n".join([why.summary, *_on_it(story), *_fired(story), *_tried(story)]),
        "action": f"Mend {target} by hand; what was tried and found is at {url}",
        "runbook_url": _page(story),
    }


def _progress(call: Call, story: Story, url: str) -> tuple[dict[str, str], dict[str, str]]:
    labels = {"alertname": "RemediationProgress", "runbook": story["runbook"]}
    target, who = story["target"], f"{call.severity} incident {story['id']}"
    if call.is_open:
        status, doing = status_of(story)
        return labels, {
            "summary": f"{who} acknowledged: {target}: {doing}",
            "description": "\n".join(
                [
                    f"Current status: {status}",
                    *_on_it(story),
                    *_fired(story),
                    *_tried(story),
                    EVERY,
                ]
            ),
            "action": NEXT.get(status, f"Read on at {url}"),
            "runbook_url": _page(story),
        }
    return labels, {
        "summary": f"{who} resolved: {target}: {resolution(story)}",
        "description": "\n".join(
            ["Root cause: for a human to find", *_fired(story), *_tried(story)]
        ),
        "action": f"Post-mortem: {url}/postmortem",
        "runbook_url": _page(story),
    }


EVERY = "Updates every 15 min"
INVESTIGATING, WAITING, WATCHING = "investigating", "waiting", "watching"
MITIGATING, VERIFYING, HUMAN = "mitigating", "verifying", "needs a human"
NEXT = {
    INVESTIGATING: "The remediator judges it now",
    WAITING: "It is judged again until the alert clears or a human is called",
    MITIGATING: "Then it is checked whether that helped",
    VERIFYING: "If it did not help, the next rung is tried or a human is called",
    WATCHING: "The incident closes when its alert is gone",
    HUMAN: "On-call takes over",
}


def status_of(story: Story) -> tuple[str, str]:
    """Where an open incident stands, in one word and in a sentence."""
    if story["escalated"]:
        return HUMAN, f"a human was called: {story['escalated']['summary']}"
    if not story["runs"]:
        return INVESTIGATING, "investigating"
    run = story["runs"][-1]
    what, state = f"{run['runbook']} on {run['target']}", run["state"]
    why = run["detail"] or run["reason"]
    steps = [f": {step['action']} since {clock(step['intent_at'])}" for step in run["steps"]]
    known = {
        State.CLAIMED: (MITIGATING, f"carrying out {what}"),
        State.EXECUTING: (MITIGATING, f"carrying out {what}{steps[-1] if steps else ''}"),
        State.VERIFYING: (VERIFYING, f"{what} is done, verifying"),
        State.AWAITING_APPROVAL: (HUMAN, f"{what} waits for a human's approval"),
        State.EFFECTIVE: (WATCHING, f"mended by {what}, watching"),
        State.SKIPPED: (HUMAN, f"nothing is touched: {why}"),
        State.BLOCKED: (WAITING, f"{what} waits: {why}"),
    }
    return known.get(state, (INVESTIGATING, f"{what} is {state}{f': {why}' if why else ''}"))


def resolution(story: Story) -> str:
    """How a closed incident ended. A run that worked is the last one that mended it."""
    last = story["runs"][-1] if story["runs"] else None
    if last and last["state"] in MENDED and not story["escalated"]:
        took = f"took {duration_seconds(story['opened_at'], last['ended_at']):.0f} s"
        return f"mended by {last['runbook']}, verified: {last['detail']}, {took}"
    took = f"took {duration_seconds(story['opened_at'], story['closed_at']):.0f} s"
    if not story["alerts"]:
        return f"{_ordered(story)}; {took}"
    if story["escalated"]:
        return f"its alerts are gone, after a human was called; {took}"
    return f"its alerts are gone, and nothing was done; {took}"


def _ordered(story: Story) -> str:
    """How an incident ended that only an order had opened."""
    if story["runs"]:
        last = story["runs"][-1]
        return f"{last['ordered_by']} ordered {last['runbook']}, which ended {last['state']}"
    refused = [order for order in story["orders"] if order["refused"]]
    if not refused:
        return "nothing was done"
    return f"{refused[-1]['by']} ordered {refused[-1]['runbook']}: {refused[-1]['refused']}"


def duration_seconds(since: str, until: str) -> float:
    return (datetime.fromisoformat(until) - datetime.fromisoformat(since)).total_seconds()


def _on_it(story: Story) -> Iterator[str]:
    """A human who said so."""
    said = story.get("acknowledged")
    if said:
        words = f"Acknowledged: {clock(said['at'])} by {said['by']}"
        yield f"{words}: {said['note']}" if said["note"] else words


def _fired(story: Story) -> Iterator[str]:
    alerts = story["alerts"]
    for alert in alerts[:LISTED]:
        ended = f" to {clock(alert['resolved_at'])}" if alert["resolved_at"] else ""
        severity = alert["labels"].get("severity", "-")
        yield f"Fired: {alert['name']} ({severity}) from {clock(alert['starts_at'])}{ended}"
    left = story.get("alerts_total", len(alerts)) - LISTED
    if left > 0:
        yield f"Fired: {left} more"
    for order in story.get("orders", ())[-LISTED:]:
        end = f": refused: {order['refused'][:200]}" if order["refused"] else ""
        yield f"Ordered: {clock(order['at'])} {order['runbook']} by {order['by']}{end}"


def _tried(story: Story) -> Iterator[str]:
    runs = [run for run in story["runs"] if run["steps"] or run["ended_at"]]
    if len(runs) > LISTED:
        yield f"Tried: {len(runs) - LISTED} runs before these"
    for run in runs[-LISTED:]:
        for step in run["steps"]:
            outcome = step["outcome"] or "under way"
            words = (
                f"Tried: {clock(step['intent_at'])} {run['runbook']}: {step['action']}: {outcome}"
            )
            yield f"{words}: {step['summary'][:200]}" if step["summary"] else words
        if run["ended_at"]:
            ended = f"Result: {clock(run['ended_at'])} {run['runbook']}: {run['state']}"
            yield f"{ended}: {run['detail'][:300]}" if run["detail"] else ended


def _page(story: Story) -> str:
    if not story["alerts"]:
        return "docs/howto/operate.md"
    return f"docs/runbooks/{story['alerts'][0]['name']}.md"


def clock(moment: str | None) -> str:
    """The journal's `2026-01-05T12:00:00.000Z` as `12:00:00Z`."""
    return f"{moment[11:19]}Z" if moment else "?"


def _plain(text: str) -> str:
    words = "".join(char if char.isprintable() or char == "\n" else " " for char in text)
    return words.translate(_MENTIONS)[:MAX_CHARS]

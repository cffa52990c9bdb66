"""What a replay is told as: a line for each incident, its timeline, sums, and a comparison.

Rule: pure; the words of states and reasons are those of outcomes.py. Nothing here is shown
before its untrusted parts are made plain.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from remediator.alerts import is_same_alert
from remediator.notices import Story
from remediator.outcomes import MENDED, State
from remediator.replay.history import History, Played, PlayedAlert

UNPLANNED = "no plan"


@dataclass(frozen=True, slots=True)
class Line:
    """One moment of an incident. `at` as in the journal."""

    at: str
    what: str
    detail: str


def outcome(story: Story) -> str:
    """Where it ended, in a few words."""
    runs = story["runs"]
    last = runs[-1] if runs else None
    if story["escalated"]:
        return f"human called: {story['escalated']['reason']}"
    if last is None:
        return "nothing was judged"
    if last["state"] in MENDED:
        return f"mended by {last['runbook']}"
    if last["state"] == State.SKIPPED:
        return f"observed: {last['runbook']} would have run"
    why = f": {last['reason']}" if last["reason"] else ""
    return f"{last['state']}{why}"


def acted(story: Story) -> list[str]:
    """The entries of which a step was taken, in their order."""
    return [run["runbook"] for run in story["runs"] if run["steps"]]


def timeline(story: Story) -> Iterator[Line]:
    names = {run["id"]: run["runbook"] for run in story["runs"]}
    for event in story["events"]:
        detail = event["detail"]
        what = event["kind"].replace("_", " ")
        if event["run_id"] is not None:
            what = f"{names.get(event['run_id'], '?')} {what.removeprefix('run ')}"
        yield Line(event["at"], what, _detail(event["kind"], detail))


_DETAILS: Mapping[str, str] = {
    "step_ended": "{step} {outcome}: {summary}",
    "run_executing": "step {step}",
    "escalated": "{reason}: {summary}",
    "alert_firing": "{alert}",
    "alert_resolved": "{alert}",
    "incident_opened": "{runbook} on {target}",
    "approval_asked": "until {expires_at}",
}


def _detail(kind: str, detail: Mapping[str, Any]) -> str:
    shape = _DETAILS.get(kind)
    if shape is not None:
        return shape.format_map(detail)
    return ": ".join(str(detail[key]) for key in ("reason", "detail") if detail.get(key))


def verdicts(story: Story, *, every: bool) -> Iterator[tuple[str, str, str]]:
    """(run, guard, what it says) of the last judgement of each run; else only those that block."""
    for run in story["runs"]:
        for guard in run["guards"]:
            if every or guard["verdict"] == "blocked":
                said = (
                    f"{guard['reason']}: {guard['detail']}" if guard["reason"] else guard["detail"]
                )
                yield run["runbook"], guard["guard"], said


def sums(played: Played) -> dict[str, object]:
    runs = [run for story in played.incidents for run in story["runs"]]
    blocks = Counter(
        event["detail"]["reason"]
        for story in played.incidents
        for event in story["events"]
        if event["kind"] == "run_blocked" and event["detail"].get("reason")
    )
    return {
        "incidents": len(played.incidents),
        "mended": sum(outcome(s).startswith("mended") for s in played.incidents),
        "humans_called": sum(bool(s["escalated"]) for s in played.incidents),
        "runs_begun": sum(bool(run["steps"]) for run in runs),
        "runs_observed": sum(run["state"] == State.SKIPPED for run in runs),
        "approvals_asked": sum(
            event["kind"] == "approval_asked" for s in played.incidents for event in s["events"]
        ),
        "waited_for": dict(blocks.most_common()),
        "without_a_plan": dict(sorted(played.unplanned.items())),
    }


@dataclass(frozen=True, slots=True)
class Beside:
    """One alert of the history in two replays."""

    alert: PlayedAlert
    ours: str
    theirs: str

    @property
    def differs(self) -> bool:
        return self.ours != self.theirs


def beside(history: History, ours: Played, theirs: Played) -> list[Beside]:
    return [
        Beside(alert, _became(alert, ours), _became(alert, theirs))
        for alert in sorted(history.alerts, key=lambda alert: alert.fires_at)
    ]


def _became(alert: PlayedAlert, played: Played) -> str:
    at = alert.fires_at.isoformat(timespec="milliseconds")[:-6]
    for story in played.incidents:
        for told in story["alerts"]:
            same = is_same_alert(told["labels"], alert.labels)
            if same and told["received_at"].rstrip("Z") == at:
                return ", ".join([outcome(story), *(f"ran {book}" for book in acted(story))])
    return UNPLANNED

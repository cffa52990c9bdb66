"""What works now, step by step, and what waits for a human's word.

Rule: reads only. What is still to come is what the runbook says; what was done is what the
journal says.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from remediator.checks import name_of
from remediator.operate.desk import Desk
from remediator.outcomes import State
from remediator.policy import Runbook, Step
from remediator.rfc3339 import rfc3339

LISTED_ALERTS = 10
Json = dict[str, Any]


def running(desk: Desk) -> list[Json]:
    """The runs that hold a target. Errors: JournalUnavailable."""
    return [
        _running(run, desk.policy.runbooks.get(run["runbook"]))
        for run in desk.records.runs_at_work()
    ]


def _running(run: Json, runbook: Runbook | None) -> Json:
    keys = ("incident_id", "runbook", "target", "state", "ordered_by")
    planned = () if runbook is None else runbook.steps
    return {
        "run_id": run["id"],
        **{key: run[key] for key in keys},
        "since": run["claimed_at"],
        "steps": list(_steps(run["steps"], planned)),
        "verification": None if runbook is None else _verification(run, runbook),
    }


def _steps(taken: Iterable[Mapping[str, Any]], planned: Iterable[Step]) -> Iterable[Json]:
    """Each planned step once, as it was last tried; then what the runbook does not know."""
    last = {step["id"]: step for step in taken}
    for step in planned:
        known = last.pop(step.id, None)
        yield {
            "id": step.id,
            "action": step.action,
            "with": dict(step.params),
            "timeout_seconds": step.timeout_seconds,
            "repeat": step.repeat.value,
            **_progress(known),
        }
    for step_id, gone in last.items():
        yield {"id": step_id, "action": gone["action"], **_progress(gone)}


def _progress(step: Mapping[str, Any] | None) -> Json:
    if step is None:
        return {"state": "waiting", "since": None, "until": None, "summary": "", "evidence": {}}
    return {
        "state": step["outcome"] or "working",
        "since": step["intent_at"],
        "until": step["outcome_at"],
        "summary": step["summary"],
        "evidence": step["evidence"],
    }


def _verification(run: Json, runbook: Runbook) -> Json:
    wanted, acted_at = runbook.verify, run["acted_at"]
    ends = None
    if acted_at is not None:
        seconds = wanted.settle_seconds + wanted.within_seconds
        ends = rfc3339(datetime.fromisoformat(acted_at) + timedelta(seconds=seconds))
    return {
        "state": "working" if run["state"] == State.VERIFYING else "waiting",
        "checks": [name_of(check) for check in wanted.checks],
        "since": acted_at,
        "until": ends,
    }


def approvals(desk: Desk) -> list[Json]:
    """The open questions, the most urgent first, with why they are asked.

    Errors: JournalUnavailable.
    """
    return [_question(desk, asked) for asked in desk.orders.approvals()]


def _question(desk: Desk, asked: Json) -> Json:
    expires = datetime.fromisoformat(asked["expires_at"])
    story = desk.records.story(asked["incident_id"])
    runs = [] if story is None else story["runs"]
    return {
        **asked,
        "asked_at": rfc3339(datetime.fromisoformat(asked["asked_at"])),
        "expires_at": rfc3339(expires),
        "seconds_left": max((expires - desk.clock()).total_seconds(), 0.0),
        "alerts": [] if story is None else story["alerts"][:LISTED_ALERTS],
        "guards": next((run["guards"] for run in runs if run["id"] == asked["run_id"]), []),
        "tried": [run for run in runs if run["steps"]],
    }

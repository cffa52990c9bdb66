"""The runbook's entries: what each does, how it has gone, and whether it may be tried now.

Rule: reads only; breakers and limits are counted by the same functions as the guards'.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from remediator import breaker
from remediator.operate.desk import Desk
from remediator.outcomes import MENDED, NOT_MENDED, State
from remediator.policy import Policy, Runbook
from remediator.rfc3339 import rfc3339
from remediator.runs import PastRun

RECENT = 10
Json = dict[str, Any]


def entries(desk: Desk) -> list[Json]:
    """Errors: JournalUnavailable."""
    now = desk.clock()
    past = desk.runs.past(now)
    done = desk.records.claimed_runs(now - desk.retention)
    return [_entry(desk.policy, book, past, done, now) for book in desk.policy.runbooks.values()]


def _entry(
    policy: Policy,
    runbook: Runbook,
    past: Sequence[PastRun],
    done: Sequence[Mapping[str, Any]],
    now: datetime,
) -> Json:
    own = [run for run in past if run.runbook == runbook.id and run.state is not State.CANCELLED]
    runs = [dict(run) for run in done if run["runbook"] == runbook.id]
    may = [key for key, target in policy.topology.items() if target.container]
    touched = dict.fromkeys([runbook.target_key] if runbook.target_key else [r.target for r in own])
    return {
        "id": runbook.id,
        "alerts": list(runbook.alerts),
        "mode": policy.mode_of(runbook).value,
        "risk": runbook.risk.value,
        "window": runbook.window,
        "ladder": list(runbook.ladder),
        "steps": [
            {
                "id": step.id,
                "action": step.action,
                "with": dict(step.params),
                "timeout_seconds": step.timeout_seconds,
                "repeat": step.repeat.value,
            }
            for step in runbook.steps
        ],
        "may_run_on": [runbook.target_key] if runbook.target_key else may,
        "targets": [
            _target(policy, runbook, key, [run for run in own if run.target == key], now)
            for key in touched
        ],
        "runs": _figures(runs),
        "recent": runs[:RECENT],
    }


def _target(
    policy: Policy, runbook: Runbook, key: str, own: Sequence[PastRun], now: datetime
) -> Json:
    limits = runbook.limits
    opened = breaker.opened(own, policy.breaker)
    ends = [run.ended_at for run in own if run.ended_at is not None]
    cool = max(ends) + timedelta(seconds=limits.cooldown_seconds) if ends else now
    used = sum(1 for run in own if (now - run.claimed_at).total_seconds() < limits.per_seconds)
    return {
        "target": key,
        "breaker": {
            "open": opened is not None,
            "why": None if opened is None else opened.why,
            "since": None if opened is None else rfc3339(opened.at),
        },
        "cooldown_until": rfc3339(cool) if cool > now else None,
        "attempts": {"used": used, "of": limits.attempts, "per_seconds": limits.per_seconds},
    }


def _figures(runs: Sequence[Mapping[str, Any]]) -> Json:
    """A run that was cancelled or aborted says nothing of the entry."""
    mended = sum(1 for run in runs if run["state"] in MENDED)
    not_mended = sum(1 for run in runs if run["state"] in NOT_MENDED)
    took = [run["seconds_to_mend"] for run in runs if run["seconds_to_mend"] is not None]
    judged = mended + not_mended
    return {
        "total": len(runs),
        "mended": mended,
        "not_mended": not_mended,
        "success_rate": mended / judged if judged else None,
        "median_seconds_to_mend": median(took) if took else None,
    }

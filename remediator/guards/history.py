"""What the journal says: who works where, what was tried, how often, and how it went.

Rule: pure. A run that was cancelled touched nothing and counts for nothing.
"""

from collections.abc import Iterable
from datetime import datetime

from remediator import breaker
from remediator.guards.case import Case
from remediator.outcomes import Reason, State
from remediator.policy import Risk
from remediator.runs import ACTIVE, Allowed, Blocked, PastRun


def target_free(case: Case) -> Allowed | Blocked:
    taken = {case.plan.target.key} | case.plan.target.excludes
    for run in case.past:
        if run.state in ACTIVE and run.target in taken:
            return Blocked(Reason.TARGET_BUSY, f"run {run.run_id} works on {run.target}")
    return Allowed("no other run works on the target")


def concurrency(case: Case) -> Allowed | Blocked:
    """One disruption at a time: two at once hide from each other what they do."""
    if case.plan.runbook.risk is Risk.SAFE:
        return Allowed("a safe entry disturbs no other")
    active = [
        run
        for run in case.past
        if run.state in ACTIVE and _disturbs(run, case) and not _waits_for_us(run, case)
    ]
    most = case.policy.concurrency
    if len(active) < most:
        return Allowed(f"{len(active)} of {most} runs at once")
    where = ", ".join(f"run {run.run_id} on {run.target}" for run in active)
    return Blocked(Reason.TOO_MANY_RUNS, f"{where}; at most {most} at once")


def _waits_for_us(run: PastRun, case: Case) -> bool:
    """It is done, and cannot be proven before what it needs is mended: two would wait in a ring."""
    target = case.policy.topology.get(run.target)
    return (
        run.state is State.VERIFYING
        and target is not None
        and case.plan.target.key in target.depends_on
    )


def cooldown(case: Case) -> Allowed | Blocked:
    """Counted from the end of the last run, its verification included."""
    wanted = case.plan.runbook.limits.cooldown_seconds
    ends = [run.ended_at for run in _own(case) if run.ended_at is not None]
    if not ends:
        return Allowed("no earlier run")
    since = (case.now - max(ends)).total_seconds()
    detail = f"the last run ended {since:.0f} s ago, {wanted:.0f} s are wanted"
    return Allowed(detail) if since >= wanted else Blocked(Reason.COOLDOWN, detail)


def attempts(case: Case) -> Allowed | Blocked:
    limits = case.plan.runbook.limits
    used = _since(_own(case), case.now, limits.per_seconds)
    detail = f"{used} of {limits.attempts} attempts used in {limits.per_seconds:.0f} s"
    return Allowed(detail) if used < limits.attempts else Blocked(Reason.ATTEMPTS_EXHAUSTED, detail)


def budget(case: Case) -> Allowed | Blocked:
    """Over all runbooks and targets together."""
    counted = _counted(case.past)
    hour, day = _since(counted, case.now, 3600.0), _since(counted, case.now, 86400.0)
    per_hour, per_day = case.policy.runs_per_hour, case.policy.runs_per_day
    detail = f"{hour} of {per_hour} runs used in an hour, {day} of {per_day} in a day"
    if hour < per_hour and day < per_day:
        return Allowed(detail)
    return Blocked(Reason.BUDGET_EXHAUSTED, detail)


def circuit_breaker(case: Case) -> Allowed | Blocked:
    """A human closes it; what is safe gets a trial by itself, and another after each that fails."""
    limits = case.policy.breaker
    found = breaker.opened(_own(case), limits)
    if found is None:
        return Allowed("closed")
    since = (case.now - found.at).total_seconds()
    if case.plan.runbook.risk is Risk.SAFE and since >= limits.trial_after_seconds:
        return Allowed(f"half-open, one trial: {found.why}")
    return Blocked(Reason.BREAKER_OPEN, f"{found.why}; look at it, then reset the breaker")


def _disturbs(run: PastRun, case: Case) -> bool:
    runbook = case.policy.runbooks.get(run.runbook)
    return runbook is None or runbook.risk is not Risk.SAFE


def _counted(runs: Iterable[PastRun]) -> list[PastRun]:
    """A run that was cancelled touched nothing."""
    return [run for run in runs if run.state is not State.CANCELLED]


def _own(case: Case) -> list[PastRun]:
    """The runs of this runbook on this target."""
    key = (case.plan.runbook.id, case.plan.target.key)
    return [run for run in _counted(case.past) if (run.runbook, run.target) == key]


def _since(runs: Iterable[PastRun], now: datetime, seconds: float) -> int:
    return sum(1 for run in runs if (now - run.claimed_at).total_seconds() < seconds)

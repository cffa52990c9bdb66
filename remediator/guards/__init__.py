"""Whether a plan may be carried out now. GUARDS is the one table, in the order of its reasons.

Rule: pure. Every guard is asked and recorded each time, in observe mode too; a guard that
cannot tell says no.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from remediator.guards.case import Case
from remediator.guards.history import (
    attempts,
    budget,
    circuit_breaker,
    concurrency,
    cooldown,
    target_free,
)
from remediator.guards.monitoring import (
    capacity,
    confirmed,
    dependencies,
    firing_age,
    fresh_data,
    not_muted,
    sighted,
    still_firing,
    storm_brake,
    storm_now,
    unless_firing,
)
from remediator.guards.orders import (
    approval,
    deploy,
    is_asked,
    kill_switch,
    maintenance,
    mode,
    target_allowed,
    window,
)
from remediator.guards.underway import stopped
from remediator.outcomes import Reason, State
from remediator.runs import Allowed, Blocked, Judgement, Question, Verdict

__all__ = ["CALLS_HUMAN_AFTER", "GUARDS", "Case", "judge", "needs_human", "stopped"]

Guard = Callable[[Case], Allowed | Blocked]

GUARDS: tuple[tuple[str, Guard], ...] = (
    ("kill_switch", kill_switch),
    ("mode", mode),
    ("fresh_data", fresh_data),
    ("sighted", sighted),
    ("still_firing", still_firing),
    ("firing_age", firing_age),
    ("not_muted", not_muted),
    ("maintenance", maintenance),
    ("window", window),
    ("deploy", deploy),
    ("dependencies", dependencies),
    ("unless_firing", unless_firing),
    ("confirmed", confirmed),
    ("storm_brake", storm_brake),
    ("capacity", capacity),
    ("target_free", target_free),
    ("concurrency", concurrency),
    ("cooldown", cooldown),
    ("attempts", attempts),
    ("budget", budget),
    ("circuit_breaker", circuit_breaker),
    ("approval", approval),
    ("target_allowed", target_allowed),
)

CALLS_HUMAN_AFTER: Mapping[Reason, timedelta] = {
    # Waiting does not lift these soon.
    Reason.TOO_OLD: timedelta(0),
    Reason.STORM: timedelta(0),
    Reason.ATTEMPTS_EXHAUSTED: timedelta(0),
    Reason.BUDGET_EXHAUSTED: timedelta(0),
    Reason.BREAKER_OPEN: timedelta(0),
    Reason.TARGET_DENIED: timedelta(0),
    # Nobody can tell; a moment of that is normal.
    Reason.PROMETHEUS_UNREACHABLE: timedelta(minutes=2),
    Reason.DATA_STALE: timedelta(minutes=2),
    Reason.EXPORTER_BLIND: timedelta(minutes=2),
    Reason.ALERTMANAGER_UNREACHABLE: timedelta(minutes=2),
    Reason.NOT_NOTIFIED: timedelta(minutes=2),
    # It would do harm, or help nobody.
    Reason.NOT_CONFIRMED: timedelta(minutes=5),
    Reason.CAPACITY: timedelta(minutes=5),
    # A run that holds a target for so long does not come to an end.
    Reason.TARGET_BUSY: timedelta(minutes=15),
    Reason.TOO_MANY_RUNS: timedelta(minutes=15),
    # Another incident explains it and has a call of its own, but not for ever.
    Reason.INHIBITED: timedelta(hours=1),
    Reason.DEPENDENCY_FIRING: timedelta(hours=1),
    Reason.OTHER_ALERT_FIRING: timedelta(hours=1),
}
"""Blocks for which a human is called, once they have lasted for so long."""

WANTED = frozenset(
    {
        Reason.MODE_OBSERVE,
        Reason.NOT_FIRING,
        Reason.SILENCED,
        Reason.MAINTENANCE,
        Reason.OUTSIDE_WINDOW,
        Reason.DEPLOYING,
    }
)
"""Blocks that somebody has ordered, or that leave nothing to call for."""


def judge(case: Case) -> Judgement:
    """Ask every guard, in order, and say what that makes of the run."""
    verdicts = tuple(Verdict(name, guard(case)) for name, guard in GUARDS)
    reasons = {verdict.answer.reason for verdict in verdicts if isinstance(verdict.answer, Blocked)}
    state, asks = State.BLOCKED if reasons else State.CLAIMED, None
    if reasons == {Reason.MODE_OBSERVE}:
        state = State.SKIPPED  # it would have acted now
    elif reasons == {Reason.NEEDS_APPROVAL}:
        state = State.AWAITING_APPROVAL
        if not is_asked(case):
            until = case.now + timedelta(seconds=case.policy.approval_seconds)
            asks = Question(case.plan.hash, until)
    return Judgement(state, verdicts, storms=storm_now(case) is not None, asks=asks)


def needs_human(blocks: frozenset[Reason], blocked_since: datetime, now: datetime) -> Reason | None:
    """The reason for which a blocked run may not wait in silence any longer."""
    if blocks & WANTED:
        return None
    waited = now - blocked_since
    lasting = {reason for reason, after in CALLS_HUMAN_AFTER.items() if waited >= after}
    return min(blocks & lasting, default=None)

"""Whether a plan may be carried out now. GUARDS is the one table, in the order of its reasons.

Rule: pure. Every guard is asked and recorded each time, in observe mode too; a guard that
cannot tell says no.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from remediator import breaker, storm
from remediator.alerts import is_same_alert
from remediator.outcomes import Reason, State
from remediator.planner import Plan
from remediator.policy import Mode, Policy, Risk
from remediator.ports import AlertState
from remediator.runs import ACTIVE, Allowed, Blocked, Judgement, PastRun, Verdict

FOR_GOOD = frozenset(
    {Reason.ATTEMPTS_EXHAUSTED, Reason.BUDGET_EXHAUSTED, Reason.BREAKER_OPEN, Reason.STORM}
)
"""Blocks that waiting does not lift soon: a human is called."""

BLIND = frozenset(
    {
        Reason.PROMETHEUS_UNREACHABLE,
        Reason.DATA_STALE,
        Reason.ALERTMANAGER_UNREACHABLE,
        Reason.NOT_NOTIFIED,
    }
)
"""Blocks because nobody can tell: a human is called when they last."""

BLIND_PAGE_AFTER = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Case:
    """All that the guards look at. `state` None: Prometheus could not be asked.

    `started_at` is when the alert began; `past` are the runs that were ever allowed within
    `policy.memory_seconds`, this run not among them. `paused` says why nothing may begin;
    `storm_at` is when it last stormed.
    """

    plan: Plan
    policy: Policy
    started_at: datetime
    state: AlertState | None
    past: tuple[PastRun, ...]
    now: datetime
    paused: str | None = None
    storm_at: datetime | None = None


def judge(case: Case) -> Judgement:
    """Ask every guard, in order, and say what that makes of the run."""
    verdicts = tuple(Verdict(name, guard(case)) for name, guard in GUARDS)
    reasons = {verdict.answer.reason for verdict in verdicts if isinstance(verdict.answer, Blocked)}
    state = State.BLOCKED if reasons else State.CLAIMED
    if reasons == {Reason.MODE_OBSERVE}:
        state = State.SKIPPED  # it would have acted now
    return Judgement(state, verdicts, storms=_storm_now(case) is not None)


def needs_human(blocks: frozenset[Reason], blocked_since: datetime, now: datetime) -> Reason | None:
    """The reason for which a blocked run may not wait in silence any longer."""
    if blocks & {Reason.MODE_OBSERVE, Reason.NOT_FIRING, Reason.SILENCED}:
        return None
    for_long = BLIND if now - blocked_since >= BLIND_PAGE_AFTER else frozenset()
    return min(blocks & (FOR_GOOD | for_long), default=None)


def kill_switch(case: Case) -> Allowed | Blocked:
    if case.paused is not None:
        return Blocked(Reason.PAUSED, case.paused)
    return Allowed("nobody has paused the remediator")


def mode(case: Case) -> Allowed | Blocked:
    if case.policy.mode is not Mode.AUTO:
        return Blocked(Reason.MODE_OBSERVE, f"mode is {case.policy.mode}: nothing is touched")
    return Allowed("mode is auto")


def fresh_data(case: Case) -> Allowed | Blocked:
    if case.state is None:
        return Blocked(Reason.PROMETHEUS_UNREACHABLE, "Prometheus could not be asked")
    age, limit = case.state.data_age_seconds, case.policy.max_data_age_seconds
    if age is None or not age <= limit:
        told = "there is no data" if age is None else f"the newest data is {age:.0f} s old"
        return Blocked(Reason.DATA_STALE, f"{told}, at most {limit:.0f} s is believed")
    return Allowed(f"the newest data is {max(age, 0):.0f} s old")


def still_firing(case: Case) -> Allowed | Blocked:
    if case.state is None:
        return Blocked(Reason.PROMETHEUS_UNREACHABLE, "Prometheus could not be asked")
    if any(is_same_alert(alert.labels, case.plan.labels) for alert in case.state.firing):
        return Allowed("Prometheus says the alert fires")
    return Blocked(Reason.NOT_FIRING, "Prometheus does not say that the alert fires")


def not_muted(case: Case) -> Allowed | Blocked:
    """A human who silences an alert wants quiet, from machines too."""
    if case.state is None:
        return Blocked(Reason.PROMETHEUS_UNREACHABLE, "Prometheus could not be asked")
    if case.state.notified is None:
        told = "Alertmanager could not be asked whether the alert is silenced"
        return Blocked(Reason.ALERTMANAGER_UNREACHABLE, told)
    same = [a for a in case.state.notified if is_same_alert(a.labels, case.plan.labels)]
    for alert in same:
        if alert.muted is not None:
            return Blocked(alert.muted, f"the alert is {alert.muted} in Alertmanager")
    if not same:
        # It is on its way there; until it has come, no silence can be seen.
        return Blocked(Reason.NOT_NOTIFIED, "Alertmanager does not hold the alert")
    return Allowed("neither silenced nor inhibited")


def firing_age(case: Case) -> Allowed | Blocked:
    age = (case.now - case.started_at).total_seconds()
    wanted = case.plan.runbook.firing_for_seconds
    detail = f"firing for {age:.0f} s, {wanted:.0f} s are wanted"
    return Allowed(detail) if age >= wanted else Blocked(Reason.TOO_YOUNG, detail)


def dependencies(case: Case) -> Allowed | Blocked:
    needed = case.plan.target.depends_on
    if not needed:
        return Allowed("the target depends on nothing")
    if case.state is None:
        return Blocked(Reason.PROMETHEUS_UNREACHABLE, "Prometheus could not be asked")
    for alert in case.state.firing:
        if alert.labels.get("service") in needed:
            name, service = alert.labels.get("alertname"), alert.labels["service"]
            return Blocked(Reason.DEPENDENCY_FIRING, f"{name} fires on {service}: mend that first")
    for service in needed:
        if service in case.state.lately:
            detail = f"an alert on {service} has just ended: the target may find back by itself"
            return Blocked(Reason.DEPENDENCY_FIRING, detail)
    return Allowed(f"no alert fires on {', '.join(needed)}")


def storm_brake(case: Case) -> Allowed | Blocked:
    """Many faults at once have one cause, which no runbook entry knows."""
    if case.state is None:
        return Blocked(Reason.PROMETHEUS_UNREACHABLE, "Prometheus could not be asked")
    found = _storm_now(case)
    if found is not None:
        return Blocked(Reason.STORM, found)
    if case.storm_at is not None:
        calm, wanted = (case.now - case.storm_at).total_seconds(), case.policy.storm.calm_seconds
        if calm < wanted:
            detail = f"calm for {max(calm, 0):.0f} s after a storm, {wanted:.0f} s are wanted"
            return Blocked(Reason.STORM, detail)
    return Allowed("no storm")


def target_free(case: Case) -> Allowed | Blocked:
    taken = {case.plan.target.key} | case.plan.target.excludes
    for run in case.past:
        if run.state in ACTIVE and run.target in taken:
            return Blocked(Reason.TARGET_BUSY, f"run {run.run_id} works on {run.target}")
    return Allowed("no other run works on the target")


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


Guard = Callable[[Case], Allowed | Blocked]

GUARDS: tuple[tuple[str, Guard], ...] = (
    ("kill_switch", kill_switch),
    ("mode", mode),
    ("fresh_data", fresh_data),
    ("still_firing", still_firing),
    ("not_muted", not_muted),
    ("firing_age", firing_age),
    ("dependencies", dependencies),
    ("storm_brake", storm_brake),
    ("target_free", target_free),
    ("cooldown", cooldown),
    ("attempts", attempts),
    ("budget", budget),
    ("circuit_breaker", circuit_breaker),
)


def _storm_now(case: Case) -> str | None:
    if case.state is None:
        return None
    in_flight = [run.target for run in case.past if run.state in ACTIVE]
    return storm.seen(case.state, in_flight, case.policy, case.now)


def _counted(runs: Iterable[PastRun]) -> list[PastRun]:
    """A run that was cancelled touched nothing."""
    return [run for run in runs if run.state is not State.CANCELLED]


def _own(case: Case) -> list[PastRun]:
    """The runs of this runbook on this target."""
    key = (case.plan.runbook.id, case.plan.target.key)
    return [run for run in _counted(case.past) if (run.runbook, run.target) == key]


def _since(runs: Iterable[PastRun], now: datetime, seconds: float) -> int:
    return sum(1 for run in runs if (now - run.claimed_at).total_seconds() < seconds)

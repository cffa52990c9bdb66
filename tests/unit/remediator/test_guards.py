"""Each guard's table, and what all of them make of a run."""

import inspect
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from remediator import guards
from remediator.guards import Case, case, history, monitoring, orders
from remediator.outcomes import BLOCKING, Reason, State
from remediator.planner import Plan
from remediator.policy import Mode
from remediator.ports import AlertState, FiringAlert, NotifiedAlert
from remediator.runs import ACTIVE, Allowed, Blocked, PastRun
from tests.builders import DOWN, START, a_policy, a_runbook

POLICY = a_policy()
FIRES = FiringAlert(DOWN, START)
FIRES_ALONE = AlertState((FIRES,), 1.0, notified=(NotifiedAlert(DOWN, None),))
Answer = Reason | None
Guard = Callable[[Case], Allowed | Blocked]


def a_case(**changes: Any) -> Case:  # noqa: ANN401 - the fields of a Case
    plan = Plan(POLICY.runbooks["restart"], POLICY.topology["web"], DOWN)
    case = Case(plan, POLICY, START - timedelta(minutes=1), FIRES_ALONE, (), START)
    return replace(case, **changes)


def ago(seconds: float) -> datetime:
    return START - timedelta(seconds=seconds)


def a_run(
    state: State = State.EFFECTIVE,
    claimed: float = 700,
    ended: float | None = 650,
    runbook: str = "restart",
    target: str = "web",
) -> PastRun:
    return PastRun(7, runbook, target, state, ago(claimed), None if ended is None else ago(ended))


def says(guard: Guard, case: Case) -> Answer:
    answer = guard(case)
    assert answer.detail
    return answer.reason if isinstance(answer, Blocked) else None


def test_a_plain_case_is_allowed_by_every_guard_and_claimed() -> None:
    judgement = guards.judge(a_case())
    assert judgement.state is State.CLAIMED
    assert [v.guard for v in judgement.verdicts] == [name for name, _ in guards.GUARDS]


@pytest.mark.parametrize(
    ("mode", "answer"), [(Mode.AUTO, None), (Mode.OBSERVE, Reason.MODE_OBSERVE)]
)
def test_mode(mode: Mode, answer: Answer) -> None:
    assert says(guards.mode, a_case(policy=replace(POLICY, mode=mode))) is answer


@pytest.mark.parametrize(
    ("age", "answer"),
    [
        (0.0, None),
        (-1.0, None),
        (45.0, None),
        (45.1, Reason.DATA_STALE),
        (None, Reason.DATA_STALE),
        (float("nan"), Reason.DATA_STALE),
        (float("inf"), Reason.DATA_STALE),
    ],
)
def test_fresh_data(age: float | None, answer: Answer) -> None:
    assert says(guards.fresh_data, a_case(state=AlertState((FIRES,), age))) is answer


@pytest.mark.parametrize(
    "guard",
    [
        guards.fresh_data,
        guards.still_firing,
        guards.not_muted,
        guards.dependencies,
        guards.storm_brake,
    ],
)
def test_an_unreachable_prometheus_blocks(guard: Guard) -> None:
    assert says(guard, a_case(state=None)) is Reason.PROMETHEUS_UNREACHABLE


@pytest.mark.parametrize(
    ("labels", "answer"),
    [
        (DOWN, None),
        ({k: v for k, v in DOWN.items() if k == "alertname"}, None),
        (DOWN | {"service": "edge"}, Reason.NOT_FIRING),
        (DOWN | {"alertname": "Other"}, Reason.NOT_FIRING),
    ],
)
def test_still_firing(labels: dict[str, str], answer: Answer) -> None:
    state = AlertState((FiringAlert(labels, START),), 1.0)
    assert says(guards.still_firing, a_case(state=state)) is answer


STACK = {"stack": "piano-tutor"}


@pytest.mark.parametrize(
    ("notified", "answer"),
    [
        ((NotifiedAlert(DOWN | STACK, None),), None),
        ((NotifiedAlert(DOWN | STACK, Reason.SILENCED),), Reason.SILENCED),
        ((NotifiedAlert(DOWN | STACK, Reason.INHIBITED),), Reason.INHIBITED),
        (
            (NotifiedAlert(DOWN, None), NotifiedAlert(DOWN | STACK, Reason.SILENCED)),
            Reason.SILENCED,
        ),
        ((NotifiedAlert(DOWN | {"service": "edge"}, None),), Reason.NOT_NOTIFIED),
        ((), Reason.NOT_NOTIFIED),
        (None, Reason.ALERTMANAGER_UNREACHABLE),
    ],
)
def test_not_muted(notified: tuple[NotifiedAlert, ...] | None, answer: Answer) -> None:
    state = AlertState((FIRES,), 1.0, notified=notified)
    assert says(guards.not_muted, a_case(state=state)) is answer


@pytest.mark.parametrize(
    ("age", "answer"),
    [
        (29, Reason.TOO_YOUNG),
        (30, None),
        (-5, Reason.TOO_YOUNG),
        (86400, None),
        (86401, Reason.TOO_OLD),
    ],
)
def test_firing_age(age: float, answer: Answer) -> None:
    plan = replace(a_case().plan, runbook=a_runbook("restart", firing_for_seconds=30))
    assert says(guards.firing_age, a_case(plan=plan, started_at=ago(age))) is answer


def test_what_waits_for_its_window_is_never_too_old() -> None:
    plan = replace(a_case().plan, runbook=a_runbook("restart", window="night"))
    assert says(guards.firing_age, a_case(plan=plan, started_at=ago(6 * 86400))) is None


@pytest.mark.parametrize(
    ("service", "answer"), [("db", Reason.DEPENDENCY_FIRING), ("cache", None), ("web", None)]
)
def test_dependencies(service: str, answer: Answer) -> None:
    other = FiringAlert({"alertname": "Any", "service": service}, START)
    assert says(guards.dependencies, a_case(state=AlertState((FIRES, other), 1.0))) is answer


@pytest.mark.parametrize(
    ("sees", "running", "answer"),
    [
        (True, {}, None),
        (None, {}, None),
        (False, {}, Reason.EXPORTER_BLIND),
        (False, {"web": True}, Reason.EXPORTER_BLIND),
        (False, {"web": False}, None),
    ],
)
def test_who_sees_nothing_judges_only_what_the_engine_says(
    *, sees: bool | None, running: dict[str, bool], answer: Answer
) -> None:
    state = AlertState((FIRES,), 1.0, running=running, sees=sees)
    assert says(guards.sighted, a_case(state=state)) is answer
    assert says(guards.sighted, a_case(state=None)) is Reason.PROMETHEUS_UNREACHABLE


@pytest.mark.parametrize(
    ("service", "severity", "answer"),
    [("db", "P1", Reason.DEPENDENCY_FIRING), ("db", "P2", None), ("cache", "P1", None)],
)
def test_a_fault_of_a_dependency_that_is_not_told_yet_blocks_too(
    service: str, severity: str, answer: Answer
) -> None:
    """A client is often told of sooner than what it needs, and restarting it mends nothing."""
    labels = {"alertname": "Any", "service": service, "severity": severity}
    state = AlertState((FIRES,), 1.0, pending=(FiringAlert(labels, START),))
    assert says(guards.dependencies, a_case(state=state)) is answer


@pytest.mark.parametrize(
    ("severity", "answer"),
    [
        ("P0", Reason.DEPENDENCY_FIRING),
        ("P1", Reason.DEPENDENCY_FIRING),
        ("own words", Reason.DEPENDENCY_FIRING),
        ("P2", None),
        ("P3", None),
        ("none", None),
    ],
)
def test_a_minor_alert_on_a_dependency_explains_nothing(severity: str, answer: Answer) -> None:
    labels = {"alertname": "Any", "service": "db", "severity": severity}
    state = AlertState((FIRES, FiringAlert(labels, START)), 1.0)
    assert says(guards.dependencies, a_case(state=state)) is answer


@pytest.mark.parametrize(
    ("category", "answer"),
    [("database", Reason.DEPENDENCY_FIRING), ("remediation", None), ("meta", None)],
)
def test_what_became_of_a_dependencys_remediation_explains_nothing(
    category: str, answer: Answer
) -> None:
    labels = {"alertname": "Any", "service": "db", "severity": "P1", "category": category}
    state = AlertState((FIRES, FiringAlert(labels, START)), 1.0)
    assert says(guards.dependencies, a_case(state=state)) is answer


@pytest.mark.parametrize(
    ("service", "answer"), [("db", Reason.DEPENDENCY_FIRING), ("cache", None), ("", None)]
)
def test_a_dependency_that_has_just_come_back_still_blocks(service: str, answer: Answer) -> None:
    state = AlertState((FIRES,), 1.0, lately=frozenset({service}))
    assert says(guards.dependencies, a_case(state=state)) is answer


@pytest.mark.parametrize("target", ["web", "edge", "cache"])
@pytest.mark.parametrize("state", sorted(set(State) - {State.BLOCKED, State.SKIPPED}))
def test_target_free(state: State, target: str) -> None:
    busy = state in ACTIVE and target != "cache"
    case = a_case(past=(a_run(state, target=target),))
    assert says(guards.target_free, case) is (Reason.TARGET_BUSY if busy else None)


@pytest.mark.parametrize(
    ("run", "answer"),
    [
        (a_run(ended=599), Reason.COOLDOWN),
        (a_run(ended=600), None),
        (a_run(claimed=700, ended=10), Reason.COOLDOWN),
        (a_run(State.FAILED, ended=10), Reason.COOLDOWN),
        (a_run(State.CANCELLED, ended=10), None),
        (a_run(ended=10, runbook="other"), None),
        (a_run(ended=10, target="worker"), None),
    ],
)
def test_cooldown_counts_from_the_end_of_the_last_run(run: PastRun, answer: Answer) -> None:
    assert says(guards.cooldown, a_case(past=(run,))) is answer


@pytest.mark.parametrize(
    ("runs", "answer"),
    [
        ([], None),
        ([a_run()], None),
        ([a_run(), a_run()], Reason.ATTEMPTS_EXHAUSTED),
        ([a_run(State.INEFFECTIVE), a_run(State.FAILED)], Reason.ATTEMPTS_EXHAUSTED),
        ([a_run(), a_run(claimed=3600)], None),
        ([a_run(), a_run(State.CANCELLED)], None),
        ([a_run(), a_run(target="worker")], None),
    ],
)
def test_attempts(runs: list[PastRun], answer: Answer) -> None:
    assert says(guards.attempts, a_case(past=tuple(runs))) is answer


@pytest.mark.parametrize(
    ("ages", "answer"),
    [
        ([60] * 5, None),
        ([60] * 6, Reason.BUDGET_EXHAUSTED),
        ([3600] * 11, None),
        ([3600] * 12, Reason.BUDGET_EXHAUSTED),
        ([86400] * 12, None),
    ],
)
def test_budget_counts_every_target(ages: list[float], answer: Answer) -> None:
    past = tuple(a_run(claimed=age, runbook="any", target="any") for age in ages)
    assert says(guards.budget, a_case(past=past)) is answer


@pytest.mark.parametrize(("paused", "answer"), [(None, None), ("by me: why", Reason.PAUSED)])
def test_kill_switch(paused: str | None, answer: Answer) -> None:
    assert says(guards.kill_switch, a_case(paused=paused)) is answer


def test_every_guard_is_asked_in_observe_mode_too_and_only_mode_makes_it_skipped() -> None:
    observed = a_case(policy=replace(POLICY, mode=Mode.OBSERVE))
    assert guards.judge(observed).state is State.SKIPPED
    cooling = replace(observed, past=(a_run(ended=1),))
    judgement = guards.judge(cooling)
    assert judgement.state is State.BLOCKED
    assert [b.reason for b in judgement.blocks] == [Reason.MODE_OBSERVE, Reason.COOLDOWN]


@pytest.mark.parametrize(
    ("blocks", "seconds", "answer"),
    [
        ({Reason.ATTEMPTS_EXHAUSTED}, 0, Reason.ATTEMPTS_EXHAUSTED),
        ({Reason.BREAKER_OPEN}, 0, Reason.BREAKER_OPEN),
        ({Reason.BUDGET_EXHAUSTED, Reason.COOLDOWN}, 0, Reason.BUDGET_EXHAUSTED),
        ({Reason.ATTEMPTS_EXHAUSTED, Reason.NOT_FIRING}, 0, None),
        ({Reason.ATTEMPTS_EXHAUSTED, Reason.MODE_OBSERVE}, 0, None),
        ({Reason.DATA_STALE}, 119, None),
        ({Reason.DATA_STALE}, 120, Reason.DATA_STALE),
        ({Reason.DEPENDENCY_FIRING}, 3599, None),
        ({Reason.DEPENDENCY_FIRING}, 3600, Reason.DEPENDENCY_FIRING),
        ({Reason.INHIBITED}, 3600, Reason.INHIBITED),
        ({Reason.OTHER_ALERT_FIRING}, 3600, Reason.OTHER_ALERT_FIRING),
        ({Reason.DEPENDENCY_FIRING, Reason.SILENCED}, 3600, None),
        ({Reason.COOLDOWN}, 9999, None),
        ({Reason.NEEDS_APPROVAL}, 9999, None),
        ({Reason.NEEDS_APPROVAL, Reason.BREAKER_OPEN}, 0, Reason.BREAKER_OPEN),
        (set(), 0, None),
    ],
)
def test_when_a_blocked_run_needs_a_human(
    blocks: set[Reason], seconds: float, answer: Answer
) -> None:
    assert guards.needs_human(frozenset(blocks), ago(seconds), START) is answer


def test_the_reasons_of_guards_are_those_that_the_source_names() -> None:
    source = "".join(inspect.getsource(part) for part in (case, history, monitoring, orders))
    named = set(re.findall(r"Blocked\(\s*Reason\.(\w+)", source))
    muted = {Reason.SILENCED.name, Reason.INHIBITED.name}  # Alertmanager's words, passed on

    assert named | muted == {reason.name for reason in BLOCKING}


def test_the_table_stands_in_the_order_of_the_reasons() -> None:
    places = []
    for _, guard in guards.GUARDS:
        own = re.findall(r"Blocked\(\s*Reason\.(\w+)", inspect.getsource(guard))
        places.append(max((BLOCKING.index(Reason[name]) for name in own), default=None))
    known = [place for place in places if place is not None]
    assert known == sorted(known)

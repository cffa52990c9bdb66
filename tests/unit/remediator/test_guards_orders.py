"""The guards that ask what people have ordered, and those that ask what else must be left."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from remediator import guards
from remediator.checks import ProbesCheck, RunningCheck
from remediator.guards import Case
from remediator.outcomes import Reason, State
from remediator.planner import Plan
from remediator.policy import Group, Mode, Policy, Risk, Runbook
from remediator.ports import AlertState, Check, Finding, FiringAlert
from remediator.runs import (
    Allowed,
    Approval,
    Blocked,
    Decision,
    DeployLock,
    Maintenance,
    PastRun,
)
from remediator.windows import Window
from tests.builders import DB_DOWN, DOWN, START, a_policy, a_runbook

POLICY = a_policy()
Answer = Reason | None
MINUTE = timedelta(minutes=1)


def a_case(policy: Policy = POLICY, runbook: Runbook | None = None, **changes: object) -> Case:
    plan = Plan(runbook or policy.runbooks["restart"], policy.topology["web"], DOWN)
    case = Case(
        plan, policy, START - MINUTE, AlertState((FiringAlert(DOWN, START),), 1.0), (), START
    )
    return replace(case, **changes)


def reason(answer: Allowed | Blocked) -> Answer:
    assert answer.detail
    return answer.reason if isinstance(answer, Blocked) else None


# -- deployments ------------------------------------------------------------------------


def a_lock(taken: int, until: int, released: int | None = None) -> DeployLock:
    """Minutes from now."""
    at = None if released is None else START + released * MINUTE
    return DeployLock("ci", "v2", START + taken * MINUTE, START + until * MINUTE, at)


@pytest.mark.parametrize(
    ("lock", "answer"),
    [
        (None, None),
        (a_lock(-1, 29), Reason.DEPLOYING),
        (a_lock(-31, -1), Reason.RECENT_DEPLOY),
        (a_lock(-20, 10, -1), Reason.RECENT_DEPLOY),
        (a_lock(-40, -10, -15), None),
        (a_lock(-45, -15), None),
    ],
)
def test_deploy(lock: DeployLock | None, answer: Answer) -> None:
    assert reason(guards.deploy(a_case(deploy=lock))) is answer
    back = a_case(runbook=a_runbook("restart", after_deploy=True), deploy=lock)
    expected = answer if answer is Reason.DEPLOYING else None
    assert reason(guards.deploy(back)) is expected


# -- maintenance and windows --------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "minutes", "answer"),
    [
        ("web", 1, Reason.MAINTENANCE),
        (None, 1, Reason.MAINTENANCE),
        ("db", 1, None),
        ("web", 0, None),
    ],
)
def test_maintenance(target: str | None, minutes: int, answer: Answer) -> None:
    work = Maintenance(1, target, "ann", "disks", START - MINUTE, START + minutes * MINUTE)
    assert reason(guards.maintenance(a_case(maintenance=(work,)))) is answer


MONDAY_NOON = Window(frozenset({0}), (START - MINUTE).time(), (START + MINUTE).time(), UTC)
NEVER = replace(MONDAY_NOON, days=frozenset({1}))


@pytest.mark.parametrize(
    ("window", "answer"), [(MONDAY_NOON, None), (NEVER, Reason.OUTSIDE_WINDOW)]
)
def test_an_entry_with_a_window_runs_in_it_only(window: Window, answer: Answer) -> None:
    policy = a_policy(windows={"night": window})
    case = a_case(policy, a_runbook("restart", window="night"))
    assert reason(guards.window(case)) is answer
    assert reason(guards.window(a_case(policy))) is None


@pytest.mark.parametrize(
    ("window", "own", "answer"),
    [
        (MONDAY_NOON, None, Reason.MAINTENANCE),
        (MONDAY_NOON, "night", None),
        (NEVER, None, None),
    ],
)
def test_in_a_quiet_window_only_its_own_entries_run(
    window: Window, own: str | None, answer: Answer
) -> None:
    policy = a_policy(windows={"night": window}, quiet_windows=("night",))
    assert reason(guards.maintenance(a_case(policy, a_runbook("restart", window=own)))) is answer


ROME = ZoneInfo("Europe/Rome")
LATE = Window(frozenset({6}), time(23), time(2), ROME, frozenset({-1}))


@pytest.mark.parametrize(
    ("utc", "inside"),
    [
        ("2026-03-29T20:59:00", False),  # the last Sunday of March; summer time has begun
        ("2026-03-29T21:00:00", True),
        ("2026-03-29T23:59:00", True),
        ("2026-03-30T00:00:00", False),
        ("2026-03-22T21:30:00", False),  # a Sunday, not the last
        ("2026-10-25T21:59:00", False),  # summer time has ended
        ("2026-10-25T22:00:00", True),
        ("2026-10-26T00:59:00", True),
        ("2026-10-26T01:00:00", False),
    ],
)
def test_a_window_over_midnight_in_local_time_in_the_last_week(utc: str, *, inside: bool) -> None:
    assert LATE.holds(datetime.fromisoformat(utc).replace(tzinfo=UTC)) is inside


# -- approval -----------------------------------------------------------------------------

ASKS = a_policy(mode=Mode.APPROVE)
HASH = a_case(ASKS).plan.hash


def asked(
    decision: Decision | None = None, minutes_ago: float = 1, plan_hash: str = HASH
) -> Approval:
    at = START - minutes_ago * MINUTE
    expires_at = at + 15 * MINUTE
    return Approval(plan_hash, expires_at, decision, "ann", at if decision else None)


@pytest.mark.parametrize(
    ("approval", "answer", "asks"),
    [
        (None, Reason.NEEDS_APPROVAL, True),
        (asked(), Reason.NEEDS_APPROVAL, False),
        (asked(minutes_ago=15), Reason.NEEDS_APPROVAL, True),
        (asked(plan_hash="another"), Reason.NEEDS_APPROVAL, True),
        (asked(Decision.APPROVED), None, False),
        (asked(Decision.APPROVED, plan_hash="another"), Reason.NEEDS_APPROVAL, True),
        (asked(Decision.APPROVED, minutes_ago=15.1), Reason.NEEDS_APPROVAL, True),
        (asked(Decision.DENIED), Reason.NEEDS_APPROVAL, False),
    ],
)
def test_approval(approval: Approval | None, answer: Answer, *, asks: bool) -> None:
    case = a_case(ASKS, approval=approval)
    assert reason(guards.approval(case)) is answer

    calm = replace(case.state or AlertState((), None), notified=None)
    judgement = guards.judge(replace(case, state=calm))
    assert judgement.asks is None, "nobody is asked while another guard says no"
    assert (guards.is_asked(case) is False) is (asks or approval == asked(Decision.APPROVED))


def test_only_the_stricter_mode_counts() -> None:
    for ours, entrys, expected in (
        (Mode.AUTO, Mode.APPROVE, Reason.NEEDS_APPROVAL),
        (Mode.APPROVE, Mode.AUTO, Reason.NEEDS_APPROVAL),
        (Mode.AUTO, Mode.AUTO, None),
    ):
        case = a_case(a_policy(mode=ours), a_runbook("restart", mode=entrys))
        assert reason(guards.approval(case)) is expected
    observed = a_case(a_policy(mode=Mode.AUTO), a_runbook("restart", mode=Mode.OBSERVE))
    assert reason(guards.mode(observed)) is Reason.MODE_OBSERVE


def test_whatever_changes_in_a_plan_changes_its_hash() -> None:
    plan = a_case().plan
    (step,) = plan.runbook.steps
    others = [
        replace(plan, runbook=replace(plan.runbook, id="other")),
        replace(plan, target=POLICY.topology["db"]),
        *(
            replace(plan, runbook=replace(plan.runbook, steps=(replace(step, **change),)))
            for change in ({"params": {"x": 1}}, {"action": "other"}, {"timeout_seconds": 11})
        ),
    ]
    assert len({plan.hash, *(other.hash for other in others)}) == 1 + len(others)
    assert replace(plan, labels={"another": "alert"}).hash == plan.hash


# -- second signal, other alerts, deny list -------------------------------------------------


@pytest.mark.parametrize(
    ("verdicts", "answer"),
    [
        ([Check.FAIL, Check.FAIL], None),
        ([Check.FAIL, Check.PASS], Reason.NOT_CONFIRMED),
        ([Check.INCONCLUSIVE, Check.FAIL], Reason.NOT_CONFIRMED),
        ([Check.FAIL], Reason.NOT_CONFIRMED),
        ([], Reason.NOT_CONFIRMED),
    ],
)
def test_confirmed(verdicts: list[Check], answer: Answer) -> None:
    runbook = a_runbook("restart", confirm=(ProbesCheck(), RunningCheck()))
    findings = tuple(Finding("probes", verdict, "told") for verdict in verdicts)
    assert reason(guards.confirmed(a_case(runbook=runbook, confirmed=findings))) is answer
    assert reason(guards.confirmed(a_case())) is None


@pytest.mark.parametrize(
    ("name", "answer"), [("Upgrade", Reason.OTHER_ALERT_FIRING), ("Else", None)]
)
def test_unless_firing(name: str, answer: Answer) -> None:
    runbook = a_runbook("restart", unless_firing=frozenset({"Upgrade"}))
    state = AlertState((FiringAlert({"alertname": name}, START),), 1.0)
    assert reason(guards.unless_firing(a_case(runbook=runbook, state=state))) is answer
    assert reason(guards.unless_firing(a_case(runbook=runbook, state=None))) is not None


def test_a_target_that_is_denied_or_not_in_the_topology_as_it_is_now() -> None:
    assert reason(guards.target_allowed(a_case())) is None
    denied = a_policy(never_touch=frozenset({"c-web"}))
    assert reason(guards.target_allowed(a_case(denied))) is Reason.TARGET_DENIED
    other = replace(a_case(), policy=a_policy(topology={"db": POLICY.topology["db"]}))
    assert reason(guards.target_allowed(other)) is Reason.TARGET_DENIED


# -- capacity and concurrency ---------------------------------------------------------------

PAIR = a_policy(groups={"pair": Group(("web", "worker"), 1)})
WELL = {"web": True, "worker": True}
PROBED = {"web-ready": True}


@pytest.mark.parametrize(
    ("running", "probes", "answer"),
    [
        (WELL, PROBED, None),
        (WELL | {"worker": False}, PROBED, Reason.CAPACITY),
        ({"web": True}, PROBED, Reason.CAPACITY),
        (WELL | {"web": False, "worker": False}, PROBED, None),
        (WELL | {"worker": False}, {"web-ready": False}, None),
        (WELL | {"worker": False}, {}, Reason.CAPACITY),
        ({}, {}, Reason.CAPACITY),
    ],
)
def test_capacity(running: dict[str, bool], probes: dict[str, bool], answer: Answer) -> None:
    state = AlertState((FiringAlert(DOWN, START),), 1.0, running=running, probes=probes)
    case = a_case(PAIR, state=state)
    assert reason(guards.capacity(case)) is answer
    assert reason(guards.capacity(replace(case, policy=POLICY))) is None
    safe = a_case(PAIR, a_runbook("restart", risk=Risk.SAFE), state=state)
    assert reason(guards.capacity(safe)) is None


def test_a_stand_in_that_is_worked_on_does_not_count() -> None:
    state = AlertState((), 1.0, running=WELL, probes=PROBED)
    case = a_case(PAIR, state=state, past=(a_run("worker"),))
    assert reason(guards.capacity(case)) is Reason.CAPACITY
    assert reason(guards.capacity(replace(case, state=None))) is Reason.PROMETHEUS_UNREACHABLE


def a_run(target: str, runbook: str = "restart", state: State = State.EXECUTING) -> PastRun:
    return PastRun(7, runbook, target, state, START - MINUTE, None)


@pytest.mark.parametrize(
    ("target", "state", "answer"),
    [
        ("web", State.VERIFYING, None),
        ("web", State.EXECUTING, Reason.TOO_MANY_RUNS),
        ("cache", State.VERIFYING, Reason.TOO_MANY_RUNS),
    ],
)
def test_what_is_only_to_be_proven_never_keeps_its_dependency_waiting(
    target: str, state: State, answer: Answer
) -> None:
    plan = Plan(POLICY.runbooks["restart-db"], POLICY.topology["db"], DB_DOWN)
    case = a_case(plan=plan, past=(a_run(target, state=state),))
    assert reason(guards.concurrency(case)) is answer


@pytest.mark.parametrize(
    ("past", "answer"),
    [
        ((), None),
        ((a_run("cache"),), Reason.TOO_MANY_RUNS),
        ((a_run("cache", state=State.BLOCKED),), None),
        ((a_run("cache", "sweep"),), None),
        ((a_run("cache", "gone"),), Reason.TOO_MANY_RUNS),
    ],
)
def test_concurrency(past: tuple[PastRun, ...], answer: Answer) -> None:
    safe = a_runbook("sweep", risk=Risk.SAFE)
    policy = a_policy(runbooks={**POLICY.runbooks, "sweep": safe})
    assert reason(guards.concurrency(a_case(policy, past=past))) is answer
    assert reason(guards.concurrency(a_case(policy, safe, past=past))) is None
    two = replace(policy, concurrency=2)
    assert reason(guards.concurrency(a_case(two, past=past))) is None

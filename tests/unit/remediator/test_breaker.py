"""The circuit breaker: what opens it, who closes it, and that time alone does not."""

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from remediator import guards
from remediator.breaker import BreakerLimits, opened
from remediator.guards import Case
from remediator.outcomes import Reason, State
from remediator.planner import Plan
from remediator.policy import Risk
from remediator.ports import Check
from remediator.runs import Blocked, PastRun
from tests.builders import DOWN, START, Loop, a_policy, a_runbook

LIMITS = BreakerLimits()
GOOD, BAD, LOST, WEAK = State.EFFECTIVE, State.FAILED, State.INCONCLUSIVE, State.INEFFECTIVE
HALTED, NOTHING = State.ABORTED, State.CANCELLED
BACK, HELD = State.RECURRED, State.HELD
HOUR = 3600


def history(*runs: tuple[float, State], forgiven: int = 0) -> tuple[PastRun, ...]:
    """(seconds since START, state) of each run; the first so many were forgiven."""
    return tuple(
        PastRun(
            number,
            "restart",
            "web",
            state,
            START + timedelta(seconds=at),
            START + timedelta(seconds=at + 60),
            number < forgiven,
        )
        for number, (at, state) in enumerate(runs)
    )


@pytest.mark.parametrize(
    ("runs", "is_open"),
    [
        ([], False),
        ([(0, BAD)], False),
        ([(0, BAD), (9 * HOUR, WEAK)], True),
        ([(0, LOST), (9 * HOUR, LOST)], True),
        ([(0, BAD), (9 * HOUR, GOOD), (18 * HOUR, BAD)], False),
        ([(0, BAD), (9 * HOUR, GOOD), (11 * HOUR, BAD)], True),  # within two hours of its end
        ([(0, BAD), (9 * HOUR, GOOD), (11 * HOUR + 60, BAD)], False),
        ([(0, BAD), (9 * HOUR, BACK)], True),
        ([(0, BAD), (9 * HOUR, HELD), (18 * HOUR, BAD)], False),
        ([(0, BAD), (9 * HOUR, HALTED), (18 * HOUR, BAD)], True),
        ([(0, BAD), (9 * HOUR, NOTHING), (18 * HOUR, BAD)], True),
        ([(0, BAD), (9 * HOUR, NOTHING)], False),
        ([(0, GOOD), (HOUR, GOOD)], False),
        ([(0, GOOD), (HOUR, GOOD), (6 * HOUR - 1, GOOD)], True),
        ([(0, GOOD), (HOUR, GOOD), (6 * HOUR, GOOD)], False),
        ([(n * 4 * HOUR, GOOD) for n in range(6)], True),
        ([(n * 5 * HOUR, GOOD) for n in range(9)], False),
    ],
)
def test_what_opens_it(runs: list[tuple[float, State]], *, is_open: bool) -> None:
    assert (opened(reversed(history(*runs)), LIMITS) is not None) is is_open


def test_only_what_a_human_has_not_forgiven_counts() -> None:
    runs = [(0.0, BAD), (HOUR, BAD), (2 * HOUR, BAD)]
    assert opened(history(*runs, forgiven=3), LIMITS) is None
    assert opened(history(*runs, forgiven=2), LIMITS) is None
    assert opened(history(*runs, forgiven=1), LIMITS) is not None


def test_a_trial_that_works_closes_it_and_one_that_does_not_starts_the_wait_again() -> None:
    failed = [(0.0, BAD), (HOUR, BAD)]
    assert opened(history(*failed, (10 * HOUR, GOOD)), LIMITS) is None
    again = opened(history(*failed, (10 * HOUR, BAD)), LIMITS)
    assert again is not None
    assert again.at == START + timedelta(seconds=10 * HOUR + 60)


@pytest.mark.parametrize("risk", list(Risk))
@pytest.mark.parametrize("hours", [5, 7, 24 * 365])
def test_only_what_is_safe_gets_a_trial_and_time_closes_nothing(risk: Risk, hours: int) -> None:
    policy = a_policy()
    plan = Plan(a_runbook("restart", risk=risk), policy.topology["web"], DOWN)
    now = START + timedelta(hours=hours + 1)
    past = history((0, BAD), (HOUR, BAD))
    answer = guards.circuit_breaker(Case(plan, policy, START, None, past, now))
    refused = isinstance(answer, Blocked) and answer.reason is Reason.BREAKER_OPEN
    assert refused is not (risk is Risk.SAFE and hours > 6)


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    loop = Loop(tmp_path / "state.sqlite")
    yield loop
    loop.close()


def a_fault(loop: Loop) -> None:
    loop.told(DOWN)
    loop.turn()
    loop.alerts.firing.clear()
    loop.pass_seconds(3600 + 15 * 60)
    loop.turn()


def test_a_slow_leak_stops_at_the_breaker_pages_and_goes_on_after_a_reset(loop: Loop) -> None:
    loop.policy = replace(loop.policy, runs_per_day=99, max_age_seconds=math.inf)
    for _ in range(5):
        a_fault(loop)
    assert len(loop.actions["restart"].runs) == 3, "each worked, and it came back"
    assert loop.pager.paged[0][1:] == ("web", Reason.BREAKER_OPEN)

    loop.pass_seconds(40 * 24 * HOUR)
    loop.close()
    loop.open()
    a_fault(loop)
    assert len(loop.actions["restart"].runs) == 3, "time does not reset it"

    loop.orders.reset_breaker("restart", "web", "ann", loop.clock())
    a_fault(loop)
    assert len(loop.actions["restart"].runs) == 4


def test_two_failures_in_a_row_open_it(loop: Loop) -> None:
    loop.verifier.verdicts = [Check.FAIL]
    for _ in range(4):
        a_fault(loop)
        loop.pass_seconds(9 * HOUR)
    assert len(loop.actions["restart"].runs) == 2

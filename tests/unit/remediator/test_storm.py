"""The storm brake: when so much is broken that one cause is likely, nothing is begun."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from remediator import storm
from remediator.outcomes import Reason
from remediator.policy import Policy, StormLimits
from remediator.ports import AlertState, FiringAlert
from remediator.topology import Target
from tests.builders import DOWN, START, Loop, a_policy


def a_world(at_least: int = 3) -> Policy:
    """Ten services; s1 to s4 need s0."""
    topology = {
        f"s{n}": Target(f"s{n}", "app", f"c{n}", (), ("s0",) if 0 < n < 5 else ())
        for n in range(10)
    }
    return a_policy(topology=topology, storm=StormLimits(at_least=at_least))


def firing(
    *numbers: int, seconds_ago: float = 0, name: str = "ServiceDown", severity: str = "P1"
) -> AlertState:
    at = START - timedelta(seconds=seconds_ago)
    alerts = ({"alertname": name, "service": f"s{n}", "severity": severity} for n in numbers)
    return AlertState(tuple(FiringAlert(labels, at) for labels in alerts), 1.0)


@pytest.mark.parametrize(
    ("state", "in_flight", "storms"),
    [
        (firing(), (), False),
        (firing(0, 1, 2, 3, 4), (), False),
        (firing(0, 1, 2, 3, 4, 5), (), True),
        (firing(0, 1, 2, 3, 4), ("s5",), True),
        (firing(0, 1, 2, 3, 4), ("s0",), False),
        (firing(0, 1, 2, 3, 4, 5, seconds_ago=121), (), False),
        (firing(0, 1, 2, 3, 4, 5, seconds_ago=120), (), True),
        (firing(5, 6, 7, seconds_ago=999), (), False),
        (firing(5, 6, 7, 8, seconds_ago=999), (), True),
        (firing(5, 6, 7, 8, seconds_ago=999, name="NobodyMendsThis"), (), True),
        (firing(5, 6, 7, 8, seconds_ago=999, name="NobodyMendsThis", severity="P2"), (), False),
        (firing(5, 6, 7, 8, seconds_ago=999, name="NobodyMendsThis", severity="P3"), (), False),
        (firing(5, 6, 7, 8, seconds_ago=999, severity="P2"), (), True),
        (firing(0, 1, 2, 3, 4, 5, seconds_ago=0, name="NobodyMendsThis"), (), False),
        (firing(5, 6, 7, seconds_ago=999), ("s8",), True),
        (firing(0, 1, 2, 5, 6, seconds_ago=999), (), False),
    ],
)
def test_what_is_a_storm(state: AlertState, in_flight: tuple[str, ...], *, storms: bool) -> None:
    assert (storm.seen(state, in_flight, a_world(), START) is not None) is storms


@pytest.mark.parametrize(
    ("category", "storms"),
    [
        ("availability", True),
        ("health", True),
        ("errors", False),
        ("meta", False),
        ("remediation", False),
    ],
)
def test_what_nobody_mends_counts_when_it_says_that_the_service_is_broken(
    category: str, *, storms: bool
) -> None:
    alerts = firing(5, 6, 7, 8, seconds_ago=999, name="NobodyMendsThis").firing
    told = [FiringAlert(dict(a.labels) | {"category": category}, a.active_at) for a in alerts]
    assert (storm.seen(AlertState(tuple(told), 1.0), (), a_world(), START) is not None) is storms


@pytest.mark.parametrize(("at_least", "storms"), [(4, True), (5, False)])
def test_a_share_of_few_services_is_no_storm(at_least: int, *, storms: bool) -> None:
    state = firing(5, 6, 7, 8, seconds_ago=999)
    assert (storm.seen(state, (), a_world(at_least), START) is not None) is storms


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    loop = Loop(tmp_path / "state.sqlite", policy=a_world())
    yield loop
    loop.close()


def test_a_storm_stops_everything_pages_and_is_left_after_five_calm_minutes(loop: Loop) -> None:
    alerts = [DOWN | {"service": f"s{n}"} for n in range(6)]
    loop.told(*alerts)
    loop.turn()

    assert loop.actions["restart"].runs == []
    assert {reason for _, _, reason in loop.pager.paged} == {Reason.STORM}
    # What waits for s0 is held by its dependency, and by the storm as well.
    reasons = {
        guard["reason"]
        for guard in loop.incidents()[1]["runs"][0]["guards"]
        if guard["verdict"] == "blocked"
    }
    assert reasons == {"dependency_firing", "storm"}

    loop.alerts.firing[:] = alerts[5:]
    loop.close()
    loop.open()
    loop.pass_seconds(299)
    loop.turn()
    assert loop.actions["restart"].runs == [], "remembered over a restart"
    loop.pass_seconds(1)
    loop.turn()
    assert loop.actions["restart"].runs == ["s5"]


def test_a_storm_of_what_nobody_mends_here_is_remembered_as_well(loop: Loop) -> None:
    """No run waits that would be judged in it."""
    loop.alerts.firing[:] = [{"alertname": "NobodyMendsThis", "service": f"s{n}"} for n in range(8)]
    loop.reconcile()
    assert loop.incidents() == []

    loop.alerts.firing[:] = []
    loop.pass_seconds(299)
    loop.told(DOWN | {"service": "s5"})
    loop.turn()

    assert loop.actions["restart"].runs == []
    assert {reason for _, _, reason in loop.pager.paged} == {Reason.STORM}

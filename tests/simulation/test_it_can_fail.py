"""The simulation notices when a guard is missing: without that it would prove nothing.

Those that stand behind another one (what is not fresh does not fire either, a pause is asked for
twice), or need two lanes at once, are hard to hit by chance; all of them are known to
`tests/unit/remediator/test_every_guard.py`.
"""

import logging
from collections.abc import Iterator

import pytest

from remediator import guards, pipeline, resume, steps
from remediator.guards import GUARDS
from remediator.ports import Alerts, AlertState
from remediator.runs import Allowed
from tests.simulation.history import History
from tests.simulation.world import Broken

HIT_BY_CHANCE = (
    "mode",
    "firing_age",
    "not_muted",
    "window",
    "deploy",
    "dependencies",
    "storm_brake",
    "attempts",
    "budget",
    "circuit_breaker",
    "approval",
    "target_allowed",
)
SEEDS = range(80)
"""Tried in turn until one history is broken: mostly one of the first."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def is_noticed() -> bool:
    for seed in SEEDS:
        try:
            History(seed).run()
        except Broken:
            return True
    return False


@pytest.mark.parametrize("name", HIT_BY_CHANCE)
def test_a_history_is_broken_without_a_guard(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    removed = tuple(
        (guard, (lambda _case: Allowed("it was removed")) if guard == name else ask)
        for guard, ask in GUARDS
    )
    monkeypatch.setattr(guards, "GUARDS", removed)
    assert is_noticed()


def test_a_history_is_broken_when_prometheus_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ask = steps.firing_now
    answers: dict[int, AlertState | None] = {}

    def remembered(alerts: Alerts) -> AlertState | None:
        known = answers.get(id(alerts))
        if known is None or not known.firing:
            answers[id(alerts)] = known = ask(alerts)
        return known

    for module in (pipeline, resume, steps):
        monkeypatch.setattr(module, "firing_now", remembered)
    assert is_noticed()

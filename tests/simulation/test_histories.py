"""Random days of a small production: the invariants hold in each, whatever happens.

`pytest tests/simulation --histories 10000 --first-seed 0`; a history that breaks one prints its
seed and its timeline, and `--histories 1 --first-seed <seed>` plays it again.
"""

import functools
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.simulation.history import History, Kind
from tests.simulation.world import Broken

SHOWN_LINES = 250
PAIRS = 25


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Thousands of expected warnings help nobody."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def play(seed: int, kind: Kind | None = None) -> History:
    history = History(seed, kind or Kind())
    try:
        history.run()
    except Broken as broken:
        story = "\n".join(history.world.story().splitlines()[-SHOWN_LINES:])
        pytest.fail(f"{story}\n\nhistory {seed}: {broken}", pytrace=False)
    return history


@pytest.mark.timeout(0)
def test_the_invariants_hold_in_random_histories(histories: range) -> None:
    acted: Counter[str] = Counter()
    for seed in histories:
        acted.update(effect.runbook for effect in play(seed).auditor.effects)
    if len(histories) >= 50:
        assert set(acted) == set(History(0).policy.runbooks), "each entry was run in some history"


def done(history: History) -> dict[str, list[str]]:
    """What was done to each target, in order; and for which targets a human was called."""
    found: dict[str, list[str]] = {}
    for effect in history.auditor.effects:
        found.setdefault(effect.target, []).append(f"{effect.runbook}/{effect.step}")
    for runbook, target in history.auditor.paged.values():
        found.setdefault(target, []).append(f"a human for {runbook}")
    return found


FAIR = Kind(noise=0.0, zeal=0, outages=0, deaths=0, slow=0, is_fair=True)


@functools.cache
def with_perfect_delivery(seed: int) -> dict[str, list[str]]:
    return done(play(seed, FAIR))


NOISES = {
    "nothing ever arrives": None,
    "half is lost, late, twice or in another order": 0.5,
    "all is": 1.0,
}
"""Against perfect delivery. What is compared: for each target, which steps of which entries were
done, how often and in which order, and whom a human was called for. Not the times: what no
webhook tells is found by the next reconcile. The worlds are `is_fair`: what an action does, how
long it takes and when faults come is the same, whatever was told when.
"""


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_how_webhooks_arrive_changes_nothing_in_what_is_done(noise: float | None) -> None:
    compared = 0
    for seed in range(PAIRS):
        perfect, other = with_perfect_delivery(seed), done(play(seed, replace(FAIR, noise=noise)))
        compared += sum(map(len, perfect.values()))
        assert other == perfect, f"history {seed}"
    assert compared > PAIRS

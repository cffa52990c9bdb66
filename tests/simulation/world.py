"""Simulated time: events in their order, and lanes of work that wait in it.

Rule: whatever is random comes from the history's seed, and only one thing happens at a time:
the same seed is the same history.
"""

import heapq
import itertools
from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import NoReturn

from remediator.replay.lanes import Killed, Lane, Lanes
from tests.fakes import START

__all__ = ["Broken", "Killed", "Lane", "World"]


class Broken(BaseException):
    """An invariant does not hold. No edge of the code under test may swallow it."""


class World:
    """`seconds` since the start. `chance(name)` is a stream of randomness of its own."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.seconds = 0.0
        self.timeline: list[tuple[float, str]] = []
        self.lanes = Lanes(self.after)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def clock(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def chance(self, name: str) -> Random:
        return Random(f"{self.seed}/{name}")

    def tell(self, text: str) -> None:
        self.timeline.append((self.seconds, text))

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        self.at(self.seconds + seconds, event)

    def at(self, seconds: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (max(seconds, self.seconds), next(self._numbers), event))

    def run(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            self.seconds, _, event = heapq.heappop(self._events)
            event()
        self.seconds = until

    def broken(self, what: str) -> NoReturn:
        self.tell(f"BROKEN: {what}")
        raise Broken(what)

    def story(self) -> str:
        """The timeline for a human."""
        return "\n".join(
            f"{START + timedelta(seconds=t):%d %H:%M:%S} {x}" for t, x in self.timeline
        )

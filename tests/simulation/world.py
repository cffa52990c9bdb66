"""Simulated time: events in their order, and lanes of work that wait in it.

Rule: whatever is random comes from the history's seed, and only one thing happens at a time:
the same seed is the same history.
"""

import heapq
import itertools
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import NoReturn

from tests.fakes import START


class Killed(BaseException):
    """The remediator's process is gone: nothing after it runs."""


class Broken(BaseException):
    """An invariant does not hold. No edge of the code under test may swallow it."""


class World:
    """`seconds` since the start. `chance(name)` is a stream of randomness of its own."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.seconds = 0.0
        self.timeline: list[tuple[float, str]] = []
        self.lanes = Lanes(self)
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


class _Thread:
    """Does one piece of work after the other; kept for the next history."""

    def __init__(self) -> None:
        self.go = threading.Lock()
        self.go.acquire()
        self.work: Callable[[], None] = lambda: None
        threading.Thread(target=self._loop, daemon=True).start()

    def _loop(self) -> None:
        while True:
            self.go.acquire()
            self.work()


_IDLE: list[_Thread] = []


class Lane:
    """A piece of work that may wait. `on_end` is told in simulated time."""

    def __init__(self, name: str, thread: _Thread, on_end: Callable[[], None]) -> None:
        self.name = name
        self.thread = thread
        self.on_end = on_end
        self.is_killed = False
        self.is_over = False
        self.error: BaseException | None = None


class Lanes:
    """Real threads of which one runs at a time, so that the code under test may just wait."""

    def __init__(self, world: World) -> None:
        self.current: Lane | None = None
        self._world = world
        self._waiting: list[Lane] = []
        self._back = threading.Lock()
        self._back.acquire()

    def start(self, name: str, work: Callable[[], None], on_end: Callable[[], None]) -> None:
        lane = Lane(name, _IDLE.pop() if _IDLE else _Thread(), on_end)
        lane.thread.work = partial(self._work, lane, work)
        self._switch(lane)

    def wait(self, seconds: float) -> None:
        """In a lane: let the world go on for so long. Killed when the process has died."""
        lane = self.current
        if lane is None:
            raise AssertionError("only a lane may wait")
        if lane.is_killed:
            raise Killed
        self._waiting.append(lane)
        self._world.after(seconds, partial(self._resume, lane))
        self._back.release()
        lane.thread.go.acquire()
        self._waiting.remove(lane)
        if lane.is_killed:
            raise Killed

    def kill(self) -> None:
        """Whatever waits ends here."""
        for lane in list(self._waiting):
            lane.is_killed = True
            self._switch(lane)

    def _work(self, lane: Lane, work: Callable[[], None]) -> None:
        try:
            work()
        except Killed:
            lane.is_killed = True
        except BaseException as error:  # noqa: BLE001 - told by the thread that runs the history
            lane.error = error
        finally:
            lane.is_over = True
            self._back.release()

    def _resume(self, lane: Lane) -> None:
        if not lane.is_over:
            self._switch(lane)

    def _switch(self, lane: Lane) -> None:
        self.current = lane
        lane.thread.go.release()
        self._back.acquire()
        self.current = None
        if lane.is_over:
            _IDLE.append(lane.thread)
            if lane.error is not None:
                raise lane.error
            lane.on_end()

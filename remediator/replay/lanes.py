"""Simulated time: events in their order, and lanes of work that wait in it.

Rule: only one thing happens at a time, so the same events are the same history; whoever waits
in a lane hands the turn back.
"""

import heapq
import itertools
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

Event = Callable[[], None]
After = Callable[[float, Event], None]


class Killed(BaseException):
    """The process is gone: nothing after it runs. No edge of the pipeline may swallow it."""


class Timeline:
    """Stands still but in `run`, which goes from event to event."""

    def __init__(self, start: datetime) -> None:
        self._now = start
        self._events: list[tuple[datetime, int, Event]] = []
        self._numbers = itertools.count()

    def now(self) -> datetime:
        return self._now

    def after(self, seconds: float, event: Event) -> None:
        self.at(self._now + timedelta(seconds=seconds), event)

    def at(self, moment: datetime, event: Event) -> None:
        """What should have been already is next."""
        heapq.heappush(self._events, (max(moment, self._now), next(self._numbers), event))

    def run(self, until: datetime) -> None:
        while self._events and self._events[0][0] <= until:
            self._now, _, event = heapq.heappop(self._events)
            event()
        self._now = max(self._now, until)


class _Thread:
    """Does one piece of work after the other; kept for the next."""

    def __init__(self) -> None:
        self.go = threading.Lock()
        self.go.acquire()
        self.work: Event = lambda: None
        threading.Thread(target=self._loop, daemon=True).start()

    def _loop(self) -> None:
        while True:
            self.go.acquire()
            self.work()


_IDLE: list[_Thread] = []


class Lane:
    """A piece of work that may wait. `on_end` is told in simulated time."""

    def __init__(self, name: str, thread: _Thread, on_end: Event) -> None:
        self.name = name
        self.thread = thread
        self.on_end = on_end
        self.is_killed = False
        self.is_over = False
        self.error: BaseException | None = None


class Lanes:
    """Real threads of which one runs at a time, so that the code that is played may just wait."""

    def __init__(self, after: After) -> None:
        self.current: Lane | None = None
        self._after = after
        self._waiting: list[Lane] = []
        self._back = threading.Lock()
        self._back.acquire()

    def start(self, name: str, work: Event, on_end: Event) -> None:
        lane = Lane(name, _IDLE.pop() if _IDLE else _Thread(), on_end)
        lane.thread.work = partial(self._work, lane, work)
        self._switch(lane)

    def wait(self, seconds: float) -> None:
        """In a lane: let the world go on for so long. Errors: Killed."""
        lane = self.current
        if lane is None:
            raise AssertionError("only a lane may wait")
        if lane.is_killed:
            raise Killed
        self._waiting.append(lane)
        self._after(seconds, partial(self._resume, lane))
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

    def _work(self, lane: Lane, work: Event) -> None:
        try:
            work()
        except Killed:
            lane.is_killed = True
        except BaseException as error:  # noqa: BLE001 - told by the thread that runs the time
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

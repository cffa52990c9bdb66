"""How often a password may be tried: a few times at once, then after longer and longer waits.

Rule: nobody is locked out. Whoever has logged in from a browser before has a count of his own
there, which no stranger's tries can fill.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

FREE = 5
LONGEST = timedelta(minutes=1)
FORGOTTEN_AFTER = timedelta(minutes=15)
AT_MOST = 10_000


@dataclass(frozen=True, slots=True)
class _Tries:
    failed: int
    last: datetime


class Throttle:
    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._tries: OrderedDict[str, _Tries] = OrderedDict()
        self._lock = threading.Lock()

    def try_one(self, keys: Iterable[str]) -> float:
        """0 when it may be tried now, else the seconds to wait.

        It counts as failed until `succeeded`, so that many at once are not one.
        """
        now = self._clock()
        with self._lock:
            known = {key: self._of(key, now) for key in keys}
            wait = max(tries.last + _pause(tries.failed) - now for tries in known.values())
            if wait > timedelta(0):
                return wait.total_seconds()
            for key, tries in known.items():
                self._keep(key, _Tries(tries.failed + 1, now))
        return 0.0

    def succeeded(self, keys: Iterable[str]) -> None:
        with self._lock:
            for key in keys:
                self._tries.pop(key, None)

    def _of(self, key: str, now: datetime) -> _Tries:
        tries = self._tries.get(key)
        if tries is None or now - tries.last > FORGOTTEN_AFTER:
            return _Tries(0, now)
        return tries

    def _keep(self, key: str, tries: _Tries) -> None:
        """Of a try that was let through: to push others out costs a password's check each."""
        self._tries[key] = tries
        self._tries.move_to_end(key)
        while len(self._tries) > AT_MOST:
            self._tries.popitem(last=False)


def _pause(failed: int) -> timedelta:
    """None for the first tries, then a second, two, four, ... a minute."""
    if failed < FREE:
        return timedelta(0)
    return min(timedelta(seconds=2.0 ** min(failed - FREE, 10)), LONGEST)

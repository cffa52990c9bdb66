"""The time that several remediators share: their journal's server's.

Rule: no clock of a host is read, so none can differ from another; what ticks here only bridges
the time between two answers of the server.
"""

from collections.abc import Callable
from datetime import datetime, timedelta


class SharedClock:
    def __init__(self, ask: Callable[[], datetime], ticks: Callable[[], float]) -> None:
        """`ticks`: seconds since whenever, which nobody sets. Errors: as `ask` has."""
        self._ask = ask
        self._ticks = ticks
        self._zero, _ = self._look()

    def __call__(self) -> datetime:
        return self._zero + timedelta(seconds=self._ticks())

    def set(self) -> None:
        """By the server, unless it may be right already. Errors: as `ask` has."""
        zero, unsure = self._look()
        if abs(zero - self._zero) > unsure:
            self._zero = zero

    def _look(self) -> tuple[datetime, timedelta]:
        """The time when the ticks were 0, and how far off that may be."""
        began = self._ticks()
        said = self._ask()
        ended = self._ticks()
        return said - timedelta(seconds=(began + ended) / 2), timedelta(seconds=(ended - began) / 2)

"""Hours of the week in which something may be begun, or may not.

Rule: pure values; the zone's rules are loaded when the configuration is read. A window that
ends before it begins reaches into the next day.
"""

from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Window:
    """`days` are those on which it begins, 0 for Monday; local times of `zone`.

    `weeks`: only in these weeks of the month, 1 the first and -1 the last; empty for all.
    """

    days: frozenset[int]
    start: time
    end: time
    zone: tzinfo
    weeks: frozenset[int] = frozenset()

    def holds(self, now: datetime) -> bool:
        """Whether `now`, an aware time, is inside."""
        local = now.astimezone(self.zone)
        clock = local.time()
        if self.start < self.end:
            return self._begins(local) and self.start <= clock < self.end
        yesterday = local - timedelta(days=1)
        return (self._begins(local) and clock >= self.start) or (
            self._begins(yesterday) and clock < self.end
        )

    def _begins(self, day: datetime) -> bool:
        if day.weekday() not in self.days:
            return False
        if not self.weeks:
            return True
        is_last = (day + timedelta(days=7)).month != day.month
        return (day.day - 1) // 7 + 1 in self.weeks or (is_last and -1 in self.weeks)

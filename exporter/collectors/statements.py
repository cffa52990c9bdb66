"""Which statements of pg_stat_statements are worth a series of their own.

Rule: pure; rows and the time go in, counters come out. Ranked by what a statement cost of
late, not in all its life, or one that turned slow today stays hidden. An admitted statement
keeps its place for half an hour, so series do not churn. `other` adds up the increases of all
the rest: it never falls, also not when one of them is promoted.
"""

import heapq
import operator
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from exporter.readings import Counts

HALF_LIFE_SECONDS = 300.0
STAY_SECONDS = 1800.0
_CALLS, _SECONDS = 0, 1
_REBASE_HALF_LIVES = 500.0  # long before 2 ** x is no float

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Chosen(Generic[Key]):
    top: Mapping[Key, Counts]
    other: Counts


@dataclass(slots=True)
class TopStatements(Generic[Key]):
    limit: int
    _last: dict[Key, Counts] = field(default_factory=dict)
    # A score does not fade; a later increase weighs more, which ranks the same and lets the
    # thousands that did not change be.
    _scores: dict[Key, float] = field(default_factory=dict)
    _admitted: dict[Key, float] = field(default_factory=dict)  # -> since when
    _other: Counts = ()
    _weighed_from: float | None = None

    def update(self, rows: Mapping[Key, Counts], now: float, *, whole: bool = True) -> Chosen[Key]:
        """Take the server's counters; return the top ones as they are, and the rest as other.

        rows: with whole, all there are; without, those that changed since the last update.
        """
        first = self._weighed_from is None
        increases = {key: _increase(self._last.get(key), counts) for key, counts in rows.items()}
        if whole:
            self._forget_all_but(rows)
        self._last.update(rows)
        self._score(increases, now)
        self._admit(rows, now)
        if not self._other or (rows and len(self._other) != len(next(iter(rows.values())))):
            self._other = (0.0,) * len(next(iter(rows.values()), (0.0,) * 3))
        if not first:
            # What happened before this process began is nobody's increase.
            admitted = self._admitted
            rest = [increase for key, increase in increases.items() if key not in admitted]
            if rest:
                self._other = tuple(map(sum, zip(self._other, *rest, strict=True)))
        return Chosen({key: self._last[key] for key in self._admitted}, self._other)

    def _forget_all_but(self, rows: Mapping[Key, Counts]) -> None:
        for kept in (self._last, self._scores, self._admitted):
            for key in [key for key in kept if key not in rows]:
                del kept[key]

    def _score(self, increases: Mapping[Key, Counts], now: float) -> None:
        if self._weighed_from is None:
            self._weighed_from = now
        half_lives = (now - self._weighed_from) / HALF_LIFE_SECONDS
        if half_lives > _REBASE_HALF_LIVES:
            self._scores = {key: s * 0.5**half_lives for key, s in self._scores.items()}
            self._weighed_from, half_lives = now, 0.0
        weight = 2.0**half_lives
        for key, increase in increases.items():
            self._scores[key] = self._scores.get(key, 0.0) + increase[_SECONDS] * weight

    def _admit(self, rows: Iterable[Key], now: float) -> None:
        # Who did not change has not risen: it only takes a place that is free.
        free = self.limit - len(self._admitted)
        among = self._scores if free > 0 else rows
        candidates = [key for key in among if key not in self._admitted and self._scores[key] > 0]
        if not candidates:
            return
        movable = sorted(
            (key for key, since in self._admitted.items() if now - since >= STAY_SECONDS),
            key=self._scores.__getitem__,
        )
        for key in heapq.nlargest(self.limit, candidates, key=self._scores.__getitem__):
            if len(self._admitted) >= self.limit:
                if not movable or self._scores[movable[0]] >= self._scores[key]:
                    return
                del self._admitted[movable.pop(0)]
            self._admitted[key] = now


def _increase(before: Counts | None, now: Counts) -> Counts:
    # Fewer calls than before: evicted or reset in between, so all there is is new.
    if before is None or len(before) != len(now) or now[_CALLS] < before[_CALLS]:
        return now
    grown = tuple(map(operator.sub, now, before))
    return grown if min(grown) >= 0 else tuple([max(0.0, number) for number in grown])

"""Which statements of pg_stat_statements are worth a series of their own.

Rule: pure; rows and the time go in, counters come out. Ranked by what a statement cost of
late, not in all its life, or one that turned slow today stays hidden. An admitted statement
keeps its place for half an hour, so series do not churn. `other` adds up the increases of all
the rest: it never falls, also not when one of them is promoted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.readings import StatementCounts

Key = tuple[str, str, str]  # user, datname, queryid
OTHER: Key = ("", "", "other")
HALF_LIFE_SECONDS = 300.0
STAY_SECONDS = 1800.0


@dataclass(slots=True)
class TopStatements:
    limit: int
    _last: dict[Key, StatementCounts] = field(default_factory=dict)
    _scores: dict[Key, float] = field(default_factory=dict)
    _admitted: dict[Key, float] = field(default_factory=dict)  # -> since when
    _other: StatementCounts = field(default_factory=lambda: StatementCounts(0, 0, 0))
    _seen_at: float | None = None

    def update(self, rows: Mapping[Key, StatementCounts], now: float) -> dict[Key, StatementCounts]:
        """Take the server's counters; return the top ones as they are, and the rest as other."""
        first = self._seen_at is None
        increases = {key: _increase(self._last.get(key), counts) for key, counts in rows.items()}
        self._score(increases, now)
        self._admit(rows, now)
        if not first:
            # What happened before this process began is nobody's increase.
            for key, increase in increases.items():
                if key not in self._admitted:
                    self._other = _sum(self._other, increase)
        self._last = dict(rows)
        self._seen_at = now
        return {key: rows[key] for key in self._admitted} | {OTHER: self._other}

    def _score(self, increases: Mapping[Key, StatementCounts], now: float) -> None:
        passed = 0.0 if self._seen_at is None else max(0.0, now - self._seen_at)
        fade = 0.5 ** (passed / HALF_LIFE_SECONDS)
        self._scores = {
            key: self._scores.get(key, 0.0) * fade + increase.seconds
            for key, increase in increases.items()
        }

    def _admit(self, rows: Mapping[Key, StatementCounts], now: float) -> None:
        self._admitted = {key: since for key, since in self._admitted.items() if key in rows}
        ranked = sorted(self._scores, key=self._scores.__getitem__, reverse=True)
        movable = sorted(
            (key for key, since in self._admitted.items() if now - since >= STAY_SECONDS),
            key=self._scores.__getitem__,
        )
        for key in ranked[: self.limit]:
            if key in self._admitted or self._scores[key] <= 0:
                continue
            if len(self._admitted) >= self.limit:
                if not movable or self._scores[movable[0]] >= self._scores[key]:
                    return
                del self._admitted[movable.pop(0)]
            self._admitted[key] = now


def _increase(before: StatementCounts | None, now: StatementCounts) -> StatementCounts:
    # Fewer calls than before: evicted or reset in between, so all there is is new.
    if before is None or now.calls < before.calls:
        return now
    return StatementCounts(
        now.calls - before.calls,
        max(0.0, now.seconds - before.seconds),
        max(0.0, now.rows - before.rows),
    )


def _sum(a: StatementCounts, b: StatementCounts) -> StatementCounts:
    return StatementCounts(a.calls + b.calls, a.seconds + b.seconds, a.rows + b.rows)

"""What a benchmark hands back: one Row per comparison, and how a bar is reached.

Rule: a Row holds medians. A bar is a goal, never a test: nothing here fails a build.
"""

from dataclasses import dataclass
from enum import StrEnum
from statistics import median

__all__ = ["Bar", "Better", "Row", "at_least", "at_most", "median", "times"]


class Better(StrEnum):
    LESS = "less"  # CPU, seconds, memory
    MORE = "more"  # throughput


@dataclass(frozen=True, slots=True)
class Bar:
    """A goal for the figure itself, or (of_ratio) for how many times better than the peer."""

    limit: float
    better: Better
    of_ratio: bool = False


def at_most(limit: float) -> Bar:
    return Bar(limit, Better.LESS)


def at_least(limit: float) -> Bar:
    return Bar(limit, Better.MORE)


def times(limit: float) -> Bar:
    """At least this many times better than the peer."""
    return Bar(limit, Better.MORE, of_ratio=True)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. peer: None where nobody does the same, or it is not installed."""

    what: str
    ours: float
    unit: str
    peer: float | None = None
    peer_name: str = ""
    bar: Bar | None = None
    better: Better = Better.LESS

    @property
    def ratio(self) -> float | None:
        """How many times better than the peer; below 1 is worse."""
        if self.peer is None or not self.ours or not self.peer:
            return None
        return self.peer / self.ours if self.better is Better.LESS else self.ours / self.peer

    @property
    def reached(self) -> bool | None:
        """None where there is no bar, or no peer to hold a ratio against."""
        figure = self.ratio if self.bar and self.bar.of_ratio else self.ours
        if self.bar is None or figure is None:
            return None
        if self.bar.better is Better.LESS:
            return figure <= self.bar.limit
        return figure >= self.bar.limit

    def cells(self) -> tuple[str, ...]:
        """what, ours, peer, ratio, bar, reached: as text for a table."""
        peer = "-" if self.peer is None else f"{figure(self.peer)} {self.unit} ({self.peer_name})"
        ratio = "-" if self.ratio is None else f"{figure(self.ratio)}x"
        reached = {True: "yes", False: "no", None: "-"}[self.reached]
        return (self.what, f"{figure(self.ours)} {self.unit}", peer, ratio, self._goal(), reached)

    def _goal(self) -> str:
        if self.bar is None:
            return "-"
        sign = "<=" if self.bar.better is Better.LESS else ">="
        unit = "x" if self.bar.of_ratio else f" {self.unit}"
        return f"{sign} {figure(self.bar.limit)}{unit}"


def figure(number: float) -> str:
    """Three digits that matter; no exponent."""
    if number == 0:
        return "0"
    for limit, digits in ((0.1, 3), (10, 2), (100, 1)):
        if abs(number) < limit:
            return f"{number:.{digits}f}"
    return f"{number:,.0f}"

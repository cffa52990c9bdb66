"""What a report is made of: rows with a verdict each.

Rule: pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Verdict(StrEnum):
    """From the best on."""

    INFO = "info"  # nothing is expected of it
    GOOD = "good"
    WATCH = "watch"  # not as expected, and nothing for an alert
    UNKNOWN = "unknown"  # nobody can tell
    ALERT = "alert"


_ORDER = tuple(Verdict)


@dataclass(frozen=True, slots=True)
class Row:
    """`expected` and `alert` as people write them; empty where there is none."""

    what: str
    value: str
    verdict: Verdict
    expected: str = ""
    alert: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Report:
    title: str
    at: datetime
    sections: tuple[Section, ...]

    @property
    def verdict(self) -> Verdict:
        return worst(row.verdict for section in self.sections for row in section.rows)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    return max(verdicts, key=_ORDER.index, default=Verdict.INFO)


@dataclass(frozen=True, slots=True)
class Bounds:
    """`alert` above `expected`: more is worse. Below: less is."""

    expected: float
    alert: float

    @property
    def more_is_worse(self) -> bool:
        return self.alert >= self.expected

    def verdict(self, value: float) -> Verdict:
        """A value that is no number is unknown."""
        sign = 1 if self.more_is_worse else -1
        if value != value:  # noqa: PLR0124 - NaN alone differs from itself
            return Verdict.UNKNOWN
        if sign * value > sign * self.alert:
            return Verdict.ALERT
        return Verdict.GOOD if sign * value < sign * self.expected else Verdict.WATCH

    def said(self, *, percent: bool) -> tuple[str, str]:
        """(expected, alert) in words."""
        better, worse = ("<", ">") if self.more_is_worse else (">", "<")
        shown = percent_of if percent else number
        return f"{better} {shown(self.expected)}", f"{worse} {shown(self.alert)}"


Thresholds = Mapping[str, Bounds]


def measured(what: str, value: float, bounds: Bounds, *, percent: bool = True) -> Row:
    expected, alert = bounds.said(percent=percent)
    shown = percent_of(value) if percent else number(value)
    return Row(what, shown, bounds.verdict(value), expected, alert)


def unknown(what: str, why: str) -> Row:
    return Row(what, why, Verdict.UNKNOWN)


def percent_of(value: float) -> str:
    return f"{value:.0%}" if value == value else "not a number"  # noqa: PLR0124 - NaN


def number(value: float) -> str:
    return f"{value:,.0f}"


def size(value: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024:  # noqa: PLR2004 - the next unit
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"

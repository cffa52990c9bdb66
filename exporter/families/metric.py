"""What every families module is made of: Metric, declared once, and Family or Row, with samples.

Rule: pure. Samples are (label values in the metric's order, number). Family and Row are tuples,
for there are hundreds of them in a scrape.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias

Sample = tuple[tuple[str, ...], float]


class Kind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    SUMMARY = "summary"


@dataclass(frozen=True, slots=True)
class Metric:
    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()

    def family(self, samples: Iterable[Sample], suffix: str = "") -> "Family":
        """suffix: _sum, _count or _bucket, of a histogram or a summary."""
        return Family(self, tuple(samples), suffix)


class Family(NamedTuple):
    """The samples of one metric."""

    metric: Metric
    samples: Sequence[Sample]
    suffix: str = ""


class Row(NamedTuple):
    """One sample of each of many metrics, all with the same label values."""

    metrics: tuple[Metric, ...]
    labels: tuple[str, ...]
    numbers: tuple[float, ...]

    def families(self) -> list[Family]:
        pairs = zip(self.metrics, self.numbers, strict=True)
        return [Family(metric, ((self.labels, number),)) for metric, number in pairs]


Families: TypeAlias = Sequence[Family | Row]


def families_of(found: Iterable[Family | Row]) -> list[Family]:
    """Every metric by itself."""
    families: list[Family] = []
    for item in found:
        families += item.families() if isinstance(item, Row) else [item]
    return families


def gauge(name: str, help_text: str, labels: tuple[str, ...] = ()) -> Metric:
    return Metric(name, Kind.GAUGE, help_text, labels)


def counter(name: str, help_text: str, labels: tuple[str, ...] = ()) -> Metric:
    return Metric(name, Kind.COUNTER, help_text, labels)


def one_of(labels: tuple[str, ...], words: Iterable[str], chosen: str) -> list[Sample]:
    """One sample per word of a closed list: 1 for the chosen one, 0 for the rest."""
    return [((*labels, word), 1 if word == chosen else 0) for word in words]

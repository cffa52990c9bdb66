"""stackmedic_*: how the exporter itself is doing. Always emitted, for every collector.

Rule: one sample per collector, whatever number of targets it has: the worst of them counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from exporter.families.metric import Family, counter, gauge

SUCCESS = gauge(
    "stackmedic_scrape_collector_success",
    "1 if the collector read all of its targets.",
    ("collector",),
)
DURATION = gauge(
    "stackmedic_scrape_collector_duration_seconds",
    "How long the collector took, its slowest target.",
    ("collector",),
)
TIMEOUTS = counter(
    "stackmedic_scrape_collector_timeouts_total",
    "Runs of the collector that were not done at the scrape's deadline.",
    ("collector",),
)
SOURCE = gauge(
    "stackmedic_collector_source_info",
    "1, with where the collector has its figures from: files of the kernel, or the engine's API.",
    ("collector", "source"),
)
DROPPED = counter(
    "stackmedic_exposition_dropped_samples_total",
    "Samples left out because their series had been written already.",
)
BUILD = gauge("stackmedic_build_info", "1, with the version as label.", ("version", "program"))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one target of one collector fared in one scrape. error: empty on success."""

    collector: str
    error: str
    duration_seconds: float


def collectors(outcomes: Sequence[Outcome], timeouts: Mapping[str, int]) -> list[Family]:
    success: dict[str, bool] = {}
    duration: dict[str, float] = {}
    for outcome in outcomes:
        name = outcome.collector
        success[name] = success.get(name, True) and not outcome.error
        duration[name] = max(duration.get(name, 0.0), outcome.duration_seconds)
    return [
        SUCCESS.family(((name,), int(good)) for name, good in success.items()),
        DURATION.family(((name,), seconds) for name, seconds in duration.items()),
        TIMEOUTS.family(((name,), timeouts.get(name, 0)) for name in success),
    ]


def exporter(version: str, dropped: int) -> list[Family]:
    return [
        DROPPED.family([((), dropped)]),
        BUILD.family([((version, "exporter"), 1)]),
    ]

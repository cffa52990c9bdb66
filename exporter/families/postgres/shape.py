"""How a table of a Postgres reading becomes families: a metric for each column that has one.

Rule: pure; no name is written here.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from exporter.families.metric import Family, Metric, Sample, counter, gauge
from exporter.readings import Table

SERVICE = ("service",)


@dataclass(frozen=True, slots=True)
class Shape:
    """labels: those of every metric, after the service; columns without a metric are not shown."""

    part: str
    metrics: Mapping[str, Metric]


def counters(
    prefix: str, labels: tuple[str, ...], texts: Mapping[str, str], suffix: str = ""
) -> dict[str, Metric]:
    """Column -> counter of that name."""
    return {
        column: counter(f"{prefix}_{column}{suffix}", text, (*SERVICE, *labels))
        for column, text in texts.items()
    }


def gauges(prefix: str, labels: tuple[str, ...], texts: Mapping[str, str]) -> dict[str, Metric]:
    return {
        column: gauge(f"{prefix}_{column}", text, (*SERVICE, *labels))
        for column, text in texts.items()
    }


def shaped(service: str, tables: Mapping[str, Table], shape: Shape) -> list[Family]:
    table = tables.get(shape.part)
    if table is None:
        return []
    keys = [(service, *labels) for labels, _ in table.rows]
    families: list[Family] = []
    for index, column in enumerate(table.columns):
        metric = shape.metrics.get(column)
        if metric is None:
            continue
        samples: list[Sample] = []
        for key, (_, numbers) in zip(keys, table.rows, strict=True):
            number = numbers[index]
            if number is not None:
                samples.append((key, number))
        families.append(Family(metric, samples))
    return families

"""How a table of a Postgres reading becomes families: a metric for each column that has one.

Rule: pure; no name is written here.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from exporter.families.metric import Family, Metric, Row, Sample, counter, gauge
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


def shaped(service: str, tables: Mapping[str, Table], shape: Shape) -> list[Family | Row]:
    table = tables.get(shape.part)
    if table is None:
        return []
    if len(table.rows) == 1:
        return [_row(service, table, shape)]
    keys = [(service, *labels) for labels, _ in table.rows]
    families: list[Family | Row] = []
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


def _row(service: str, table: Table, shape: Shape) -> Row:
    ((labels, numbers),) = table.rows
    columns = zip(table.columns, numbers, strict=True)
    told = [
        (metric, number)
        for column, number in columns
        if number is not None and (metric := shape.metrics.get(column)) is not None
    ]
    metrics = tuple([metric for metric, _ in told])
    return Row(metrics, (service, *labels), tuple([number for _, number in told]))

"""Questions to Prometheus, for rows.

Rule: what cannot be asked, and what has no series, is one unknown row.
"""

from collections.abc import Callable, Mapping
from functools import partial

from remediator.ports import RemediationError
from remediator.prometheus import Sample
from remediator.reports.rows import Bounds, Row, Section, measured, unknown

Ask = Callable[[str], tuple[Sample, ...]]
"""Errors: Transient."""

Make = Callable[[Sample], Row]
NO_SERIES = "no series: is it configured, and is the exporter up?"


def label(labels: Mapping[str, str], *names: str) -> str:
    return " ".join(labels[name] for name in names if labels.get(name))


def section(
    ask: Ask, title: str, expr: str, make: Make, *, none: Row | None = None, sort: bool = True
) -> Section:
    """A row for each series. `none`: the row when there is none."""
    try:
        samples = ask(expr)
    except RemediationError as error:
        return Section(title, (unknown(title, str(error)),))
    rows = [make(sample) for sample in samples]
    if sort:
        rows.sort(key=lambda row: row.what)
    return Section(title, tuple(rows) or (none or unknown(title, NO_SERIES),))


def bounded(
    ask: Ask, title: str, expr: str, bounds: Bounds, *names: str, percent: bool = True
) -> Section:
    return section(ask, title, expr, partial(_bounded, bounds=bounds, names=names, percent=percent))


def _bounded(sample: Sample, *, bounds: Bounds, names: tuple[str, ...], percent: bool) -> Row:
    return measured(label(sample.labels, *names) or "all", sample.value, bounds, percent=percent)

"""All that is looked at, in one table.

Rule: each part is a function of the sources; none of them knows of another.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from remediator.checkup import live, own, routes, runbook, series
from remediator.checkup.documents import Finding
from remediator.checkup.sources import Sources

PARTS: tuple[Callable[[Sources], Iterator[Finding]], ...] = (
    own.remediator,
    own.exporter,
    runbook.remediations,
    runbook.entries_alerts,
    runbook.services,
    runbook.topology,
    runbook.pages,
    runbook.freshness,
    series.metrics,
    series.links,
    routes.webhook,
    routes.reached,
)
LIVE: tuple[Callable[[Sources], Iterator[Finding]], ...] = (live.reachable, live.loaded)


def findings(sources: Sources, *, secrets: Path | None, is_live: bool) -> list[Finding]:
    """All of them, by file and line."""
    parts = PARTS + (LIVE if is_live else ())
    found = [finding for part in parts for finding in part(sources)]
    return sorted({*found, *own.token(sources, secrets)})

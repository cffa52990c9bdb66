"""All that is looked at, in one table.

Rule: each part is a function of the sources; none of them knows of another.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from remediator.checkup import duty, live, own, routes, runbook, series
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
    duty.rota,
    duty.accounts,
)
LIVE: tuple[Callable[[Sources, Path | None], Iterator[Finding]], ...] = (
    live.reachable,
    live.loaded,
    live.journal,
)


def findings(sources: Sources, *, secrets: Path | None, is_live: bool) -> list[Finding]:
    """All of them, by file and line."""
    found = [finding for part in PARTS for finding in part(sources)]
    found += own.secrets_kept(sources, secrets)
    if is_live:
        found += [finding for part in LIVE for finding in part(sources, secrets)]
    return sorted(set(found))

"""Every series that rules, dashboards and the runbook ask for is emitted or recorded.

Rule: what nobody emits is found at the expression that asks for it.
"""

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

from remediator.checkup import promql
from remediator.checkup.documents import Finding, Marked
from remediator.checkup.sources import Sources

_BOARD = re.compile(r"/d/([^/?#]+)")


def metrics(sources: Sources) -> Iterator[Finding]:
    if sources.metrics is None:
        return
    known = sources.metrics | {rule.record for rule in sources.rules if rule.record}
    for owner, expr in _expressions(sources):
        unknown = {
            name
            for name in promql.names(expr.text)
            if name not in known and not promql.is_of_others(name)
        }
        for name in sorted(unknown):
            yield expr.finding(f"{owner}: nobody emits {name}")


def _expressions(sources: Sources) -> Iterator[tuple[str, Marked]]:
    for rule in sources.rules:
        yield rule.alert or rule.record, rule.at.get("expr")
    for entry in sources.of("runbooks").each:
        for check in (*entry.get("verify", "all").each, *entry.get("confirm").each):
            expr = check.get("promql", "expr")
            if expr.text:
                yield entry.get("id").text, expr
    for board in sources.dashboards:
        for panel in _panels(board):
            for target in panel.get("targets").each:
                yield f"panel {panel.get('title').text!r}", target.get("expr")


def _panels(board: Marked) -> Iterator[Marked]:
    for panel in board.get("panels").each:
        yield panel
        yield from panel.get("panels").each  # of a row that is folded


def links(sources: Sources) -> Iterator[Finding]:
    """A link to a dashboard leads to one that there is, and to one of its panels."""
    if not sources.dashboards:
        return
    boards = {
        board.get("uid").text: {panel.get("id").value for panel in _panels(board)}
        for board in sources.dashboards
    }
    for owner, link in _links(sources):
        url = urlsplit(link.text)
        found = _BOARD.search(url.path)
        if found is None:
            continue
        panels = boards.get(found[1])
        if panels is None:
            yield link.finding(f"{owner}: there is no dashboard {found[1]!r}")
            continue
        for panel in parse_qs(url.query).get("viewPanel", []):
            if not panel.isdigit() or int(panel) not in panels:
                yield link.finding(f"{owner}: the dashboard {found[1]} has no panel {panel}")


def _links(sources: Sources) -> Iterator[tuple[str, Marked]]:
    for rule in sources.alerts:
        yield rule.alert, rule.at.get("annotations", "dashboard_url")
    for board in sources.dashboards:
        title = f"dashboard {board.get('title').text!r}"
        for link in board.get("links").each:
            yield title, link.get("url")
        for panel in _panels(board):
            for link in panel.get("links").each:
                yield title, link.get("url")
            for link in panel.get("fieldConfig", "defaults", "links").each:
                yield title, link.get("url")

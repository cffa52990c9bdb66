"""The committed dashboards as tests ask them: what each query is, and what it must answer."""

import json
import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

FOLDER = Path(__file__).resolve().parents[1] / "grafana" / "dashboards"
BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}

Board = dict[str, Any]
Series = dict[str, Any]

YEARS = 365 * 86400.0
# What a number of this unit can be: a time that is a timestamp, a share that is in hundreds or a
# date that is in seconds lies outside.
BETWEEN: Mapping[str, tuple[float, float]] = {
    "percentunit": (-math.inf, 1.5),  # of an error budget more than all may be spent
    "s": (0, 20 * YEARS),
    "d": (-200 * 365, 200 * 365),
    "dateTimeFromNow": (1e12, 1e13),
    "dateTimeAsIso": (1e12, 1e13),
    "bool": (0, 1),
}
# These say something only in trouble, or on other machines: (board, panel, query) and why.
IN_TROUBLE: Mapping[tuple[str, int, str], str] = {
    ("stackmedic-overview", 3, "A"): "nothing fires",
    ("stackmedic-alerting", 11, "B"): "every notification arrives",
    ("stackmedic-alerting", 15, "A"): "nobody let a page lie; then one line without a service",
    ("stackmedic-postgres", 21, "B"): "there is no replication slot",
    ("stackmedic-remediation", 13, "A"): "no guard blocks",
    ("stackmedic-remediation", 15, "B"): "no alert that only a human can mend fired",
    ("stackmedic-services", 9, "A"): "the engine itself restarted nothing",
    ("stackmedic-services", 18, "A"): "no error was logged again",
    ("stackmedic-services", 15, "A"): "a kernel without the io controller counts no reads",
    ("stackmedic-services", 15, "B"): "a kernel without the io controller counts no writes",
    ("stackmedic-host", 12, "A"): "a kernel without the io controller counts no reads",
    ("stackmedic-host", 12, "B"): "a kernel without the io controller counts no writes",
}
NEVER_NEGATIVE = (0, math.inf)
SOME_HAVE = {"colour"}  # alerts about a colour
NOT_LABELS = re.compile(r"Time|Value( #[A-Z])?")


@dataclass(frozen=True)
class Asked:
    """One query of a panel, and what its panel does with the answer."""

    uid: str
    panel: int
    title: str
    ref: str
    expr: str
    at_once: bool
    labels: frozenset[str]  # that its legend, or the columns of its panel, show
    unit: str

    def __str__(self) -> str:
        return f"{self.uid} {self.panel} {self.title!r} {self.ref}"


def panels(board: Board) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def variables(board: Board) -> dict[str, dict[str, Any]]:
    return {variable["name"]: variable for variable in board["templating"]["list"]}


def queries(board: Board) -> Iterator[Asked]:
    for panel in panels(board):
        shown, units = _columns(panel)
        for target in panel["targets"]:
            legend = re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", ""))
            many = len(panel["targets"]) > 1
            value = f"Value #{target['refId']}" if many else "Value"
            yield Asked(
                board["uid"],
                panel["id"],
                panel["title"],
                target["refId"],
                target["expr"],
                bool(target.get("instant")),
                frozenset(legend) | shown,
                units.get(value, panel["fieldConfig"]["defaults"]["unit"]),
            )


def _columns(panel: dict[str, Any]) -> tuple[frozenset[str], dict[str, str]]:
    """The labels that a table shows, and the units of its other fields."""
    renamed: dict[str, str] = {}
    for step in panel.get("transformations", []):
        renamed |= step["options"].get("renameByName", {})
    by_heading = {
        override["matcher"]["options"]: p["value"]
        for override in panel["fieldConfig"]["overrides"]
        for p in override["properties"]
        if p["id"] == "unit"
    }
    units = {field: by_heading[name] for field, name in renamed.items() if name in by_heading}
    return frozenset(field for field in renamed if not NOT_LABELS.fullmatch(field)), units


def marks(board: Board) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Each annotation's name, query and the labels that its texts show."""
    for mark in board["annotations"]["list"]:
        shown = re.findall(r"\{\{(\w+)\}\}", mark["titleFormat"] + mark["textFormat"])
        yield mark["name"], mark["expr"], frozenset(shown)


@dataclass(frozen=True)
class Asker:
    """As Grafana asks: every variable is All; the range ends now."""

    prometheus: str
    seconds: int
    step: int
    until: float | None  # None: now
    rate_interval: str

    def whole(self, expr: str) -> str:
        for name, value in {
            "$__rate_interval": self.rate_interval,
            "$__interval": f"{self.step}s",
            "$__range": f"{self.seconds}s",
        }.items():
            expr = expr.replace(name, value)
        return re.sub(r"\$[a-z]+", ".*", expr)

    def now(self, expr: str) -> list[Series]:
        return self._get("query", {"query": self.whole(expr), "time": str(self._end())})

    def over_time(self, expr: str) -> list[Series]:
        end = self._end()
        times = {"start": str(end - self.seconds), "end": str(end)}
        return self._get(
            "query_range", {"query": self.whole(expr), "step": str(self.step), **times}
        )

    def _end(self) -> float:
        return time.time() if self.until is None else self.until

    def values_of(self, query: str) -> list[str]:
        """Of a variable: label_values(SELECTOR, LABEL)."""
        found = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
        assert found is not None, query
        answer: list[str] = self._data(f"label/{found[2]}/values", {"match[]": found[1]})
        return answer

    def _get(self, what: str, params: dict[str, str]) -> list[Series]:
        result: list[Series] = self._data(what, params)["result"]
        return result

    def _data(self, what: str, params: dict[str, str]) -> Any:  # noqa: ANN401 - JSON
        url = f"{self.prometheus}/api/v1/{what}"
        answer = httpx.get(url, params=params, trust_env=False, timeout=30)
        assert answer.status_code == httpx.codes.OK, (params, answer.text)
        return answer.json()["data"]


def faults(asked: Asked, found: list[Series]) -> list[str]:
    """What is wrong with an answer; nothing when the panel can show it."""
    if not found:
        return [f"{asked}: no data for {asked.expr}"]
    low, high = BETWEEN.get(asked.unit, NEVER_NEGATIVE)
    numbers = [
        float(value) for series in found for _, value in series.get("values", [series.get("value")])
    ]
    odd = [number for number in numbers if not low <= number <= high]
    return [f"{asked}: {odd[:3]} is not in {asked.unit}"] if odd else []


def wrong_with(board: Board, asker: Asker, *, in_trouble: bool) -> list[str]:
    """Of the queries that answer only in trouble, or of the others."""
    wrong: list[str] = []
    labels: dict[int, set[str]] = {}
    shown: dict[int, tuple[Asked, frozenset[str]]] = {}
    for asked in queries(board):
        if ((asked.uid, asked.panel, asked.ref) in IN_TROUBLE) is not in_trouble:
            continue
        found = asker.now(asked.expr) if asked.at_once else asker.over_time(asked.expr)
        wrong += faults(asked, found)
        labels.setdefault(asked.panel, set()).update(*(series["metric"] for series in found))
        already = shown.get(asked.panel, (asked, frozenset()))[1]
        shown[asked.panel] = (asked, already | asked.labels)
    for panel, (asked, wanted) in shown.items():
        if missing := wanted - labels[panel] - SOME_HAVE:
            wrong.append(f"{asked}: without the labels {sorted(missing)}")
    return wrong

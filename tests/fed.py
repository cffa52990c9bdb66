"""What the promtool tests feed the rules: each series, and which of its labels it may lack."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser as promql
import yaml

TESTS = sorted((Path(__file__).resolve().parents[1] / "alert_rules" / "tests").glob("*.yml"))


@dataclass(frozen=True)
class NotAlways:
    """Labels that only some series of the shipped configuration have, and why."""

    series: str  # a pattern of names
    labels: frozenset[str]
    why: str


NOT_ALWAYS = (
    NotAlways(
        "container_.+",
        frozenset({"service"}),
        "a container of a watched project that is no configured service has none",
    ),
    NotAlways(
        "probe_.+",
        frozenset({"colour"}),
        "only what there is in two colours has one",
    ),
    NotAlways(
        "alertmanager_notifications_failed_total",
        frozenset({"reason"}),
        "Alertmanager gives one since 0.26",
    ),
)


@dataclass(frozen=True)
class Fed:
    test: str  # its file and name
    series: str

    @property
    def selector(self) -> promql.VectorSelector:
        found = promql.parse(self.series)
        assert isinstance(found, promql.VectorSelector)
        return found

    @property
    def name(self) -> str:
        return str(self.selector.name)

    @property
    def labels(self) -> dict[str, str]:
        """An empty label is none."""
        return {m.name: m.value for m in self.selector.matchers.matchers if m.value}

    @property
    def may_lack(self) -> set[str]:
        rows = (row for row in NOT_ALWAYS if re.fullmatch(row.series, self.name))
        return {label for row in rows for label in row.labels}


def fed(path: Path) -> Iterator[Fed]:
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    for test in document["tests"]:
        for series in test.get("input_series", ()):
            yield Fed(f"{path.name}: {test['name']}", series["series"])

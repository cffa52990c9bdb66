"""What a promtool test feeds the rules has the labels that a real Prometheus would give it.

A rule that matches, folds or joins by labels proves nothing on series that nobody sends.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml

from tests.contract.inference import Inference

REPO = Path(__file__).resolve().parents[2]
PROBES = yaml.safe_load((REPO / "exporter" / "exporter.yml").read_text())["probes"]
TESTS = sorted((REPO / "alert_rules" / "tests").glob("*.yml"))


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
        "a container of a watched project that is no configured service",
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


def inputs(path: Path) -> Iterator[tuple[str, str]]:
    """Each series of a file, with the name of its test."""
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    for test in document["tests"]:
        for series in test.get("input_series", ()):
            yield test["name"], series["series"]


def wrong_with(series: str, inference: Inference) -> str:
    """Empty when nothing is."""
    selector = promql.parse(series)
    assert isinstance(selector, promql.VectorSelector)
    name = str(selector.name)
    given = {m.name: m.value for m in selector.matchers.matchers if m.value}
    known = inference.of_series(selector)
    if known is None:
        return "nobody sends it"
    may_lack = {la for row in NOT_ALWAYS if re.fullmatch(row.series, name) for la in row.labels}
    missing, too_many = known - may_lack - given.keys(), given.keys() - known
    settled = values_of(name, given, inference)
    wrong = {
        "lacks": missing,
        "should not have": too_many,
        "has in truth": {
            f"{k}={v}" for k, v in settled.items() if k in known and given.get(k, "") != v
        },
    }
    return "; ".join(f"{what} {', '.join(sorted(which))}" for what, which in wrong.items() if which)


def values_of(name: str, given: Mapping[str, str], inference: Inference) -> Mapping[str, str]:
    """The labels whose values are settled by the job, the rule or the configuration."""
    job = inference.job_of(name)
    if job is not None:
        probe = PROBES.get(given.get("target", ""), {})
        return {"job": job} | {key: probe.get(key, "") for key in ("service", "colour") if probe}
    return inference.given_by_rule(given["alertname"]) if name == "ALERTS" else {}


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_every_series_has_the_labels_that_are_really_sent(path: Path, inference: Inference) -> None:
    wrong = [
        f"{path.name}: {test}: {series}: {what}"
        for test, series in inputs(path)
        if (what := wrong_with(series, inference))
    ]

    assert not wrong, "\n".join(wrong)


def test_every_row_of_the_table_is_needed() -> None:
    given = [series for path in TESTS for _, series in inputs(path)]
    for row in NOT_ALWAYS:
        lacking = [s for s in given if re.match(row.series, s) and not row.labels <= labels_in(s)]
        assert lacking, row.why


def labels_in(series: str) -> set[str]:
    selector = promql.parse(series)
    assert isinstance(selector, promql.VectorSelector)
    return {m.name for m in selector.matchers.matchers if m.value}


@pytest.mark.parametrize(
    ("series", "said"),
    [
        ('pg_up{service="a",job="stackmedic-exporter",instance="x"}', ""),
        ('pg_up{service="",job="stackmedic-exporter",instance="x"}', "lacks service"),
        ('pg_up{service="a",job="backend",instance="x"}', "has in truth job=stackmedic-exporter"),
        ('pg_up{service="a"}', "lacks instance, job"),
        ('up{job="prometheus",instance="x",colour="blue"}', "should not have colour"),
        ('no_such_series{job="prometheus",instance="x"}', "nobody sends it"),
        ('ALERTS{alertname="Watchdog",alertstate="firing",severity="P0"}', "lacks category"),
    ],
)
def test_what_is_wrong_is_said(series: str, said: str, inference: Inference) -> None:
    assert wrong_with(series, inference).startswith(said)
    assert bool(said) == bool(wrong_with(series, inference))

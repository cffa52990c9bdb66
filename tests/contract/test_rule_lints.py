"""The rules keep what cloudflare/pint checks, as far as files alone can tell.

Its checks by name: alerts/absent, alerts/comparison, alerts/template, group/interval,
promql/counter, promql/fragile, promql/impossible, promql/nan, promql/range_query, promql/rate,
promql/regexp, promql/series, promql/vector_matching, rule/duplicate, rule/for, rule/name.
What promtool's lint, test_rules.py and test_thresholds.py check is not checked again.
"""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml

from exporter.families.metric import Kind, Metric
from tests.contract.inference import Inference
from tests.contract.promql import COMPARISONS, constant, labels_of, nodes, operator

REPO = Path(__file__).resolve().parents[2]
OVER_COUNTERS = {"rate", "irate", "increase", "resets"}
OVER_GAUGES = {"deriv", "delta", "idelta", "predict_linear"}
SAMPLES = 4
LONGEST_WAIT, LONGEST_HOLD = timedelta(days=1), timedelta(hours=1)
AS_IT_IS = {
    "PostgresDataCorrupt": "a checksum that was wrong once stays an alert until a human has looked",
}
Rules = list[dict[str, Any]]


def config(path: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((REPO / path).read_text())
    return document


@pytest.fixture(scope="module")
def parsed(rules: Rules) -> dict[str, promql.Expr]:
    return {rule.get("alert") or rule["record"]: promql.parse(rule["expr"]) for rule in rules}


@pytest.fixture(scope="module")
def counters(exporter_declarations: list[Metric]) -> Callable[[str], bool]:
    kinds = {metric.name: metric.kind for metric in exporter_declarations}

    def is_counter(name: str) -> bool:
        if name in kinds:
            return kinds[name] is Kind.COUNTER
        return name.endswith(("_total", "_bucket", "_sum", "_count"))

    return is_counter


# -- what an expression asks ------------------------------------------------------------------


def test_operands_have_the_labels_that_they_are_matched_and_folded_by(
    parsed: dict[str, promql.Expr], inference: Inference
) -> None:
    for name in parsed:
        inference.of_rule(name)  # raises LostLabelError


def test_every_text_shows_only_labels_that_its_alert_has(
    rules: Rules, inference: Inference
) -> None:
    for rule in rules:
        shown = re.findall(r"\$labels\.(\w+)", " ".join(rule.get("annotations", {}).values()))
        if shown:
            found = inference.of_rule(rule["alert"])
            assert found is None or set(shown) <= found, rule["alert"]


def test_what_an_expression_keeps_apart_no_label_of_its_rule_puts_together(
    rules: Rules, inference: Inference
) -> None:
    """Two alerts with the same labels make Prometheus give up the whole rule."""
    for rule in rules:
        kept = labels_of(promql.parse(rule["expr"]), inference.of_series) or frozenset()
        assert not kept & set(rule.get("labels", {})), rule.get("alert") or rule["record"]


def test_the_labels_of_nearly_every_rule_are_known(
    parsed: dict[str, promql.Expr], inference: Inference
) -> None:
    """So that the checks above check something."""
    unknown = {name for name in parsed if inference.of_rule(name) is None}

    assert unknown <= {"P0UnacknowledgedLead", "P0UnacknowledgedCto", "P1UnacknowledgedAgain"}


def test_rates_are_of_counters_and_slopes_of_gauges(
    parsed: dict[str, promql.Expr], counters: Callable[[str], bool]
) -> None:
    for name, expr in parsed.items():
        for call in nodes(expr, promql.Call):
            for series in [s for a in call.args for s in nodes(a, promql.MatrixSelector)]:
                metric = str(series.vector_selector.name)
                if call.func.name in OVER_COUNTERS:
                    assert counters(metric), (name, metric)
                if call.func.name in OVER_GAUGES:
                    assert not counters(metric), (name, metric)


def test_a_counter_is_not_compared_as_it_is(
    parsed: dict[str, promql.Expr], counters: Callable[[str], bool]
) -> None:
    for name, expr in parsed.items():
        in_ranges = {str(s.vector_selector) for s in nodes(expr, promql.MatrixSelector)}
        bare = [s for s in nodes(expr, promql.VectorSelector) if str(s) not in in_ranges]
        found = {str(s.name) for s in bare if counters(str(s.name))}
        assert not found or name in AS_IT_IS, (name, found)


def test_a_range_holds_four_samples_and_no_more_than_is_kept(
    parsed: dict[str, promql.Expr],
) -> None:
    interval = config("alert_rules/prometheus.yml")["global"]["scrape_interval"]
    command = config("docker-compose.monitoring.yml")["services"]["prometheus"]["command"]
    (kept,) = [c.partition("=")[2] for c in command if "retention.time" in c]
    for name, expr in parsed.items():
        for series in nodes(expr, promql.MatrixSelector):
            assert series.range >= SAMPLES * promql.parse_duration(interval), name
            assert series.range <= promql.parse_duration(kept), name


def test_what_is_recorded_is_never_divided_by_nothing(rules: Rules) -> None:
    for rule in rules:
        if "record" not in rule:
            continue
        for node in nodes(promql.parse(rule["expr"]), promql.BinaryExpr):
            if operator(node) == "/" and constant(node.rhs) is None:
                assert guarded(node.rhs), rule["record"]


def guarded(expr: promql.Expr) -> bool:
    """It has no value where it would be 0."""
    inner = nodes(expr, promql.BinaryExpr)
    return any(operator(node) in COMPARISONS for node in inner)


def test_nothing_depends_on_which_series_are_the_largest(parsed: dict[str, promql.Expr]) -> None:
    for name, expr in parsed.items():
        used = {str(node.op) for node in nodes(expr, promql.AggregateExpr)}
        assert not used & {"topk", "bottomk", "limitk"}, name


def test_a_pattern_is_one_and_a_plain_text_is_compared_as_such(
    parsed: dict[str, promql.Expr],
) -> None:
    for name, expr in parsed.items():
        for selector in nodes(expr, promql.VectorSelector):
            for matcher in selector.matchers.matchers:
                if matcher.op in (promql.MatchOp.Re, promql.MatchOp.NotRe):
                    assert re.search(r"[.*+?|\[(]", matcher.value), (name, matcher)
                    assert not re.search(r"^\^|\$$|^\.\*$", matcher.value), (name, matcher)
                    re.compile(matcher.value)


# -- how a rule is made -----------------------------------------------------------------------


def test_an_alert_is_a_comparison(rules: Rules) -> None:
    always = {"Watchdog"}
    for rule in rules:
        if "alert" not in rule or rule["alert"] in always:
            continue
        expr = promql.parse(rule["expr"])
        compares = any(operator(n) in COMPARISONS for n in nodes(expr, promql.BinaryExpr))
        asks = any(c.func.name == "absent" for c in nodes(expr, promql.Call))
        over_alerts = any(s.name == "ALERTS" for s in nodes(expr, promql.VectorSelector))
        assert compares or asks or over_alerts, rule["alert"]


def test_what_is_absent_is_believed_after_two_scrapes_and_has_a_name(rules: Rules) -> None:
    for rule in rules:
        if any(c.func.name == "absent" for c in nodes(promql.parse(rule["expr"]), promql.Call)):
            assert promql.parse_duration(rule["for"]) >= timedelta(seconds=30), rule["alert"]
            assert "service" in rule["labels"], rule["alert"]


def test_waits_have_a_bound(rules: Rules) -> None:
    for rule in rules:
        # "0s" is no duration: it is left out
        assert promql.parse_duration(rule.get("for", "1s")) <= LONGEST_WAIT
        assert promql.parse_duration(rule.get("keep_firing_for", "1s")) <= LONGEST_HOLD


def test_names_follow_the_conventions(rules: Rules) -> None:
    for rule in rules:
        if "alert" in rule:
            assert re.fullmatch(r"([A-Z][A-Za-z0-9]+)+", rule["alert"])
        else:
            assert re.fullmatch(r"[a-z]+:[a-z0-9_]+:[a-z0-9_]+", rule["record"]), rule["record"]


def test_no_two_rules_are_the_same(rules: Rules) -> None:
    names = [rule.get("alert") or rule["record"] for rule in rules]
    assert len(set(names)) == len(names)
    expressions = [str(promql.parse(rule["expr"])) for rule in rules if "record" in rule]
    assert len(set(expressions)) == len(expressions)


def test_a_value_is_shown_for_humans(rules: Rules) -> None:
    for rule in rules:
        for text in rule.get("annotations", {}).values():
            for shown in re.findall(r"\{\{\s*\$value([^}]*)\}\}", text):
                assert re.search(r"\| (humanize|printf)", shown), (rule["alert"], shown)


def test_groups_are_evaluated_before_what_they_record_is_stale() -> None:
    for path in (REPO / "alert_rules" / "rules").glob("*.yml"):
        for group in yaml.safe_load(path.read_text())["groups"]:
            interval = promql.parse_duration(group.get("interval", "15s"))
            assert timedelta(seconds=15) <= interval <= timedelta(minutes=1), group["name"]

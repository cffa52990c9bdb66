"""The numbers of the rules, of thresholds.yml and of what humans read are the same numbers."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml

from tests.contract.promql import compared, nodes

REPO = Path(__file__).resolve().parents[2]
DOCUMENT = yaml.safe_load((REPO / "alert_rules" / "thresholds.yml").read_text())
ENTRIES: list[dict[str, Any]] = DOCUMENT["thresholds"]
STATES = {0.0, 1.0}  # up, running, firing: no thresholds
BEYOND = {"above": ">", "below": "<"}
SECONDS = {"second": 1, "s": 1, "minute": 60, "hour": 3600, "day": 86400}
Alerts = dict[str, dict[str, Any]]

each_entry = pytest.mark.parametrize("entry", ENTRIES, ids=[entry["rule"] for entry in ENTRIES])


@pytest.fixture(scope="module")
def records(rules: list[dict[str, Any]]) -> dict[str, str]:
    return {rule["record"]: rule["expr"] for rule in rules if "record" in rule}


def numbers(expr: str, records: dict[str, str]) -> Iterator[tuple[str, float]]:
    """What a rule compares with, and what the recorded series that it reads do."""
    parsed = promql.parse(expr)
    yield from compared(parsed)
    for selector in nodes(parsed, promql.VectorSelector):
        if selector.name in records:
            yield from numbers(records[selector.name], records)


def test_a_rule_stands_once(alerts: Alerts) -> None:
    names = [entry["rule"] for entry in ENTRIES]

    assert len(set(names)) == len(names)
    assert set(names) <= set(alerts)


@each_entry
def test_severity_and_wait_are_those_of_the_rule(entry: dict[str, Any], alerts: Alerts) -> None:
    rule = alerts[entry["rule"]]

    assert entry["severity"] == rule["labels"]["severity"]
    assert entry["for"] == rule.get("for", "0s")


@each_entry
def test_the_signal_is_what_the_rule_reads(
    entry: dict[str, Any], alerts: Alerts, records: dict[str, str]
) -> None:
    selectors = nodes(promql.parse(alerts[entry["rule"]]["expr"]), promql.VectorSelector)

    assert entry["signal"] in {selector.name for selector in selectors}


@each_entry
def test_the_rule_compares_with_these_numbers(
    entry: dict[str, Any], alerts: Alerts, records: dict[str, str]
) -> None:
    found = set(numbers(alerts[entry["rule"]]["expr"], records))
    wanted = {entry[column] for column in ("expected", "alert") if column in entry}

    if wanted:
        assert {(BEYOND[entry["direction"]], float(number)) for number in wanted} <= found
    assert set(entry.get("also", {}).values()) <= {number for _, number in found}


def test_a_storm_is_told_while_the_remediator_may_still_begin_something() -> None:
    (told,) = [entry["alert"] for entry in ENTRIES if entry["rule"] == "RemediationStorm"]
    limits = yaml.safe_load((REPO / "remediator" / "remediator.yml").read_text())["limits"]

    assert told < limits["runs_per_hour"]


@each_entry
def test_an_expected_number_holds_the_alert_that_fires(
    entry: dict[str, Any], alerts: Alerts
) -> None:
    rule = entry["rule"]
    held = f'ALERTS{{alertname="{rule}",alertstate="firing"}}' in alerts[rule]["expr"]

    assert held is ("expected" in entry)


def test_no_rule_compares_with_a_number_that_is_not_written_down(alerts: Alerts) -> None:
    told = {entry["rule"]: entry for entry in ENTRIES}
    for name, rule in alerts.items():
        entry = told.get(name, {})
        known = {entry.get("alert"), entry.get("expected"), *entry.get("also", {}).values()}
        found = {number for _, number in compared(promql.parse(rule["expr"]))}
        assert found - STATES - known == set(), name


@each_entry
def test_the_words_of_the_runbook_have_these_numbers(entry: dict[str, Any]) -> None:
    for column in {"expected", "alert"} & set(entry.get("says", {})):
        found = re.search(r"([<>]) (\d+)(%?)", entry["says"][column])
        assert found is not None
        assert float(found[2]) / (100 if found[3] else 1) == entry[column]


def said(text: str, word: str) -> tuple[float, str] | None:
    """The number after a word of a description, in the unit of the rule."""
    found = re.search(rf"{word}: (?:below |above )?(\d+(?:\.\d+)?) ?(%|[a-z]+)?", text)
    if found is None:
        return None
    unit = (found[2] or "").removesuffix("s") or found[2] or ""
    return float(found[1]), unit


@each_entry
def test_the_description_says_these_numbers(entry: dict[str, Any], alerts: Alerts) -> None:
    text = alerts[entry["rule"]]["annotations"]["description"]
    for word, column in (("Threshold", "alert"), ("expected", "expected")):
        told = said(text, word)
        if told is None or column not in entry:
            continue
        number, unit = told
        factor = 0.01 if unit == "%" else SECONDS.get(unit, 1)
        assert number * factor == pytest.approx(entry[column]), (word, text)


def test_a_page_that_says_a_severity_says_that_of_the_rule(alerts: Alerts) -> None:
    for name, rule in alerts.items():
        page = (REPO / rule["annotations"]["runbook_url"]).read_text()
        assert set(re.findall(r"Severity (P\d|none)", page)) <= {rule["labels"]["severity"]}, name

"""Alert, metric, runbook entry and page name one another, and every name leads somewhere."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

REPO = Path(__file__).resolve().parents[2]
SEVERITIES = {"P0", "P1", "P2", "P3", "none"}
CATEGORIES = {
    *("availability", "health", "resource", "errors", "database", "cache", "tasks"),
    *("backup", "certificate", "deployment", "remediation", "meta"),
}
LABELS = {"severity", "category", "remediation", "escalation"}
ANNOTATIONS = {"summary", "description", "runbook_url", "dashboard_url", "action"}
PAGE_PARTS = ("## Meaning", "## Check by hand", "## What the remediator does", "## How to stop it")

Rules = list[dict[str, Any]]
Alerts = dict[str, dict[str, Any]]


def read(path: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((REPO / path).read_text())
    return document


@pytest.fixture(scope="module")
def runbooks() -> dict[str, dict[str, Any]]:
    return {entry["id"]: entry for entry in read("remediator/remediator.yml")["runbooks"]}


@pytest.fixture(scope="module")
def services() -> set[str]:
    return set(read("exporter/exporter.yml")["services"])


# -- rules and series -------------------------------------------------------------------------


def test_every_series_of_a_rule_is_emitted(
    rules: Rules, emitted: frozenset[str], names_in: Callable[[str], set[str]]
) -> None:
    recorded = {rule["record"] for rule in rules if "record" in rule}
    asked = {name for rule in rules for name in names_in(rule["expr"])}

    assert asked - emitted - recorded == set()


def test_every_label_that_a_rule_selects_by_is_emitted(
    rules: Rules, unknown_labels: Callable[[str], set[str]]
) -> None:
    assert {label for rule in rules for label in unknown_labels(rule["expr"])} == set()


def test_services_and_targets_named_in_a_rule_are_configured(
    rules: Rules, services: set[str]
) -> None:
    exporter = read("exporter/exporter.yml")
    known = {"service": services | set(exporter["colours"]), "target": set(exporter["probes"])}
    for rule in rules:
        for label, operator, value in re.findall(
            r'\b(service|target)(=~|=)"([^"]*)"', rule["expr"]
        ):
            for part in value.split("|") if operator == "=~" else [re.escape(value)]:
                assert any(re.fullmatch(part, name) for name in known[label]), (rule, part)


def test_jobs_named_in_a_rule_are_scraped(rules: Rules) -> None:
    jobs = {job["job_name"] for job in read("alert_rules/prometheus.yml")["scrape_configs"]}
    named = {job for rule in rules for job in re.findall(r'job="([^"]*)"', rule["expr"])}

    assert named <= jobs


def test_the_application_is_scraped_under_the_same_services(services: set[str]) -> None:
    labelled = {
        target["labels"]["service"]
        for job in read("alert_rules/prometheus.yml")["scrape_configs"]
        for target in job["static_configs"]
        if "labels" in target
    }

    assert labelled <= services


# -- alerts -----------------------------------------------------------------------------------


def test_every_alert_has_the_labels_and_annotations_of_the_conventions(alerts: Alerts) -> None:
    for name, rule in alerts.items():
        labels = rule["labels"]
        assert set(labels) - {"service"} == LABELS, name
        assert set(rule["annotations"]) - {"on_call"} == ANNOTATIONS, name
        assert labels["severity"] in SEVERITIES, name
        assert labels["category"] in CATEGORIES, name
        assert labels["escalation"] in {"", "lead", "cto"}, name
        assert not any("{{" in value for value in labels.values()), name


def test_every_alert_says_which_service(rules: Rules, alerts: Alerts) -> None:
    folded = re.compile(r"by \(service[,)]|service:\w+:")
    records = [rule for rule in rules if "record" in rule]
    recorded = {rule["record"] for rule in records if folded.search(rule["expr"])}
    for name, rule in alerts.items():
        expr = rule["expr"]
        by_service = folded.search(expr) or any(record in expr for record in recorded)
        assert "service" in rule["labels"] or by_service, name


def test_alert_names_are_unique(rules: Rules, alerts: Alerts) -> None:
    assert len(alerts) == sum("alert" in rule for rule in rules)


# -- alerts and runbook -----------------------------------------------------------------------


def test_a_remediation_is_an_entry_that_takes_this_alert(
    alerts: Alerts, runbooks: dict[str, dict[str, Any]]
) -> None:
    for name, rule in alerts.items():
        remediation = rule["labels"]["remediation"]
        assert remediation == "manual" or name in runbooks[remediation]["alerts"], name


def test_every_alert_of_the_runbook_is_a_rule_that_names_the_entry(
    alerts: Alerts, runbooks: dict[str, dict[str, Any]]
) -> None:
    for entry in runbooks.values():
        for name in entry["alerts"]:
            assert alerts[name]["labels"]["remediation"] == entry["id"]


def test_every_entry_is_reached_by_an_alert_or_by_a_ladder(
    runbooks: dict[str, dict[str, Any]],
) -> None:
    rungs = {rung for entry in runbooks.values() for rung in entry.get("ladder", [])}
    idle = {key for key, entry in runbooks.items() if not entry["alerts"] and key not in rungs}

    assert idle == set()


def test_a_constant_target_is_the_service_of_its_alerts(
    alerts: Alerts, runbooks: dict[str, dict[str, Any]]
) -> None:
    for entry in runbooks.values():
        for name in entry["alerts"]:
            static = alerts[name]["labels"].get("service")
            if isinstance(entry["target"], str) and static is not None:
                assert static == entry["target"], name


def test_both_programs_know_the_same_services(services: set[str]) -> None:
    topology = read("remediator/remediator.yml")["topology"]

    assert {key for key, target in topology.items() if "container" in target} == services


# -- links ------------------------------------------------------------------------------------


def test_every_alert_has_its_page_and_every_page_its_alert(alerts: Alerts) -> None:
    pages = {f"docs/runbooks/{p.name}" for p in (REPO / "docs" / "runbooks").glob("*.md")}

    assert {rule["annotations"]["runbook_url"] for rule in alerts.values()} == pages
    for name, rule in alerts.items():
        text = (REPO / rule["annotations"]["runbook_url"]).read_text()
        assert text.startswith(f"# {name}\n")
        assert [part for part in PAGE_PARTS if f"\n{part}\n" not in text] == []


def test_a_silence_on_a_page_says_why() -> None:
    """amtool refuses one without a comment."""
    for path in (REPO / "docs" / "runbooks").glob("*.md"):
        commands = re.findall(r"amtool\s+silence\s+add\s+(\S+)", path.read_text())
        assert set(commands) <= {"-c"}, path.name


def test_a_page_says_how_to_answer_for_what_nobody_can_acknowledge(
    alerts: Alerts, runbooks: dict[str, dict[str, Any]]
) -> None:
    """The remediator keeps incidents of what its entries answer, and tells of its own."""
    of_incidents = {"RemediationNotMended", "RemediationAwaitsApproval"}
    answered = of_incidents.union(*(entry["alerts"] for entry in runbooks.values()))
    for name, rule in alerts.items():
        escalates = "source_alert" in rule["expr"]
        if rule["labels"]["severity"] in {"P0", "P1"} and name not in answered and not escalates:
            text = (REPO / rule["annotations"]["runbook_url"]).read_text()
            assert f"`amtool silence add -c WHO -d 4h source_alert={name}`" in text, name


def test_every_dashboard_link_leads_to_a_panel(alerts: Alerts) -> None:
    panels = {
        (board["uid"], str(panel["id"]))
        for path in (REPO / "grafana" / "dashboards").glob("*.json")
        for board in [json.loads(path.read_text())]
        for panel in board["panels"]
    }
    for name, rule in alerts.items():
        link = re.fullmatch(r"/d/([^/]+)/.*viewPanel=(\d+)", rule["annotations"]["dashboard_url"])
        assert link is not None, name
        assert link.groups() in panels, name

"""What the two programs emit, and what a PromQL expression asks for."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.generate import declared, family_modules, remediator_families
from exporter.families.metric import Kind, Metric
from exporter.families.postgres import settings
from exporter.readings import Setting
from tests.contract.inference import Inference

REPO = Path(__file__).resolve().parents[2]
OF_EVERY_TARGET = frozenset({"scrape_duration_seconds", "up"})
PROMETHEUS_OWN = frozenset({"ALERTS", "ALERTS_FOR_STATE", *OF_EVERY_TARGET})
# What the other programs that Prometheus scrapes say, by job; tests/integration and tests/e2e
# ask the real ones.
OF_OTHERS = {
    "backend": {
        "http_requests_total": frozenset({"method", "path", "status"}),
        "http_request_duration_seconds_bucket": frozenset({"method", "path", "le"}),
    },
    "alertmanager": {
        "alertmanager_alerts": frozenset({"state"}),
        "alertmanager_silences": frozenset({"state"}),
        "alertmanager_notifications_total": frozenset({"integration"}),
        "alertmanager_notifications_failed_total": frozenset({"integration", "reason"}),
        "alertmanager_config_last_reload_successful": frozenset[str](),
    },
    "prometheus": {
        "prometheus_config_last_reload_successful": frozenset[str](),
        "prometheus_rule_evaluation_failures_total": frozenset({"rule_group"}),
        "prometheus_rule_group_interval_seconds": frozenset({"rule_group"}),
        "prometheus_rule_group_last_duration_seconds": frozenset({"rule_group"}),
        "prometheus_notifications_errors_total": frozenset({"alertmanager"}),
        "prometheus_notifications_sent_total": frozenset({"alertmanager"}),
    },
}
ADDED_BY_SCRAPE = frozenset({"job", "instance"})
POSTGRES_PARAMETERS = (
    "autovacuum_analyze_threshold",
    "autovacuum_vacuum_scale_factor",
    "autovacuum_vacuum_threshold",
    "max_connections",
    "max_locks_per_transaction",
    "superuser_reserved_connections",
    "transaction_read_only",
)
KEYWORDS = frozenset({"and", "or", "unless", "bool", "offset", "inf", "nan"})

NOT_NAMES = (
    re.compile(r'"(?:[^"\\]|\\.)*"'),
    re.compile(r"\{[^}]*\}"),
    re.compile(r"\[[^\]]*\]"),
    re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)"),
    re.compile(r"\b[0-9][0-9.]*[a-z]*\b"),
)
NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?![a-zA-Z0-9_:]|\s*\()")
SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{([^}]*)\}")
LABEL = re.compile(r"([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)")


def declarations() -> list[Metric]:
    """Every metric that the exporter declares, once."""
    values = [vars(module) for module in family_modules()]
    return list({metric.name: metric for metric in declared(values)}.values())


def exporter_metrics() -> dict[str, frozenset[str]]:
    found = {
        name: frozenset(metric.labels) for metric in declarations() for name in names_of(metric)
    }
    # Every parameter that the server has is emitted under its own name; these are asked for.
    for parameter in POSTGRES_PARAMETERS:
        told = settings.metric_of(Setting(parameter, "1", "", "integer"))
        if told is not None:
            found[told[0].name] = frozenset(told[0].labels)
    return found


def names_of(metric: Metric) -> list[str]:
    match metric.kind:
        case Kind.HISTOGRAM:
            return [f"{metric.name}_{part}" for part in ("bucket", "sum", "count")]
        case Kind.SUMMARY:
            return [metric.name, f"{metric.name}_sum", f"{metric.name}_count"]
        case Kind.COUNTER | Kind.GAUGE:
            return [metric.name]


def remediator_metrics() -> dict[str, frozenset[str]]:
    return {
        sample.name: frozenset(sample.labels)
        for family in remediator_families()
        for sample in family.samples
        if not sample.name.endswith("_created")  # serve.py leaves them out
    }


def metrics_by_job() -> dict[str, dict[str, frozenset[str]]]:
    """Every series that a scrape brings, with the labels that its program gives it."""
    return {
        "stackmedic-remediator": remediator_metrics(),
        "stackmedic-exporter": exporter_metrics(),
        **OF_OTHERS,
    }


def labels_of_series() -> dict[str, frozenset[str]]:
    return {name: labels for found in metrics_by_job().values() for name, labels in found.items()}


@pytest.fixture(scope="session")
def inference(rules: list[dict[str, Any]]) -> Inference:
    return Inference(rules, metrics_by_job(), labels_of_targets())


def labels_of_targets() -> dict[str, frozenset[str]]:
    """The labels that prometheus.yml gives the targets of a job, besides Prometheus' own."""
    config = yaml.safe_load((REPO / "alert_rules" / "prometheus.yml").read_text())
    return {
        job["job_name"]: ADDED_BY_SCRAPE.union(
            *(t.get("labels", {}) for t in job["static_configs"])
        )
        for job in config["scrape_configs"]
    }


@pytest.fixture(scope="session")
def emitted() -> frozenset[str]:
    """Every series name that rules and dashboards may ask for."""
    return frozenset(labels_of_series()) | PROMETHEUS_OWN


@pytest.fixture(scope="session")
def exporter_declarations() -> list[Metric]:
    return declarations()


@pytest.fixture(scope="session")
def names_in() -> Callable[[str], set[str]]:
    """The series names of an expression."""

    def names(expr: str) -> set[str]:
        for pattern in NOT_NAMES:
            expr = pattern.sub(" ", expr)
        return set(NAME.findall(expr)) - KEYWORDS

    return names


@pytest.fixture(scope="session")
def unknown_labels() -> Callable[[str], set[str]]:
    """Labels that an expression selects by and that the exporter does not give that metric."""
    labels_of = exporter_metrics()

    def unknown(expr: str) -> set[str]:
        return {
            f"{name}{{{label}}}"
            for name, selector in SELECTOR.findall(expr)
            for label in LABEL.findall(re.sub(r'"(?:[^"\\]|\\.)*"', "", selector))
            if name in labels_of and label not in labels_of[name] | ADDED_BY_SCRAPE
        }

    return unknown


@pytest.fixture(scope="session")
def rules() -> list[dict[str, Any]]:
    return [
        rule
        for path in sorted((REPO / "alert_rules" / "rules").glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]


@pytest.fixture(scope="session")
def alerts(rules: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules if "alert" in rule}

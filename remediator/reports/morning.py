"""The daily health check: services, health endpoints, resources, disks, errors, users, alerts.

Rule: the order is the runbook's; each section is one question.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from remediator.prometheus import Sample
from remediator.reports.asking import Ask, bounded, label, section
from remediator.reports.rows import (
    Report,
    Row,
    Section,
    Thresholds,
    Verdict,
    measured,
    number,
)

USERS = 'sum by (service) (redis_db_keys{db="db0"})'
"""The runbook counts the keys of the cache."""

SERVICES = "max by (service, state) (compose_service_state) == 1"
UNHEALTHY = 'max by (service) (compose_service_health{status="unhealthy"}) == 1'
PROBES = "min by (target) (probe_success)"
HEALTH = "max by (target, status) (health_status) == 1"
CPU = "avg_over_time(service:container_cpu_used:ratio[10m])"
MEMORY = "service:container_memory_used:ratio"
DISKS = "max by (mountpoint) (1 - node_filesystem_avail_bytes / (node_filesystem_size_bytes > 0))"
ERRORS = (
    "sum by (service) "
    '(increase(container_log_messages_total{service!="",level=~"error|critical"}[24h]))'
)
ALERTS = 'max by (alertname, service, severity) (ALERTS{alertstate="firing",severity!="none"})'

_RUNS = "running"
_DOWN = frozenset({"restarting", "exited", "dead", "missing"})
_WELL = frozenset({"healthy", "ready", "ok", "up", "pass"})
_ILL = frozenset({"unhealthy", "not_ready", "down", "fail", "error"})


def morning(
    ask: Ask,
    thresholds: Thresholds,
    *,
    is_data: Callable[[str], bool],
    users: Callable[[], Section],
    at: datetime,
) -> Report:
    """`is_data` names services whose errors are mostly those of their clients."""
    errors = partial(_errors, thresholds=thresholds, is_data=is_data)
    return Report(
        "Morning check",
        at,
        (
            section(ask, "Services", SERVICES, _service),
            section(ask, "Containers' own health", UNHEALTHY, _unhealthy, none=_no_unhealthy()),
            section(ask, "Health endpoints", PROBES, _probe),
            section(ask, "Health documents", HEALTH, _health, none=_no_document()),
            bounded(ask, "CPU, 10 minutes", CPU, thresholds["cpu"], "service"),
            bounded(ask, "Memory", MEMORY, thresholds["memory"], "service"),
            bounded(ask, "Disks", DISKS, thresholds["disk"], "mountpoint"),
            section(ask, "Errors in 24 h", ERRORS, errors),
            users(),
            section(ask, "Alerts that fire", ALERTS, _alert, none=_no_alert()),
        ),
    )


def users_of_prometheus(ask: Ask, expr: str) -> Section:
    """However many there are, it is only told."""
    return section(ask, "Active users", expr, _users)


def _users(sample: Sample) -> Row:
    return Row(label(sample.labels, "service") or "all", number(sample.value), Verdict.INFO)


def _service(sample: Sample) -> Row:
    state = sample.labels.get("state", "")
    verdict = Verdict.ALERT if state in _DOWN else Verdict.WATCH
    return Row(
        label(sample.labels, "service"),
        state,
        Verdict.GOOD if state == _RUNS else verdict,
        _RUNS,
        "restarting, exited or gone",
    )


def _unhealthy(sample: Sample) -> Row:
    service = label(sample.labels, "service")
    return Row(service, "unhealthy", Verdict.ALERT, "healthy", "unhealthy")


def _no_unhealthy() -> Row:
    return Row("all", "none is unhealthy", Verdict.GOOD, "healthy", "unhealthy")


def _probe(sample: Sample) -> Row:
    answers = sample.value == 1
    return Row(
        label(sample.labels, "target"),
        "good" if answers else "fails",
        Verdict.GOOD if answers else Verdict.ALERT,
        "good",
        "fails",
    )


def _health(sample: Sample) -> Row:
    status = sample.labels.get("status", "").lower()
    verdict = Verdict.GOOD if status in _WELL else Verdict.WATCH
    return Row(
        label(sample.labels, "target"),
        status,
        Verdict.ALERT if status in _ILL else verdict,
        "healthy or ready",
        "unhealthy or not_ready",
    )


def _no_document() -> Row:
    return Row("all", "no health document is read", Verdict.INFO)


def _errors(sample: Sample, *, thresholds: Thresholds, is_data: Callable[[str], bool]) -> Row:
    service = label(sample.labels, "service")
    row = measured(service, sample.value, thresholds["errors_24h"], percent=False)
    return Row(service, row.value, Verdict.INFO) if is_data(service) else row


def _alert(sample: Sample) -> Row:
    severity = sample.labels.get("severity", "")
    verdict = Verdict.ALERT if severity in {"P0", "P1"} else Verdict.WATCH
    return Row(label(sample.labels, "alertname", "service"), severity, verdict, "none", "P0 or P1")


def _no_alert() -> Row:
    return Row("all", "none", Verdict.GOOD, "none", "P0 or P1")

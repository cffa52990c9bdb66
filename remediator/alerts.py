"""Alertmanager's webhook body, version 4, to Alert values: or the sentence that refuses it.

Rule: pure, and the body is untrusted. Unknown keys are ignored, because Alertmanager adds
some with every release. Whether an alert fires is read from the alert, never from its group.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

MAX_LABELS = 64
MAX_LABEL_CHARS = 4096
MINOR = frozenset({"P2", "P3", "none"})
OWN_WORDS = frozenset({"meta", "remediation"})
"""Categories of alerts that tell what became of a service's remediation, not how the service is."""
_STRINGS = frozenset({str})
_FINGERPRINT = re.compile(r"[0-9a-f]{1,64}", re.ASCII)


class AlertStatus(StrEnum):
    FIRING = "firing"
    RESOLVED = "resolved"


_STATUSES = {status.value: status for status in AlertStatus}


class Source(StrEnum):
    """What first told of an alert."""

    WEBHOOK = "webhook"
    RECONCILE = "reconcile"


class Alert(NamedTuple):
    """One alert as it was told. `starts_at` None: the sender gave no usable time."""

    labels: Mapping[str, str]
    status: AlertStatus
    starts_at: datetime | None
    fingerprint: str = ""

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "")


@dataclass(frozen=True, slots=True)
class Delivery:
    """The alerts of one webhook; `oversized` were left out because of their labels."""

    alerts: tuple[Alert, ...]
    oversized: int
    truncated: int


@dataclass(frozen=True, slots=True)
class Malformed:
    """A body that can never be right. `sentence` says where and what."""

    sentence: str


class _Wrong(Exception):
    """Carries the sentence from where it is known to where the body is refused."""


def read_webhook(body: object) -> Delivery | Malformed:
    """Parsed JSON -> its alerts. One wrong alert refuses the body: Alertmanager sends none such."""
    try:
        return _delivery(body)
    except _Wrong as wrong:
        return Malformed(str(wrong))


def is_same_alert(known: Mapping[str, str], told: Mapping[str, str]) -> bool:
    """A subset is the same alert: Prometheus adds external labels on the way to Alertmanager."""
    smaller, larger = sorted((known, told), key=len)
    return smaller.items() <= larger.items()


def _delivery(body: object) -> Delivery:
    if not isinstance(body, dict):
        raise _Wrong("The body must be a JSON object, as Alertmanager's webhook sends it.")
    if body.get("version") != "4":
        raise _Wrong('"version" must be "4"; a custom payload is not understood.')
    listed = body.get("alerts")
    if not isinstance(listed, list):
        raise _Wrong('"alerts" must be a list.')
    alerts: list[Alert] = []
    try:
        for value in listed:
            alerts.append(_alert(value))  # noqa: PERF401 - its length tells where it went wrong
    except _Wrong as wrong:
        raise _Wrong(f"alerts[{len(alerts)}]{wrong}") from None
    fitting = tuple(alert for alert in alerts if _fits(alert.labels))
    truncated = body.get("truncatedAlerts", 0)
    return Delivery(
        alerts=fitting,
        oversized=len(alerts) - len(fitting),
        truncated=truncated if isinstance(truncated, int) else 0,
    )


def _alert(value: object) -> Alert:
    if not isinstance(value, dict):
        raise _Wrong(" must be an object.")
    status = value.get("status")
    if status not in ("firing", "resolved"):
        raise _Wrong('.status must be "firing" or "resolved".')
    labels = value.get("labels")
    if not isinstance(labels, dict) or not _STRINGS.issuperset(map(type, labels.values())):
        raise _Wrong(".labels must be an object of strings.")
    if not labels.get("alertname"):
        raise _Wrong(".labels.alertname is missing.")
    fingerprint = value.get("fingerprint")
    known = isinstance(fingerprint, str) and _FINGERPRINT.fullmatch(fingerprint)
    starts_at = _moment(value.get("startsAt"))
    return Alert(labels, _STATUSES[status], starts_at, str(fingerprint) if known else "")


def _moment(value: object) -> datetime | None:
    """Go's zero time and a missing one say nothing; anything else must be RFC 3339."""
    if value is None or value == "":
        return None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        if moment is not None and moment.tzinfo is UTC:
            utc: datetime | None = moment
        else:
            utc = moment.astimezone(UTC) if moment and moment.tzinfo else None
    except (ValueError, OverflowError):
        utc = None
    if utc is None:
        raise _Wrong(".startsAt must be an RFC 3339 time.")
    return utc if utc.year > 1 else None


def _fits(labels: Mapping[str, str]) -> bool:
    if len(labels) > MAX_LABELS:
        return False
    if sum(map(len, labels)) + sum(map(len, labels.values())) <= MAX_LABEL_CHARS:
        return True  # nearly always, and soon known
    return all(len(name) + len(value) <= MAX_LABEL_CHARS for name, value in labels.items())


def explains(labels: Mapping[str, str]) -> bool:
    """Whether the alert can be why what depends on its service is broken."""
    return labels.get("severity") not in MINOR and labels.get("category") not in OWN_WORDS

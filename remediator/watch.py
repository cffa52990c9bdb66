"""What fires, from Prometheus, and what of it is muted, from Alertmanager.

Rule: Prometheus decides whether anything can be told at all; an Alertmanager that cannot be
asked leaves `notified` unknown, and the guard that needs it says no.
"""

import logging
from dataclasses import dataclass, replace
from typing import Protocol

import httpx
import pydantic

from remediator.outcomes import Reason
from remediator.ports import Alerts, AlertState, NotifiedAlert, Transient

log = logging.getLogger(__name__)

IN_PROGRESS = "RemediationInProgress"
"""Tells that we are at work, so that no human is woken up: it must not stop our next rung."""
_TIMEOUT_SECONDS = 3.0


class Notified(Protocol):
    def alerts(self) -> tuple[NotifiedAlert, ...]:
        """Errors: Transient when Alertmanager cannot be asked."""
        ...


@dataclass(frozen=True, slots=True)
class Watch:
    """The Alerts port over both."""

    alerts: Alerts
    notified: Notified

    def now(self) -> AlertState:
        state = self.alerts.now()
        try:
            return replace(state, notified=self.notified.alerts())
        except Transient as error:
            log.warning("no silence can be seen: %s", error)
            return replace(state, notified=None)


class _Status(pydantic.BaseModel):
    silencedBy: list[str]  # noqa: N815 - Alertmanager's name
    inhibitedBy: list[str]  # noqa: N815

    def muted(self, ours: set[str]) -> Reason | None:
        """`ours`: fingerprints of the alerts whose inhibition is not meant for us."""
        if self.silencedBy:
            return Reason.SILENCED
        return Reason.INHIBITED if set(self.inhibitedBy) - ours else None


class _Alert(pydantic.BaseModel):
    fingerprint: str
    labels: dict[str, str]
    status: _Status


_ALERTS = pydantic.TypeAdapter(list[_Alert])


class AlertmanagerAlerts:
    """One kept connection to Alertmanager."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = httpx.Client(base_url=url, timeout=_TIMEOUT_SECONDS, trust_env=False)

    def alerts(self) -> tuple[NotifiedAlert, ...]:
        try:
            response = self._client.get("/api/v2/alerts")
            alerts = _ALERTS.validate_json(response.raise_for_status().content)
        except (httpx.HTTPError, ValueError) as error:
            raise Transient(
                f"cannot ask Alertmanager at {self._url} what is silenced: {str(error)[:300]}"
            ) from error
        ours = {one.fingerprint for one in alerts if one.labels.get("alertname") == IN_PROGRESS}
        return tuple(NotifiedAlert(alert.labels, alert.status.muted(ours)) for alert in alerts)

    def close(self) -> None:
        self._client.close()

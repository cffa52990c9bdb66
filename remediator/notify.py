"""Calls a human: posts the escalation of an incident to Alertmanager as an alert.

Rule: who is told, when and where is Alertmanager's routes. An alert here ends by itself
five minutes after it was last posted, so the caller posts it again while it is open, and
a dead remediator leaves no alert behind for ever.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import httpx

from remediator.outcomes import Reason
from remediator.ports import Permanent, Transient

_TIMEOUT_SECONDS = 3.0
_LIVES = timedelta(minutes=5)
# An end that is not yet past by Alertmanager's clock would lose against that of the last page.
_CLOCKS_APART = timedelta(seconds=1)
_SERVER_ERROR = 500
_TOO_MANY_REQUESTS = 429


class AlertmanagerPager:
    """One kept connection to Alertmanager.

    `urgent` holds the topology keys whose escalations are P0 instead of P1;
    `external_url` is where a human finds the incident.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Callable[[], datetime],
        external_url: str,
        urgent: frozenset[str] = frozenset(),
    ) -> None:
        self._url = url
        self._clock = clock
        self._external_url = external_url.rstrip("/")
        self._urgent = urgent
        self._client = httpx.Client(base_url=url, timeout=_TIMEOUT_SECONDS, trust_env=False)

    def page(
        self, incident_id: int, target: str, runbook: str, reason: Reason, summary: str
    ) -> None:
        now = self._clock()
        alert = self._alert(incident_id, target, runbook, reason, summary)
        # Without startsAt Alertmanager would take endsAt for it. It keeps the earliest.
        times = {"startsAt": _rfc3339(now), "endsAt": _rfc3339(now + _LIVES)}
        self._post(alert | times, incident_id)

    def clear(
        self, incident_id: int, target: str, runbook: str, reason: Reason, summary: str
    ) -> None:
        ended_at = _rfc3339(self._clock() - _CLOCKS_APART)
        alert = self._alert(incident_id, target, runbook, reason, summary)
        self._post(alert | {"startsAt": ended_at, "endsAt": ended_at}, incident_id)

    def close(self) -> None:
        self._client.close()

    def _alert(
        self, incident_id: int, target: str, runbook: str, reason: Reason, summary: str
    ) -> dict[str, object]:
        # The labels are the alert's identity: page and clear must give the same ones.
        return {
            "labels": {
                "alertname": "RemediationEscalated",
                "service": target,
                "severity": "P0" if target in self._urgent else "P1",
                "category": "remediation",
                "remediation": "manual",
                "runbook": runbook,
                "reason": reason.value,
                "incident": str(incident_id),
            },
            "annotations": {
                "summary": f"{target} was not mended by {runbook} ({reason.value})",
                "description": summary,
                "action": f"Mend {target} by hand; what was tried is in incident {incident_id}.",
            },
            "generatorURL": f"{self._external_url}/api/v1/incidents/{incident_id}",
        }

    def _post(self, alert: Mapping[str, object], incident_id: int) -> None:
        what = f"incident {incident_id} at {self._url}"
        try:
            response = self._client.post("/api/v2/alerts", json=[alert])
        except httpx.HTTPError as error:
            raise Transient(
                f"cannot tell Alertmanager of {what}: {error!r}; see that it runs"
            ) from error
        if response.is_success:
            return
        words = f"{response.status_code} {response.text[:300].strip()}"
        if response.status_code >= _SERVER_ERROR or response.status_code == _TOO_MANY_REQUESTS:
            raise Transient(f"Alertmanager cannot take {what} now: {words}")
        raise Permanent(f"Alertmanager refuses {what}: {words}; see alertmanager.url")


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

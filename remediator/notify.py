"""Tells humans: posts notices to Alertmanager as alerts.

Rule: who is told, when and where is Alertmanager's routes. An alert here ends by itself
five minutes after it was last posted, so the caller posts it again while it is open, and
a dead remediator leaves no alert behind for ever.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import httpx

from remediator.ports import Notice, Permanent, Transient
from remediator.rfc3339 import rfc3339

_TIMEOUT_SECONDS = 3.0
_LIVES = timedelta(minutes=5)
# An end that is not yet past by Alertmanager's clock would lose against that of the last page.
_CLOCKS_APART = timedelta(seconds=1)
_SERVER_ERROR = 500
_TOO_MANY_REQUESTS = 429


class AlertmanagerPager:
    """One kept connection to Alertmanager."""

    def __init__(self, url: str, *, clock: Callable[[], datetime]) -> None:
        self._url = url
        self._clock = clock
        self._client = httpx.Client(base_url=url, timeout=_TIMEOUT_SECONDS, trust_env=False)

    def fire(self, notice: Notice) -> None:
        now = self._clock()
        # Without startsAt Alertmanager would take endsAt for it. It keeps the earliest.
        self._post(notice, starts_at=now, ends_at=now + _LIVES)

    def end(self, notice: Notice) -> None:
        ended_at = self._clock() - _CLOCKS_APART
        self._post(notice, starts_at=ended_at, ends_at=ended_at)

    def close(self) -> None:
        self._client.close()

    def _post(self, notice: Notice, *, starts_at: datetime, ends_at: datetime) -> None:
        alert = {
            "labels": dict(notice.labels),
            "annotations": dict(notice.annotations),
            "generatorURL": notice.url,
            "startsAt": rfc3339(starts_at),
            "endsAt": rfc3339(ends_at),
        }
        incident = notice.labels.get("incident")
        told = f"incident {incident}" if incident else notice.labels["alertname"]
        what = f"{told} at {self._url}"
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

"""Tells a human that the journal cannot be written: without the journal, by Alertmanager.

Rule: whoever works for it says after each turn whether the journal worked. The alert ends
by itself five minutes after it was last posted, so it is posted again while that lasts.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx

AGAIN_AFTER = timedelta(minutes=1)
_LIVES = timedelta(minutes=5)
_CLOCKS_APART = timedelta(seconds=1)
_TIMEOUT_SECONDS = 3.0

log = logging.getLogger(__name__)


class JournalAlarm:
    """`after_seconds`: for so long it may fail before somebody is called.

    `url` is Alertmanager's, `external_url` where a human finds the remediator.
    """

    def __init__(
        self, url: str, *, external_url: str, after_seconds: float, clock: Callable[[], datetime]
    ) -> None:
        self._url = f"{url.rstrip('/')}/api/v2/alerts"
        self._external_url = external_url
        self._after = timedelta(seconds=after_seconds)
        self._clock = clock
        self._since: datetime | None = None
        self._told_at: datetime | None = None
        self._told: str | None = None
        self.trouble: str | None = None

    def failed(self, why: str) -> None:
        now = self._clock()
        self.trouble = why
        self._since = self._since or now
        if now - self._since >= self._after:
            self.tell(why)

    def tell(self, why: str) -> None:
        """At once, unless it was told a moment ago. Whether it was heard is only logged."""
        now = self._clock()
        if self._told_at is not None and now - self._told_at < AGAIN_AFTER:
            return
        if self._post(why, now, now + _LIVES):
            self._told_at, self._told = now, why

    def works(self) -> None:
        if self.trouble is not None:
            log.warning("the journal works again")
        self.trouble = self._since = None
        ended_at = self._clock() - _CLOCKS_APART
        if self._told is not None and self._post(self._told, ended_at, ended_at):
            self._told_at = self._told = None

    def _post(self, why: str, starts_at: datetime, ends_at: datetime) -> bool:
        alert = {
            "labels": {
                "alertname": "RemediatorJournalUnavailable",
                "service": "remediator",
                "severity": "P1",
                "category": "remediation",
                "remediation": "manual",
            },
            "annotations": {
                "runbook_url": "docs/runbooks/RemediatorDown.md",
                "summary": "the remediator cannot write its journal, so it mends nothing",
                "description": why,
                "action": "Make room for its state file or mend it; it goes on by itself then.",
            },
            "generatorURL": f"{self._external_url.rstrip('/')}/-/ready",
            "startsAt": _rfc3339(starts_at),
            "endsAt": _rfc3339(ends_at),
        }
        try:
            with httpx.Client(timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
                client.post(self._url, json=[alert]).raise_for_status()
        except httpx.HTTPError as error:
            log.warning("no human could be told that the journal fails: %r", error)
            return False
        return True


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

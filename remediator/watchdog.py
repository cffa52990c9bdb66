"""The alert that always fires, as we hear of it: when it stays away, alerts may be lost.

Rule: pure. It is remembered in memory only: a start waits for it afresh.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from remediator.ports import Notice


@dataclass(slots=True)
class Watchdog:
    """When the alert that always fires was last told. `since`: when it could first be."""

    alert: str
    missing_after: timedelta
    since: datetime
    seen_at: datetime | None = None

    def seen(self, now: datetime) -> None:
        self.seen_at = now

    def missing(self, now: datetime) -> bool:
        return now - (self.seen_at or self.since) > self.missing_after


def missing_notice(watchdog: Watchdog, external_url: str) -> Notice:
    """The same labels as the rule WatchdogMissing: one alert, whoever sees it first."""
    minutes = watchdog.missing_after.total_seconds() / 60
    return Notice(
        {
            "alertname": "WatchdogMissing",
            "severity": "P1",
            "service": "remediator",
            "category": "meta",
            "remediation": "manual",
        },
        {
            "summary": "the remediator is told nothing",
            "description": (
                f"{watchdog.alert} has not come through the webhook for over {minutes:g} minutes. "
                "Prometheus, Alertmanager or its way to the remediator is broken; alerts may be "
                "lost."
            ),
            "runbook_url": "docs/runbooks/WatchdogMissing.md",
            "action": "See that Prometheus and Alertmanager run and that the token is the same.",
        },
        f"{external_url.rstrip('/')}/api/v1/status",
    )

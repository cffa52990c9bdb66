"""Dead man's switches: the chain of alerting proves to us that it lives, and we to the outside.

Rule: silence is the alarm. In: Prometheus' always firing alert must keep coming through
Alertmanager's webhook. Out: an outside service is pinged only while everything works that
would have to tell of a fault.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import httpx

from remediator.journal import JournalUnavailable
from remediator.ports import Pager, RemediationError
from remediator.watchdog import Watchdog, missing_notice

AGAIN_AFTER = timedelta(minutes=1)
_TIMEOUT_SECONDS = 5.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Pings a check of an outside service, which calls when the pings stay away."""

    url: str
    interval: timedelta

    def ping(self) -> None:
        """Errors: httpx.HTTPError."""
        answer = httpx.get(
            self.url, timeout=_TIMEOUT_SECONDS, follow_redirects=False, trust_env=False
        )
        answer.raise_for_status()


@dataclass(slots=True)
class DeadMan:
    """Both, once a turn of the loop: a loop that has stopped pings nobody.

    `prove_journal` writes; `prove_prometheus` asks. `count` is told how each ping ended.
    """

    watchdog: Watchdog | None
    heartbeat: Heartbeat | None
    pager: Pager
    prove_journal: Callable[[datetime], None]
    prove_prometheus: Callable[[], object]
    count: Callable[[str], None]
    external_url: str
    clock: Callable[[], datetime]
    _told_at: datetime | None = None
    _pinged_at: datetime | None = None
    _one: threading.Lock = field(default_factory=threading.Lock)

    def turn(self) -> None:
        """Errors: none; whatever fails here is what the outside hears of."""
        with self._one:
            now = self.clock()
            heard = self._watch(now)
            if self.heartbeat is None:
                return
            if self._pinged_at is not None and now - self._pinged_at < self.heartbeat.interval:
                return
            self._pinged_at = now
            self.count(self._ping(self.heartbeat, now) if heard else "withheld")

    def _watch(self, now: datetime) -> bool:
        """Tell when the chain is silent. False when nobody can be told either."""
        if self.watchdog is None:
            return True
        missing = self.watchdog.missing(now)
        if not missing and self._told_at is None:
            return True
        if missing and self._told_at is not None and now - self._told_at < AGAIN_AFTER:
            return True
        notice = missing_notice(self.watchdog, self.external_url)
        try:
            if missing:
                self.pager.fire(notice)
                self._told_at = now
            else:
                self.pager.end(notice)
                self._told_at = None
        except RemediationError as error:
            log.warning("the alerting chain is silent, and nobody could be told: %s", error)
            return not missing
        return True

    def _ping(self, heartbeat: Heartbeat, now: datetime) -> str:
        try:
            self.prove_journal(now)
            self.prove_prometheus()
        except (JournalUnavailable, RemediationError) as error:
            log.warning("no heartbeat: %s", error)
            return "withheld"
        try:
            heartbeat.ping()
        except httpx.HTTPError as error:
            # Without the address: who has it can ping in our place.
            log.warning("the heartbeat did not arrive: %s", type(error).__name__)
            return "failed"
        return "sent"

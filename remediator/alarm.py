"""Tells a human that the journal cannot be written: without the journal.

Rule: whoever works for it says after each turn whether the journal worked. A notice ends by
itself some time after it was last fired, so it is fired again while the trouble lasts.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from remediator.ports import Notice, Pager, RemediationError

AGAIN_AFTER = timedelta(minutes=1)
_LABELS = {
    "alertname": "RemediatorJournalUnavailable",
    "service": "remediator",
    "severity": "P1",
    "category": "remediation",
    "remediation": "manual",
}

log = logging.getLogger(__name__)


class JournalAlarm:
    """`after_seconds`: for so long it may fail before somebody is called.

    `external_url` is where a human finds the remediator.
    """

    def __init__(
        self,
        pager: Pager,
        *,
        external_url: str,
        after_seconds: float,
        clock: Callable[[], datetime],
    ) -> None:
        self._pager = pager
        self._url = f"{external_url.rstrip('/')}/-/ready"
        self._after = timedelta(seconds=after_seconds)
        self._clock = clock
        self._since: datetime | None = None
        self._told_at: datetime | None = None
        self._told: Notice | None = None
        self.trouble: str | None = None

    def failed(self, why: str) -> None:
        now = self._clock()
        self.trouble = why
        self._since = self._since or now
        if now - self._since >= self._after:
            self.tell(why)

    def tell(self, why: str) -> None:
        """At once, unless it was told a moment ago. Whether it was heard is only logged."""
        now, notice = self._clock(), self._notice(why)
        if self._told_at is not None and now - self._told_at < AGAIN_AFTER:
            return
        if self._heard(self._pager.fire, notice):
            self._told_at, self._told = now, notice

    def works(self) -> None:
        if self.trouble is not None:
            log.warning("the journal works again")
        self.trouble = self._since = None
        if self._told is not None and self._heard(self._pager.end, self._told):
            self._told_at = self._told = None

    def _notice(self, why: str) -> Notice:
        annotations = {
            "runbook_url": "docs/runbooks/RemediatorDown.md",
            "summary": "the remediator cannot write its journal, so it mends nothing",
            "description": why,
            "action": "Make room for its state file or mend it; it goes on by itself then.",
        }
        return Notice(_LABELS, annotations, self._url)

    def _heard(self, say: Callable[[Notice], None], notice: Notice) -> bool:
        try:
            say(notice)
        except RemediationError as error:
            log.warning("no human could be told that the journal fails: %s", error)
            return False
        return True

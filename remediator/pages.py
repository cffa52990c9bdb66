"""Sends what humans are told of open incidents, again and again until each closes.

Rule: a call is a row before it is sent; a pager that cannot be reached fails nothing and
is tried again on the next turn.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from remediator.journal import Calls, Records
from remediator.notices import notice_of
from remediator.ports import Pager, RemediationError

AGAIN_AFTER = timedelta(minutes=1)
"""Well below the five minutes after which the pager's alert ends by itself."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pages:
    calls: Calls
    records: Records
    pager: Pager
    incidents_url: str
    clock: Callable[[], datetime]

    def send(self) -> None:
        """Errors: JournalUnavailable."""
        now = self.clock()
        self.calls.begin(now)
        for call in self.calls.all():
            if call.is_open and call.sent_at is not None and now - call.sent_at < AGAIN_AFTER:
                continue
            story = self.records.story(call.incident_id)
            if story is None:
                continue
            tell = self.pager.fire if call.is_open else self.pager.end
            try:
                tell(notice_of(call, story, self.incidents_url))
            except RemediationError as error:
                log.warning("no human could be told of incident %d: %s", call.incident_id, error)
            else:
                self.calls.told(call, now)

"""Sends open calls for a human, again and again until their incident closes.

Rule: a call is a row before it is sent; a pager that cannot be reached fails nothing and
is tried again on the next turn.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from remediator.journal import RunLog
from remediator.ports import Pager, RemediationError

AGAIN_AFTER = timedelta(minutes=1)
"""Well below the five minutes after which the pager's alert ends by itself."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pages:
    runs: RunLog
    pager: Pager
    clock: Callable[[], datetime]

    def send(self) -> None:
        """Errors: JournalUnavailable."""
        now = self.clock()
        for call in self.runs.escalations():
            if call.is_open and call.sent_at is not None and now - call.sent_at < AGAIN_AFTER:
                continue
            tell = self.pager.page if call.is_open else self.pager.clear
            try:
                tell(call.incident_id, call.target, call.runbook, call.reason, call.summary)
            except RemediationError as error:
                log.warning("no human could be told of incident %d: %s", call.incident_id, error)
            else:
                self.runs.paged(call.incident_id, now, cleared=not call.is_open)

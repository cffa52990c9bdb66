"""Sends open calls for a human, again and again until their incident closes.

Rule: a call is a row before it is sent; a pager that cannot be reached fails nothing and
is tried again on the next turn.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from remediator.journal import RunLog
from remediator.ports import Pager, RemediationError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pages:
    runs: RunLog
    pager: Pager
    clock: Callable[[], datetime]

    def send(self) -> None:
        """Errors: JournalUnavailable."""
        for call, is_open in self.runs.escalations():
            tell = self.pager.page if is_open else self.pager.clear
            try:
                tell(call.incident_id, call.target, call.runbook, call.reason, call.summary)
            except RemediationError as error:
                log.warning("no human could be told of incident %d: %s", call.incident_id, error)
            else:
                self.runs.paged(call.incident_id, self.clock(), cleared=not is_open)

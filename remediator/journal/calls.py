"""Keeps what humans are told of incidents: which calls are out, and when each last went.

Rule: a call is a row before it is sent, with the severity that it keeps: its alert's identity
must not change under it.
"""

import json
from datetime import datetime, timedelta

from remediator.journal.database import Database, to_text, to_time
from remediator.notices import URGENT, severity_of
from remediator.outcomes import Reason
from remediator.runs import Call, Escalation

TOLD_AFTER = timedelta(seconds=5)
"""Progress is told when there is a run to tell of, and at the latest after this."""


class Calls:
    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, now: datetime) -> None:
        """Open the progress of every urgent incident that has none. Errors: JournalUnavailable."""
        before = to_text(now - TOLD_AFTER)
        with self._database.transaction() as database:
            database.do("progress_again")
            for row in database.all("incidents_without_progress", before=before):
                lead = database.all("signal_that_leads", incident_id=row["id"])[0]
                severity = severity_of(json.loads(lead["identity"]))
                if severity == URGENT:
                    database.do("add_progress", incident_id=row["id"], severity=severity)

    def all(self) -> list[Call]:
        """Every call that is not cleared, escalations first. Errors: JournalUnavailable."""
        escalations = [
            Call(
                incident_id=row["incident_id"],
                severity=row["severity"],
                escalation=Escalation(row["runbook"], Reason(row["reason"]), row["summary"]),
                sent_at=to_time(row["sent_at"]) if row["sent_at"] else None,
                is_open=row["closed_at"] is None,
            )
            for row in self._database.all("escalations_to_send")
        ]
        progress = [
            Call(
                incident_id=row["incident_id"],
                severity=row["severity"],
                escalation=None,
                sent_at=to_time(row["sent_at"]) if row["sent_at"] else None,
                is_open=not row["over"],
            )
            for row in self._database.all("progress_to_send")
        ]
        return escalations + progress

    def told(self, call: Call, now: datetime) -> None:
        """The pager took it, or its end. Errors: JournalUnavailable."""
        what = "progress" if call.escalation is None else "escalation"
        name = f"{what}_sent" if call.is_open else f"{what}_cleared"
        with self._database.transaction() as database:
            database.do(name, incident_id=call.incident_id, at=to_text(now))

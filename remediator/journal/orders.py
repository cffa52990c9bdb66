"""What humans order: to begin nothing, until when, and who said so.

Rule: an order is on disk before it is answered, and each change of one is an event.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from sqlite3 import Row

from remediator.journal.database import Database, to_text, to_time
from remediator.runs import Pause


class Orders:
    def __init__(self, database: Database) -> None:
        self._database = database

    def pauses(self) -> tuple[Pause, ...]:
        """The oldest first, also those that are over. Errors: JournalUnavailable."""
        return tuple(_pause(row) for row in self._database.all("pauses"))

    def pause(self, pause: Pause) -> None:
        """Instead of what its source said before. Errors: JournalUnavailable."""
        until = None if pause.until is None else to_text(pause.until)
        words = {"source": pause.source, "reason": pause.reason, "by": pause.by, "until": until}
        with self._database.transaction() as database:
            database.do("set_pause", at=to_text(pause.at), **words)
            self._event("paused", words, pause.at)

    def resume(self, source: str, by: str, now: datetime) -> bool:
        """False when the source had ordered nothing. Errors: JournalUnavailable."""
        with self._database.transaction() as database:
            found = database.do("end_pause", source=source) is not None
            if found:
                self._event("resumed", {"source": source, "by": by}, now)
        return found

    def reset_breaker(self, runbook: str, target: str, by: str, now: datetime) -> None:
        """Errors: JournalUnavailable."""
        words = {"runbook": runbook, "target": target, "by": by}
        with self._database.transaction() as database:
            database.do("reset_breaker", at=to_text(now), **words)
            self._event("breaker_reset", words, now)

    def _event(self, kind: str, detail: Mapping[str, object], now: datetime) -> None:
        self._database.do(
            "add_event",
            at=to_text(now),
            incident_id=None,
            run_id=None,
            kind=kind,
            detail=json.dumps(dict(detail)),
        )


def _pause(row: Row) -> Pause:
    until = to_time(row["until"]) if row["until"] else None
    return Pause(row["source"], row["reason"], row["by"], to_time(row["at"]), until)

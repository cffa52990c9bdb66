"""Keeps which closed incidents an issue is written about, and how far that is.

Rule: a row stands before anything is written elsewhere, at most one for an incident ever.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from remediator.journal.database import Database, Row, to_text, to_time

LOOKS_BACK = timedelta(days=1)
"""What closed before that is never written about, so that a first start tells no old stories."""
SOON = timedelta(days=1)
"""What comes back within it was not mended."""
AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class Closed:
    """An incident that nobody has decided on. `came_back`: soon after another was mended."""

    incident_id: int
    came_back: bool


@dataclass(frozen=True, slots=True)
class Due:
    incident_id: int
    tries: int


class Issues:
    def __init__(self, database: Database) -> None:
        self._database = database

    def mark(self, incident_id: int) -> str:
        """Unlike that of any other incident, of any other journal. Errors: JournalUnavailable."""
        return f"{self._database.all('mark')[0]['mark']}/{incident_id}"

    def undecided(self, now: datetime) -> list[Closed]:
        """Errors: JournalUnavailable."""
        since = to_text(now - LOOKS_BACK)
        rows = self._database.all("incidents_without_issue", since=since, limit=AT_ONCE)
        return [Closed(row["id"], _came_back(row)) for row in rows]

    def decide(self, incident_id: int, now: datetime, *, wanted: bool) -> None:
        """Errors: JournalUnavailable."""
        state = "wanted" if wanted else "unwanted"
        with self._database.transaction() as database:
            database.do("add_issue", incident_id=incident_id, state=state, at=to_text(now))

    def due(self, now: datetime) -> list[Due]:
        """Errors: JournalUnavailable."""
        rows = self._database.all("issues_due", at=to_text(now), limit=AT_ONCE)
        return [Due(row["incident_id"], row["tries"]) for row in rows]

    def put_off(self, incident_id: int, until: datetime) -> None:
        """It was tried. Errors: JournalUnavailable."""
        with self._database.transaction() as database:
            database.do("put_off_issue", incident_id=incident_id, at=to_text(until))

    def end(self, incident_id: int, url: str | None, now: datetime) -> None:
        """It is written, or, without a URL, given up. Errors: JournalUnavailable."""
        state = "given_up" if url is None else "created"
        with self._database.transaction() as database:
            database.do("end_issue", incident_id=incident_id, state=state, url=url)
            database.do(
                "add_event",
                at=to_text(now),
                incident_id=incident_id,
                run_id=None,
                kind=f"issue_{state}",
                detail=json.dumps({"url": url} if url else {}),
            )


def _came_back(row: Row) -> bool:
    mended = row["mended_before"]
    return bool(mended) and to_time(row["opened_at"]) - to_time(mended) <= SOON

"""Forgets what is older than the journal's retention, a little at a time.

Rule: an incident goes only when it is closed, nobody is to be told of it any more, and no
guard can count one of its runs: the newest runs of each entry on each target always stay,
because a breaker may be open by them. Events go only within such a transaction.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from remediator.journal.database import Database, to_text

ROWS = 500
"""In one transaction, so that no webhook waits long for it."""
TRANSACTIONS = 20
"""In one turn; the rest is for the next."""
TIDY_EVERY = timedelta(seconds=1)
PRUNE_EVERY = timedelta(hours=1)
PARTS = (
    "guards",
    "orders",
    "approvals",
    "steps",
    "runs",
    "signals",
    "escalation",
    "progress",
    "issue",
    "events",
)
"""Of an incident, in the order in which they refer to each other."""
OLD = ("other_events", "old_deliveries", "deploy_locks", "maintenance", "breaker_resets")
"""Of no incident."""


def prune(database: Database, before: datetime) -> bool:
    """True when there may be more. Errors: JournalUnavailable."""
    return all(_some(database, to_text(before)) for _ in range(TRANSACTIONS))


def _some(database: Database, before: str) -> bool:
    """One transaction: the oldest incident that may go, or a part of it. False: nothing left."""
    with database.transaction():
        row = database.one("incident_to_forget", before=before)
        database.do("begin_pruning", before=before)
        left = ROWS
        if row is not None:
            for part in PARTS:
                left -= database.changed(f"prune_{part}", incident_id=row["id"], limit=left)
                if left <= 0:
                    break
            else:
                database.do("prune_incident", id=row["id"])
        for old in OLD:
            left -= database.changed(f"prune_{old}", before=before, limit=max(left, 0))
        database.do("end_pruning")
    return row is not None or left <= 0


class Housekeeping:
    """What keeps the file small and quick, beside the work."""

    def __init__(
        self, database: Database, retention: timedelta, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._retention = retention
        self._clock = clock
        self._tidied_at = self._pruned_at = datetime.min.replace(tzinfo=UTC)

    def turn(self) -> None:
        """Errors: JournalUnavailable."""
        now = self._clock()
        if now - self._tidied_at >= TIDY_EVERY:
            self._tidied_at = now
            self._database.checkpoint()
        if now - self._pruned_at >= PRUNE_EVERY and not prune(
            self._database, now - self._retention
        ):
            self._pruned_at = now

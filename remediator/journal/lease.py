"""Who of several remediators works on which incident, and who of them still lives.

Rule: an incident belongs to one of them until it is closed, or until its holder has been
silent for a whole lease. Silence is measured by the clock of the one who listens, while the
journal works for it: no two clocks are compared. A number is a fence: who was taken for dead
goes on under a new one, and what it had begun under the old one can write nothing more.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from remediator.journal.database import Database, JournalUnavailable, Row, to_text, to_time
from remediator.ports import Stopped

LEAST_LOOKS = 3
"""So often a silent one is looked at before it counts as dead: a clock may jump."""
REMEMBERED = timedelta(days=1)
"""So long one that is gone is told of."""

log = logging.getLogger(__name__)


class LeaseLost(Stopped):
    """Another remediator works on the incident now, or it is over: nothing may be written."""


class Presence(StrEnum):
    WORKS = "works"
    SILENT = "silent"  # for half a lease; it loses its work when that is over
    STOPPED = "stopped"  # in order
    LOST = "lost"  # the others took it for dead


@dataclass(frozen=True, slots=True)
class Sharer:
    """One of those that share a journal, as this one knows it.

    `leads`: does what one is enough for. `incidents`: open ones that it works on. `heard_at`: its
    last word.
    """

    name: str
    presence: Presence
    is_this: bool
    leads: bool
    incidents: int
    begun_at: datetime
    heard_at: datetime

    @property
    def is_at_work(self) -> bool:
        """Whether it holds what it works on."""
        return self.presence in {Presence.WORKS, Presence.SILENT}


@dataclass(slots=True)
class _Heard:
    """The last beat of another remediator, when it was new, and how often it was seen since."""

    beats: int
    at: datetime
    looks: int = 0


class Lease:
    """The part of one process in a shared journal. In a journal of its own it holds everything.

    `number` is 0 until `begin`.
    """

    def __init__(
        self, database: Database, name: str = "", length: timedelta = timedelta(seconds=30)
    ) -> None:
        self._database = database
        self._name = name
        self.length = length
        self._heard: dict[int, _Heard] = {}
        self.number = 0

    def begin(self, now: datetime) -> None:
        """At start: whoever had this name is dead, for it is ours. Errors: JournalUnavailable."""
        if self._database.is_shared:
            with self._database.transaction():
                self._begin(now)

    def beat(self, now: datetime) -> None:
        """Say that this one lives, and see who does not any more. Errors: JournalUnavailable."""
        try:
            with self._database.transaction() as database:
                if database.do("beat", me=self.number, at=to_text(now)) is None:
                    log.warning("silent for too long: what was begun here belongs to others now")
                    self._begin(now)
                others = {row["id"]: row for row in database.all("at_work", me=self.number)}
                self._heard = {
                    key: self._heard_of(key, others[key]["beats"], now) for key in others
                }
                dead = [key for key, heard in self._heard.items() if self._is_dead(heard, now)]
                for key in dead:
                    database.do("end_remediator", id=key, at=to_text(now))
        except JournalUnavailable:
            self._heard = {}  # they could not write either
            raise
        for key in dead:
            log.warning("remediator %d (%s) is silent and loses its work", key, others[key]["name"])

    def end(self, now: datetime) -> None:
        """At the end: others need not wait. Errors: JournalUnavailable."""
        if self.number:
            with self._database.transaction() as database:
                database.do("end_remediator", id=self.number, at=to_text(now))

    def leads(self) -> bool:
        """Whether this one does what one is enough for. Errors: JournalUnavailable."""
        if not self._database.is_shared:
            return True
        first = self._database.one("first_at_work")
        return first is not None and first["id"] == self.number

    def sharers(self, now: datetime) -> tuple[Sharer, ...]:
        """Those at work and those that have gone lately; none in a journal of its own.

        Errors: JournalUnavailable.
        """
        if not self._database.is_shared:
            return ()
        rows = self._database.all("sharers", since=to_text(now - REMEMBERED))
        first = next((row["id"] for row in rows if row["ended_at"] is None), None)
        return tuple(
            Sharer(
                name=row["name"],
                presence=self._presence(row, now),
                is_this=row["id"] == self.number,
                leads=row["id"] == first,
                incidents=row["incidents"],
                begun_at=to_time(row["begun_at"]),
                heard_at=to_time(row["beaten_at"]),
            )
            for row in rows
        )

    # -- inside a transaction ------------------------------------------------------------

    def take(self, incident_id: int) -> bool:
        """Make the incident ours; False while it is a living one's."""
        return not self._database.is_shared or self._holds(incident_id) or self.inherit(incident_id)

    def inherit(self, incident_id: int) -> bool:
        """Take what a dead process left; False when it is nobody's to take, or ours already."""
        if not self._database.is_shared:
            return True
        taken = self._database.do("take_incident", incident_id=incident_id, me=self.number)
        return taken is not None

    def check(self, incident_id: int) -> None:
        """Errors: LeaseLost."""
        if self._database.is_shared and not self._holds(incident_id):
            raise LeaseLost(f"another remediator works on incident {incident_id} now")

    def release(self, incident_id: int) -> None:
        """For another one that may see more than this one does."""
        if self._database.is_shared:
            self._database.do("release_incident", incident_id=incident_id, me=self.number)

    def _holds(self, incident_id: int) -> bool:
        return self._database.one("holds", incident_id=incident_id, me=self.number) is not None

    def _begin(self, now: datetime) -> None:
        at = to_text(now)
        self._database.do("end_remediators_named", name=self._name, at=at)
        self.number = self._database.do("begin_remediator", name=self._name, at=at) or 0

    def _presence(self, row: Row, now: datetime) -> Presence:
        heard_at, ended_at = to_time(row["beaten_at"]), row["ended_at"]
        if ended_at is None:
            is_late = now - heard_at >= self.length / 2
            return Presence.SILENT if is_late else Presence.WORKS
        was_silent = to_time(ended_at) - heard_at >= self.length
        return Presence.LOST if was_silent else Presence.STOPPED

    def _heard_of(self, key: int, beats: int, now: datetime) -> _Heard:
        known = self._heard.get(key)
        if known is None or known.beats != beats:
            return _Heard(beats, now)
        return _Heard(beats, known.at, known.looks + 1)

    def _is_dead(self, heard: _Heard, now: datetime) -> bool:
        return heard.looks >= LEAST_LOOKS and now - heard.at >= self.length

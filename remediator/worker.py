"""Runs the work: each open incident on its own lane, woken by a webhook, not by polling.

Rule: one thread decides what starts and never waits for a network; a lane may take long
and delays no other. This is the edge where a defect in one incident's work is caught: it
ends that work, calls a human and nothing else.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple

from remediator.journal import JournalUnavailable
from remediator.ports import Stopped
from remediator.runs import Incident

log = logging.getLogger(__name__)


class Duties(NamedTuple):
    """What the worker does, and with what; `main.py` ties them."""

    open_incidents: Callable[[], list[Incident]]
    incident: Callable[[int], Incident | None]  # as it is now; None: closed
    remediate: Callable[[Incident], bool]  # True: look at the incidents again
    abandon: Callable[[Incident, str], None]
    reconcile: Callable[[], None]
    page: Callable[[], None]
    beside: Mapping[str, Callable[[], None]]  # by lane; once a turn, and none waits for another


class Worker:
    def __init__(
        self, duties: Duties, *, interval_seconds: float, clock: Callable[[], datetime]
    ) -> None:
        self._duties = duties
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._changed = threading.Condition()
        self._busy: set[str] = set()
        self._asked_again: set[str] = set()
        self._look = True  # at the incidents
        self._reconcile = True
        self._stopping = False
        self._turned_at = clock()
        self._thread = threading.Thread(target=self._loop, name="worker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Something was told: look at once. Never blocks."""
        self._demand(reconcile=True)

    def page(self) -> None:
        """There is something to tell humans. Never blocks."""
        self._start("page", self._duties.page)

    def stop(self, timeout_seconds: float) -> bool:
        """Start nothing more and wait for what is under way. False when some did not end."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._busy, timeout_seconds)

    @property
    def seconds_since_turn(self) -> float:
        """How long ago the loop last went round; large when it is stuck or dead."""
        return (self._clock() - self._turned_at).total_seconds()

    def _demand(self, *, reconcile: bool) -> None:
        with self._changed:
            self._look = True
            self._reconcile = self._reconcile or reconcile
            self._changed.notify_all()

    def _loop(self) -> None:
        while True:
            with self._changed:
                asked = self._changed.wait_for(
                    lambda: self._look or self._stopping, self._interval_seconds
                )
                if self._stopping:
                    return
                reconcile = self._reconcile or not asked
                self._look = self._reconcile = False
                self._turned_at = self._clock()
            self._start("look", self._look_lane)
            if reconcile:
                self._start("reconcile", self._reconcile_lane)
            self._start("page", self._duties.page)
            for lane, work in self._duties.beside.items():
                self._start(lane, work)

    def _start(self, lane: str, work: Callable[..., None], *arguments: Incident) -> None:
        """On a thread of its own, unless the lane is busy: then once more when it is free."""
        with self._changed:
            if self._stopping:
                return
            if lane in self._busy:
                self._asked_again.add(lane)
                return
            self._busy.add(lane)
        run = threading.Thread(
            target=self._run, args=(lane, work, *arguments), name=lane, daemon=True
        )
        run.start()

    def _run(self, lane: str, work: Callable[..., None], *arguments: Incident) -> None:
        try:
            work(*arguments)
        except Stopped:
            log.info("%s stops here; the journal knows where", lane)
        except JournalUnavailable as error:
            log.error("%s stops until the journal works again: %s", lane, error)  # noqa: TRY400
        except Exception as error:
            log.exception("a defect ended %s", lane)
            self._give_up(repr(error), *arguments)
        finally:
            with self._changed:
                self._busy.discard(lane)
                again = lane in self._asked_again
                self._asked_again.discard(lane)
                self._changed.notify_all()
            if again:  # only this one: the others have nothing new to look at
                self._start(lane, work, *arguments)

    def _look_lane(self) -> None:
        for incident in self._duties.open_incidents():
            self._start(f"incident-{incident.id}", self._incident_lane, incident)

    def _incident_lane(self, incident: Incident) -> None:
        # Another lane may have worked on it since it was looked at; none does now.
        now = self._duties.incident(incident.id)
        if now is not None and self._duties.remediate(now):
            self._demand(reconcile=True)

    def _reconcile_lane(self) -> None:
        self._duties.reconcile()
        self._demand(reconcile=False)

    def _give_up(self, defect: str, *arguments: Incident) -> None:
        for incident in arguments:
            try:
                self._duties.abandon(incident, defect)
            except JournalUnavailable as error:
                log.error("a defect could not be recorded: %s", error)  # noqa: TRY400

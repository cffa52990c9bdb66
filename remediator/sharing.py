"""Keeps this remediator's part in a shared journal, and takes up what dead ones have left.

Rule: on a thread of its own, so that no work delays it; but only while the worker goes round:
who does nothing any more must lose its work to others.
"""

import logging
import threading
from collections.abc import Callable
from datetime import datetime

from remediator.journal import JournalUnavailable, Lease

BEATS = 6
"""In a lease, so that a few may be lost."""

LONGEST_TURN_SECONDS = 5.0

log = logging.getLogger(__name__)


class Sharing:
    """`set_clock` asks the server for the time; `interrupt` takes up runs, and says how many."""

    def __init__(
        self,
        lease: Lease,
        *,
        clock: Callable[[], datetime],
        set_clock: Callable[[], None],
        interrupt: Callable[[datetime], int],
        wake: Callable[[], None],
        is_stuck: Callable[[], bool],
    ) -> None:
        self._lease = lease
        self._clock = clock
        self._set_clock = set_clock
        self._interrupt = interrupt
        self._wake = wake
        self._is_stuck = is_stuck
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="lease", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Others need not wait until we count as dead."""
        self._stop.set()
        self._thread.join(LONGEST_TURN_SECONDS)
        try:
            self._lease.end(self._clock())
        except JournalUnavailable as error:
            log.warning("the others wait until this one counts as dead: %s", error)

    def turn(self) -> None:
        """Errors: JournalUnavailable."""
        if self._is_stuck():
            log.warning("the worker does not go round; its work is left to others")
            return
        self._set_clock()
        self._lease.beat(self._clock())
        left = self._interrupt(self._clock())
        if left:
            log.warning("%d runs of others were cut off; they are taken up here", left)
            self._wake()

    def _loop(self) -> None:
        while not self._stop.wait(self._lease.length.total_seconds() / BEATS):
            try:
                self.turn()
            except JournalUnavailable as error:
                log.info("no beat: %s", error)  # the reconcile lane calls a human

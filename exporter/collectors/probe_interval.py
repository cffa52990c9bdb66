"""A probe on an interval of its own: in the background, however often anybody scrapes.

Rule: a scrape waits for the first result only, then shows the last one with its time. A result
older than any can be is none: the target could not be probed.
"""

import logging
import math
import threading
from dataclasses import replace

from exporter.collectors.port import Clocks
from exporter.collectors.probes import ProbeCollector
from exporter.readings import Cause, Probe, Unreachable
from exporter.targets import ProbeTarget
from exporter.workers import tried

log = logging.getLogger(__name__)


class IntervalProbe:
    def __init__(self, target: ProbeTarget, interval: float, clocks: Clocks) -> None:
        self._name = target.name
        self._interval = interval
        self._longest_age = 2 * interval + target.timeout
        self._clocks = clocks
        self._prober = ProbeCollector(target, clocks)
        self.history = self._prober.history
        self.probe = self._prober.probe
        self._stopping = threading.Event()
        self._told = threading.Condition()  # guards what follows
        self._last: Probe | Unreachable | None = None
        self._began_at = 0.0
        self._thread = threading.Thread(target=self._run, name="probe", daemon=True)
        self._thread.start()

    def collect(self, deadline: float) -> Probe | Unreachable:
        clock = self._clocks.monotonic
        with self._told:
            patience = max(0.0, min(deadline - clock(), threading.TIMEOUT_MAX))
            self._told.wait_for(lambda: self._last is not None, patience)
            last, age = self._last, clock() - self._began_at
        if last is None:
            return Unreachable(Cause.DEADLINE, "the first probe is not done")
        if age > self._longest_age:
            return Unreachable(Cause.DEADLINE, f"the last probe is {age:.0f} s old")
        return last

    def instant(self) -> bool:
        return self._last is not None

    def cancel(self) -> None:
        """Nothing to do: collect() waits until its deadline at most."""

    def close(self) -> None:
        """The thread ends by itself after the probe it is at, which has a timeout."""
        self._stopping.set()
        self._prober.cancel()

    # The thread.

    def _run(self) -> None:
        due_at = self._clocks.monotonic()
        while not self._stopping.wait(max(0.0, due_at - self._clocks.monotonic())):
            self._look()
            # After a pause of the whole machine, one probe and not all that were missed.
            due_at = max(due_at + self._interval, self._clocks.monotonic())

    def _look(self) -> None:
        began_at, at = self._clocks.monotonic(), self._clocks.wall()
        found = tried(lambda: self._prober.collect(math.inf))
        if isinstance(found, Exception):
            log.error("probe %s raised", self._name, exc_info=found)
            last: Probe | Unreachable = Unreachable(Cause.BUG, f"{type(found).__name__}: {found}")
        else:
            last = replace(found, probed_at=at)
        with self._told:
            self._last, self._began_at = last, began_at
            self._told.notify_all()

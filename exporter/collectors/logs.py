"""Error counting over the containers' logs, in a thread of its own.

Rule: a scrape never reads a log. The thread reads what is new all the time, so that a file is
seen before it is rotated away, and never takes more than a share of one core, so that a log of
gigabytes delays nobody. What a scrape tells was saved before: a counter that has been seen
never goes back, whatever ends the process.
"""

import logging
import os
import re
import threading
from functools import partial
from pathlib import Path

from exporter.collectors.logcount import Pattern
from exporter.collectors.logtail import AskEngine, Tail
from exporter.collectors.matcher import finder
from exporter.collectors.port import Clocks, ContainerSet
from exporter.readings import Cause, Container, Logs, Unreachable
from exporter.readings.logs import Recurring
from exporter.targets import LogFolder, LogPattern

log = logging.getLogger(__name__)

DUTY = 0.3  # of one core, while there is something to read
SLICE_SECONDS = 0.02
SHORTEST_IDLE_SECONDS, LONGEST_IDLE_SECONDS = 0.05, 1.0
SET_SECONDS = 1.0
SAVE_SECONDS = 2.0
SAVE_AFTER_ROTATION_SECONDS = 0.1
DURABLE_SECONDS = 10.0
SET_PATIENCE_SECONDS = 0.5


class LogCollector:
    def __init__(self, folder: LogFolder, containers: ContainerSet, clocks: Clocks) -> None:
        self._root = Path(folder.root)
        self._engine = folder.engine
        self._containers = containers
        self._clocks = clocks
        patterns = tuple(_pattern(pattern) for pattern in folder.patterns)
        self._tail = Tail(
            self._root,
            Path(folder.state_file),
            clocks,
            finder(tuple(pattern.text for pattern in patterns)),
            patterns=patterns,
            ask_engine=_asking(folder) if folder.ask_engine else None,
        )
        self._reads_files = not folder.ask_engine
        self._looked_at = self._saved_at = self._durable_at = float("-inf")
        self._saved_rotations = 0
        self._idle = SHORTEST_IDLE_SECONDS
        self._dirty = True
        self._ids: frozenset[str] = frozenset()
        self._seen: tuple[Container, ...] | None = None
        self._save_problem = ""  # told at every scrape until a save works again
        self._wake = threading.Event()
        self._stopping = False
        self._told = threading.Condition()  # guards what follows
        self._asked = self._answered = 0
        self._reading: Logs | Unreachable | None = None
        self._recurring: list[Recurring] = []
        self._thread = threading.Thread(target=self._run, name="log-tail", daemon=True)
        self._thread.start()

    def collect(self, deadline: float) -> Logs | Unreachable:
        if self._reads_files and not os.access(self._root, os.R_OK | os.X_OK):
            return Unreachable(Cause.FILES, f"{self._root}: cannot be read")
        with self._told:
            self._asked += 1
            mine = self._asked
            self._wake.set()
            timeout = max(0.0, min(deadline - self._clocks.monotonic(), threading.TIMEOUT_MAX))
            self._told.wait_for(lambda: self._answered >= mine or self._stopping, timeout)
            if self._reading is None or self._answered < mine:
                return Unreachable(Cause.DEADLINE, "the log reader has not answered")
            return self._reading

    def recurring(self) -> list[Recurring]:
        """For the page for people: the most frequent errors with a sample of each."""
        with self._told:
            return self._recurring

    def cancel(self) -> None:
        """Nothing to do: collect() waits until its deadline at most."""

    def close(self) -> None:
        self._stopping = True
        self._wake.set()
        with self._told:
            self._told.notify_all()
        self._thread.join(timeout=5)
        if problem := self._tail.save(durable=True):
            log.warning("logs: %s", problem)
        self._tail.close()

    # The thread.

    def _run(self) -> None:
        while not self._stopping:
            try:
                pause = self._step()
            except Exception:  # the thread's edge: a bug must not end the reading
                log.exception("logs: reading failed")
                pause = SET_SECONDS
            self._wake.wait(pause)
            self._wake.clear()

    def _step(self) -> float:
        """One slice of reading, and the answer to whoever asked; how long to rest."""
        with self._told:
            asked = self._asked
        began_at = self._clocks.monotonic()
        unreachable = self._look(began_at)
        end = began_at + SLICE_SECONDS
        read = self._tail.round(lambda: self._clocks.monotonic() < end)
        self._dirty = self._dirty or read > 0
        with self._told:
            wanted = self._answered < asked
        if self._dirty and (wanted or self._due()):
            self._save()
        if wanted:
            self._tell(asked, unreachable)
        if not read:
            # Quiet for longer: looked at less often.
            self._idle = min(2 * self._idle, LONGEST_IDLE_SECONDS)
            return self._idle
        self._idle = SHORTEST_IDLE_SECONDS
        spent = self._clocks.monotonic() - began_at
        return spent * (1 / DUTY - 1)

    def _look(self, now: float) -> Unreachable | None:
        if now - self._looked_at < SET_SECONDS and self._asked == self._answered:
            return None
        self._looked_at = now
        found = self._containers.known(now + SET_PATIENCE_SECONDS)
        if isinstance(found, Unreachable):
            return found
        if found.containers is self._seen:
            return None  # the set keeps the same tuple until something changes
        self._seen = found.containers
        watched = [c for c in found.containers if self._engine.watches(c.project)]
        self._tail.watch(watched)
        # Where a quiet log begins to be followed must be known to the next process as well.
        ids = frozenset(container.id for container in watched)
        self._dirty, self._ids = self._dirty or ids != self._ids, ids
        return None

    def _due(self) -> bool:
        since = self._clocks.monotonic() - self._saved_at
        # A file that has been left may be gone soon, and with it what the old places point to.
        rotated = self._tail.rotations != self._saved_rotations
        return since >= (SAVE_AFTER_ROTATION_SECONDS if rotated else SAVE_SECONDS)

    def _save(self) -> None:
        now = self._clocks.monotonic()
        durable = now - self._durable_at >= DURABLE_SECONDS
        self._save_problem = self._tail.save(durable=durable)
        self._saved_at, self._saved_rotations = now, self._tail.rotations
        self._durable_at = now if durable else self._durable_at
        self._dirty = bool(self._save_problem)

    def _tell(self, asked: int, unreachable: Unreachable | None) -> None:
        reading: Logs | Unreachable = unreachable or self._tail.reading()
        if isinstance(reading, Logs) and self._save_problem:
            reading = Logs(
                reading.logs,
                reading.rotations,
                reading.truncations,
                reading.partials_joined,
                reading.lines_dropped,
                (*reading.problems, self._save_problem),
            )
        recurring = self._tail.recurring()
        with self._told:
            self._reading, self._recurring, self._answered = reading, recurring, asked
            self._told.notify_all()


def _pattern(pattern: LogPattern) -> Pattern:
    regex = re.compile(pattern.regex) if pattern.regex else None
    return Pattern(pattern.name, pattern.text.encode(), regex)


def _asking(folder: LogFolder) -> AskEngine:
    # Imported only where the engine is asked.
    from exporter.collectors.logsapi import EngineLog  # noqa: PLC0415

    return partial(EngineLog, folder.engine.url)

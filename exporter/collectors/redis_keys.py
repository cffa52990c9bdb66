"""Counts the keys of configured groups in the background, and estimates their memory.

Rule: never in a scrape, see redis_scan. Only a walk that went through every database is
published, with its time; a connection that ends in the middle voids the walk, for a
restarted server's cursor means nothing. What is kept does not grow with the keys.
"""

import threading

from exporter.collectors.port import Clocks
from exporter.collectors.redis_scan import STEP_TIMEOUT, Pace, Stopped, walk
from exporter.collectors.redis_wire import TROUBLE, RedisLink, Refused, unreachable
from exporter.globs import classifier
from exporter.readings import KeyGroup, KeyGroupScan
from exporter.targets import KeyGroups, RedisServer

UNCLASSIFIED = "unclassified"
_SIZES_A_STEP = 50
_RETRY_SECONDS = 5.0
_KEPT_INTERVALS = 3


class KeyGroupScanner:
    def __init__(self, server: RedisServer, groups: KeyGroups, clocks: Clocks) -> None:
        self._server = server
        self._groups = groups
        self._clocks = clocks
        self._fit = classifier(tuple(glob for _, glob in groups.groups))
        self._names = (UNCLASSIFIED, *(name for name, _ in groups.groups))
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._link: RedisLink | None = None
        self._latest: KeyGroupScan | None = None
        self.problem = ""

    def start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="redis-keys", daemon=True)
            self._thread.start()

    def latest(self) -> KeyGroupScan | None:
        """The last whole walk, unless it is too old to be believed."""
        found = self._latest
        if found is None:
            return None
        oldest = _KEPT_INTERVALS * (self._groups.interval + found.duration_seconds)
        return found if self._clocks.wall() - found.finished_at <= oldest else None

    def close(self) -> None:
        self._stop.set()
        if self._link is not None:
            self._link.cancel()
        if self._thread is not None:
            self._thread.join(STEP_TIMEOUT)

    def _run(self) -> None:
        clock = self._clocks.monotonic
        pause = 0.0
        while not self._stop.wait(pause):
            began = clock()
            try:
                groups: dict[tuple[int, str], KeyGroup] = {}
                for db in self._groups.databases:
                    groups |= self._database(db)
            except Stopped:
                return
            except TROUBLE as error:
                self.problem = f"key groups: {unreachable(self._server, error)}"
                pause = _RETRY_SECONDS
                continue
            took = clock() - began
            self._latest = KeyGroupScan(groups, self._clocks.wall(), took)
            self.problem = ""
            pause = max(0.0, self._groups.interval - took)

    def _database(self, db: int) -> dict[tuple[int, str], KeyGroup]:
        clock = self._clocks.monotonic
        # Impatient: a connection made anew in the middle may be to a restarted server.
        link = RedisLink(self._server, clock, name="stackmedic-keys", db=db, patient=False)
        self._link = link
        cap = self._groups.memory_samples
        counts = [0] * len(self._names)
        sizes: list[list[int]] = [[] for _ in self._names]
        try:
            for keys in walk(link, clock, self._stop.wait, pace=Pace()):
                wanted: list[tuple[int, bytes]] = []
                for key in keys:
                    group = self._fit(key)
                    counts[group] += 1
                    # SCAN goes by hash, so the first keys of a group are a fair sample.
                    if len(sizes[group]) < cap and len(wanted) < _SIZES_A_STEP:
                        wanted.append((group, key))
                self._measure(link, wanted, sizes)
        finally:
            link.close()
        return {
            (db, name): KeyGroup(count, _estimate(count, seen) if cap else None)
            for name, count, seen in zip(self._names, counts, sizes, strict=True)
        }

    def _measure(
        self, link: RedisLink, wanted: list[tuple[int, bytes]], sizes: list[list[int]]
    ) -> None:
        if not wanted:
            return
        # With a sample of the default size: SAMPLES 0 reads the whole of a large value.
        replies = link.ask_all(
            self._clocks.monotonic() + STEP_TIMEOUT,
            [("MEMORY", "USAGE", key) for _, key in wanted],
        )
        for (group, _), reply in zip(wanted, replies, strict=True):
            if isinstance(reply, Refused):
                raise reply
            if isinstance(reply, int):  # None: the key is gone
                sizes[group].append(reply)


def _estimate(count: int, sizes: list[int]) -> float:
    return count * sum(sizes) / len(sizes) if sizes else 0.0

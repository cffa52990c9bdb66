"""All followed logs: which containers, their counters, and one round over what is new.

Rule: knows no thread and sleeps never; whoever calls it decides when and for how long.
Counters belong to the container's name and survive both its recreation and ours.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from exporter.collectors import logstate
from exporter.collectors.jsonlog import JsonLog
from exporter.collectors.logcount import LineCounter, Pattern, Tally
from exporter.collectors.matcher import Finder
from exporter.collectors.port import Clocks
from exporter.readings import Container, ContainerLog, Logs
from exporter.readings.logs import Recurring

MAX_NAMES = 1000
FILE_DRIVERS = ("", "json-file")


class Followed(Protocol):
    """The log of one container id, wherever it is read from."""

    source: str

    @property
    def lag_bytes(self) -> int: ...
    def begin_at_end(self) -> None: ...
    def poll(self, more_time: Callable[[], bool]) -> int: ...
    def saved(self) -> dict[str, Any]: ...
    def restore(self, saved: dict[str, Any]) -> None: ...
    def close(self) -> None: ...


AskEngine = Callable[[Container, LineCounter], Followed]


class Tail:
    def __init__(
        self,
        root: Path,
        state_file: Path,
        clocks: Clocks,
        finder: Finder,
        *,
        patterns: tuple[Pattern, ...] = (),
        ask_engine: AskEngine | None = None,
    ) -> None:
        self._root = root
        self._state_file = state_file
        self._clocks = clocks
        self._finder = finder
        self._patterns = patterns
        self._ask_engine = ask_engine
        # Lines written before this moment are history and not counted.
        self._state = logstate.load(state_file, clocks.wall())
        self._began_at = self._state.saved_at
        self._restored = self._state.places  # id -> place, until its container is seen
        self._containers: list[Container] = []
        self._logs: dict[str, Followed] = {}  # by container id
        self._problems: dict[str, str] = {}

    @property
    def rotations(self) -> int:
        return self._state.noticed.rotations

    def watch(self, containers: list[Container]) -> None:
        """Follow these from now on; the others are gone."""
        self._containers = containers
        alive = {container.id for container in containers}
        for container_id in self._logs.keys() - alive:
            self._logs.pop(container_id).close()
        for container_id in self._restored.keys() - alive:
            del self._restored[container_id]
        # Counters outlive their container, for it usually comes back under the same name.
        tallies, names = self._state.tallies, {container.name for container in containers}
        for name in [name for name in tallies if name not in names]:
            if len(tallies) <= MAX_NAMES:
                break
            del tallies[name]

    def round(self, more_time: Callable[[], bool]) -> int:
        """Read what is new in every log, while there is time; how many bytes."""
        read = 0
        problems: dict[str, str] = {}
        for container in self._containers:
            try:
                read += self._log(container).poll(more_time)
            except OSError as error:
                problems[container.name] = error.strerror or str(error)
            if not more_time():
                break
        # The next round begins with whom this one did not reach: nobody starves.
        self._containers = self._containers[1:] + self._containers[:1]
        self._problems = problems
        return read

    def save(self, *, durable: bool) -> str:
        """Empty when it was saved."""
        self._state.saved_at = self._clocks.wall()
        self._state.places = self._restored | {k: one.saved() for k, one in self._logs.items()}
        return logstate.save(self._state_file, self._state, durable=durable)

    def reading(self) -> Logs:
        noticed = self._state.noticed
        logs = (self._reading_of(container) for container in self._containers)
        return Logs(
            logs=tuple(sorted(logs, key=lambda item: item.container.name)),
            rotations=noticed.rotations,
            truncations=noticed.truncations,
            partials_joined=noticed.partials_joined,
            lines_dropped=dict(noticed.dropped),
            problems=tuple(f"{name}: {why}" for name, why in self._problems.items()),
        )

    def recurring(self) -> list[Recurring]:
        """The recurring errors of all containers, most frequent first, with their samples."""
        found = [
            Recurring(name, key, entry.count, entry.seen_at, entry.sample)
            for name, tally in self._state.tallies.items()
            for key, entry in tally.fingerprints.shown.items()
        ]
        return sorted(found, key=lambda item: -item.count)

    def close(self) -> None:
        for one in self._logs.values():
            one.close()
        self._logs.clear()

    def _reading_of(self, container: Container) -> ContainerLog:
        tally = self._state.tallies.get(container.name) or Tally()
        tally.fingerprints.expire(self._clocks.wall())
        log = self._logs.get(container.id)
        configured = {pattern.name for pattern in self._patterns}
        return ContainerLog(
            container,
            dict(tally.messages),
            tally.size,
            source=log.source if log else "",
            lag_bytes=log.lag_bytes if log else 0,
            last_message_at=tally.last_message_at,
            matches={k: n for k, n in tally.matches.items() if k in configured},
            fingerprints=tally.fingerprints.counts(),
        )

    def _log(self, container: Container) -> Followed:
        log = self._logs.get(container.id)
        if log is None:
            log = self._logs[container.id] = self._follow(container)
        return log

    def _follow(self, container: Container) -> Followed:
        tally = self._state.tallies.setdefault(container.name, Tally())
        counter = LineCounter(
            tally,
            self._state.noticed,
            self._finder,
            patterns=self._patterns,
            wall=self._clocks.wall,
        )
        path = self._root / container.id / f"{container.id}-json.log"
        log: Followed = JsonLog(path, counter, self._state.noticed)
        readable = container.log_driver in FILE_DRIVERS and os.access(path.parent, os.X_OK)
        if self._ask_engine is not None and not readable:
            log = self._ask_engine(container, counter)
        saved = self._restored.pop(container.id, None)
        try:
            if saved is not None:
                log.restore(saved)
                return log
        except (KeyError, TypeError, ValueError):
            pass  # saved by the other way of reading: begin as if it had not been
        if container.created_at < self._began_at:
            log.begin_at_end()
        return log

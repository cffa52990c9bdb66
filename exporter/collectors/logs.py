"""Error counting over the containers' json-file logs.

Rule: counters belong to the container's name and survive both its recreation and ours. The
places in the files and the counters are saved together and atomically, so a restart neither
counts a line twice nor makes a spike out of old ones.
"""

import json
import logging
import os
from pathlib import Path
from typing import Any

from exporter.collectors.jsonlog import JsonLog, Noticed, Tally
from exporter.collectors.port import Clocks, ContainerSet
from exporter.readings import Cause, Container, ContainerLog, Logs, Unreachable
from exporter.targets import LogFolder

log = logging.getLogger(__name__)

SAVE_SECONDS = 10.0
MAX_NAMES = 1000
_FORMAT = 1


class LogCollector:
    def __init__(self, folder: LogFolder, containers: ContainerSet, clocks: Clocks) -> None:
        self._root = Path(folder.root)
        self._state_file = Path(folder.state_file)
        self._engine = folder.engine
        self._containers = containers
        self._clocks = clocks
        self._tallies: dict[str, Tally] = {}
        self._files: dict[str, JsonLog] = {}  # by container id
        self._noticed = Noticed()
        self._restored: dict[str, Any] = {}  # id -> place, until its container is seen
        # Lines written before this moment are history and not counted.
        self._began_at = clocks.wall()
        self._saved_at = clocks.monotonic()
        self._save_problem = ""  # told at every scrape until a save works again
        self._restore()

    def collect(self, deadline: float) -> Logs | Unreachable:
        reading = self._containers.known(deadline)
        if isinstance(reading, Unreachable):
            return reading
        if not os.access(self._root, os.R_OK | os.X_OK):
            return Unreachable(Cause.FILES, f"{self._root}: cannot be read")
        watched = [c for c in reading.containers if self._engine.watches(c.project)]
        self._forget({c.id for c in watched})
        problems: list[str] = []
        logs = []
        for container in watched:
            try:
                logs.append(self._read(container, deadline))
            except OSError as error:
                problems.append(f"{container.name}: {error.strerror}")
        if self._clocks.monotonic() - self._saved_at >= SAVE_SECONDS:
            self._save_problem = self._save()
        if self._save_problem:
            problems.append(self._save_problem)
        noticed = self._noticed
        return Logs(
            logs=tuple(logs),
            rotations=noticed.rotations,
            truncations=noticed.truncations,
            partials_joined=noticed.partials_joined,
            lines_dropped=noticed.lines_dropped,
            problems=tuple(problems),
        )

    def cancel(self) -> None:
        """Nothing to do: the deadline is looked at between blocks."""

    def close(self) -> None:
        if problem := self._save():
            log.warning("logs: %s", problem)
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _read(self, container: Container, deadline: float) -> ContainerLog:
        file = self._files.get(container.id) or self._follow(container)
        file.poll(lambda: self._clocks.monotonic() < deadline)
        tally = self._tallies[container.name]
        return ContainerLog(
            container, dict(tally.messages), dict(tally.sizes), lag_bytes=file.lag_bytes
        )

    def _follow(self, container: Container) -> JsonLog:
        tally = self._tallies.setdefault(container.name, Tally())
        path = self._root / container.id / f"{container.id}-json.log"
        file = JsonLog(path, tally, self._noticed)
        saved = self._restored.pop(container.id, None)
        if saved is not None:
            file.restore(saved)
        elif container.created_at < self._began_at:
            file.begin_at_end()
        else:
            file.begin_at_start()
        self._files[container.id] = file
        return file

    def _forget(self, alive: set[str]) -> None:
        for container_id in self._files.keys() - alive:
            self._files.pop(container_id).close()
        for container_id in self._restored.keys() - alive:
            del self._restored[container_id]
        # Counters outlive their container, for it usually comes back under the same name.
        while len(self._tallies) > MAX_NAMES:
            self._tallies.pop(next(iter(self._tallies)))

    # The state file.

    def _save(self) -> str:
        """Empty when it was saved."""
        self._saved_at = self._clocks.monotonic()
        state = {
            "format": _FORMAT,
            "saved_at": self._clocks.wall(),
            "noticed": {name: getattr(self._noticed, name) for name in Noticed.__slots__},
            "names": {
                name: {
                    "messages": [[*key, count] for key, count in tally.messages.items()],
                    "sizes": tally.sizes,
                }
                for name, tally in self._tallies.items()
            },
            "files": self._restored | {key: file.saved() for key, file in self._files.items()},
        }
        temporary = self._state_file.with_name(self._state_file.name + ".new")
        try:
            self._state_file.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("w", encoding="utf-8") as file:
                json.dump(state, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._state_file)
        except OSError as error:
            return f"{self._state_file}: cannot be written: {error.strerror}"
        return ""

    def _restore(self) -> None:
        try:
            state = json.loads(self._state_file.read_text(encoding="utf-8"))
            if state["format"] != _FORMAT:
                raise ValueError("another format")  # noqa: TRY301  told with the other faults below
            names = {
                name: Tally({(s, lv): n for s, lv, n in saved["messages"]}, saved["sizes"])
                for name, saved in state["names"].items()
            }
            noticed, files = Noticed(**state["noticed"]), dict(state["files"])
            saved_at = float(state["saved_at"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            # Counting from here on beats not starting; counters begin at zero again.
            log.warning("%s: not used: %s", self._state_file, error)
            return
        self._tallies, self._noticed, self._restored = names, noticed, files
        self._began_at = saved_at

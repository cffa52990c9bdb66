"""Network counters of each container, from /proc/<pid>/net/dev of its first process.

Rule: a container that shares another's network has no counters of its own, or the same bytes
would be counted twice. A process counts for a container only when its cgroup says so: in
another PID namespace than the engine's the same number is another process. Where no container
can be found, the engine is asked for its own statistics.

Descriptors are kept, as those of cgroup files. One keeps the counters of a process that has
ended readable, so the process is looked for each time.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from exporter.collectors.port import ContainerSet
from exporter.collectors.stats_api import EngineStats
from exporter.collectors.stats_document import interfaces_of as interfaces_of_document
from exporter.readings import Cause, Container, Interface, Networks, Unreachable
from exporter.readings.cgroups import STATS_API
from exporter.targets import ALWAYS, Engine

# Columns of net/dev behind the interface's name.
_RECEIVED, _SENT = 0, 8
_COLUMNS = 16
_LOOPBACK = b"    lo"
_LARGEST_FILE = 16384


class NetworkCollector:
    def __init__(
        self, engine: Engine, containers: ContainerSet, stats: EngineStats | None = None
    ) -> None:
        self._stats = stats
        self._only_stats = engine.stats_api == ALWAYS
        self._root = Path(engine.proc_root or "/proc")
        self._containers = containers
        self._kept: dict[tuple[str, int], int] = {}  # container id, process id -> descriptor
        self._said: dict[tuple[str, int], tuple[bytes, tuple[Interface, ...]]] = {}
        self._asks = stats is not None  # until the files have shown a container

    def collect(self, deadline: float) -> Networks | Unreachable:
        reading = self._containers.known(deadline)
        if isinstance(reading, Unreachable):
            return reading
        connected = [c for c in reading.containers if c.pid and c.own_network]
        if not self._only_stats:
            found = self._from_files(connected)
            self._asks = self._stats is not None and isinstance(found, Unreachable)
            if self._stats is None or not self._asks:
                return found
        return self._from_engine(connected, deadline)

    def instant(self) -> bool:
        return self._containers.live() and not self._asks

    def cancel(self) -> None:
        """Nothing to do: /proc does not block, and the engine has the deadline as its timeout."""

    def close(self) -> None:
        self._forget(list(self._kept))

    def _from_files(self, connected: Sequence[Container]) -> Networks | Unreachable:
        if not os.path.lexists(self._root / "self"):
            return Unreachable(Cause.FILES, f"{self._root}: is no proc file system")
        found = []
        self._forget(self._kept.keys() - {(c.id, c.pid) for c in connected})
        for container in connected:
            key = container.id, container.pid
            try:
                text = os.pread(self._descriptor(container), _LARGEST_FILE, 0)
            except OSError:
                self._forget([key])
                continue  # ended since the engine spoke of it
            said = self._said.get(key)
            if said is None or said[0] != text:
                said = self._said[key] = text, interfaces_of(text)
            found.append((container, said[1]))
        if connected and not found:
            name = connected[0].name
            return Unreachable(Cause.FILES, f"{self._root}: no process of {name} in sight")
        return Networks(tuple(found))

    def _descriptor(self, container: Container) -> int:
        """Errors: OSError when there is no process of this container."""
        process, key = f"{self._root}/{container.pid}", (container.id, container.pid)
        fd = self._kept.get(key)
        if fd is not None:
            if not os.access(process, os.F_OK):
                raise ProcessLookupError(process)
            return fd
        if container.id not in Path(process, "cgroup").read_text():
            raise ProcessLookupError(process)
        fd = self._kept[key] = os.open(f"{process}/net/dev", os.O_RDONLY | os.O_CLOEXEC)
        return fd

    def _forget(self, whose: Iterable[tuple[str, int]]) -> None:
        for key in list(whose):
            self._said.pop(key, None)
            if (fd := self._kept.pop(key, None)) is not None:
                os.close(fd)

    def _from_engine(
        self, connected: Sequence[Container], deadline: float
    ) -> Networks | Unreachable:
        documents = self._stats.of(connected, deadline) if self._stats else {}
        if isinstance(documents, Unreachable):
            return documents
        networks = (
            (container, interfaces_of_document(documents[container.id]))
            for container in connected
            if container.id in documents
        )
        return Networks(tuple(networks), STATS_API)


def interfaces_of(text: bytes) -> tuple[Interface, ...]:
    """net/dev -> its interfaces without the loopback. Pure."""
    found = []
    for line in text.splitlines():
        name, separator, rest = line.partition(b":")
        if not separator or name == _LOOPBACK:
            continue
        columns = rest.split()
        if len(columns) < _COLUMNS:
            continue
        received = tuple(map(int, columns[_RECEIVED : _RECEIVED + 4]))
        sent = tuple(map(int, columns[_SENT : _SENT + 4]))
        found.append(Interface(name.strip().decode("utf-8", "replace"), received, sent))
    return tuple(found)

"""Network counters of each container, from /proc/<pid>/net/dev of its first process.

Rule: a container that shares another's network has no counters of its own, or the same bytes
would be counted twice.
"""

import os
from pathlib import Path

from exporter.collectors.port import ContainerSet
from exporter.readings import Cause, Interface, Networks, Unreachable
from exporter.targets import Engine

# Columns of net/dev behind the interface's name.
_RECEIVED, _SENT = 0, 8
_COLUMNS = 16
_LARGEST_FILE = 65536


class NetworkCollector:
    def __init__(self, engine: Engine, containers: ContainerSet) -> None:
        self._root = Path(engine.proc_root or "/proc")
        self._containers = containers

    def collect(self, deadline: float) -> Networks | Unreachable:
        reading = self._containers.known(deadline)
        if isinstance(reading, Unreachable):
            return reading
        if not (self._root / "self").exists():
            return Unreachable(Cause.FILES, f"{self._root}: is no proc file system")
        found = []
        for container in reading.containers:
            if not container.pid or not container.own_network:
                continue
            try:
                text = _read(f"{self._root}/{container.pid}/net/dev")
            except OSError:
                continue  # ended since the engine spoke of it
            found.append((container, interfaces_of(text)))
        return Networks(tuple(found))

    def instant(self) -> bool:
        return self._containers.live()

    def cancel(self) -> None:
        """Nothing to do: /proc does not block."""

    def close(self) -> None:
        """Nothing is kept."""


def _read(path: str) -> bytes:
    # Opened each time: a descriptor that is kept would keep a dead container's network alive.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, _LARGEST_FILE)
    finally:
        os.close(fd)


def interfaces_of(text: bytes) -> tuple[Interface, ...]:
    """net/dev -> its interfaces without the loopback. Pure."""
    found = []
    for line in text.splitlines():
        name, separator, rest = line.partition(b":")
        columns = rest.split()
        if not separator or len(columns) < _COLUMNS or name.strip() == b"lo":
            continue
        received = tuple(map(int, columns[_RECEIVED : _RECEIVED + 4]))
        sent = tuple(map(int, columns[_SENT : _SENT + 4]))
        found.append(Interface(name.strip().decode("utf-8", "replace"), received, sent))
    return tuple(found)

"""What the kernel counts for each container, read from its cgroup files.

Rule: descriptors are kept and re-read with pread, which costs a quarter of open/read/close.
A descriptor dies with ENODEV when its container stops or restarts, even under the same id,
so it is opened again once. Layouts: cgroup v1 and v2, cgroupfs and systemd drivers.
"""

import errno
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from exporter.collectors.cgroup_files import V1_FILES, V2_FILES, device_names, usage_of
from exporter.collectors.port import ContainerSet
from exporter.readings import Cause, Container, ContainerState, Unreachable, Usage, Usages
from exporter.targets import Engine

RUNNING = frozenset({ContainerState.RUNNING, ContainerState.PAUSED})
_LARGEST_FILE = 8192


class CgroupCollector:
    def __init__(self, engine: Engine, containers: ContainerSet) -> None:
        self._root = Path(engine.cgroup_root or "/sys/fs/cgroup")
        self._partitions = Path(engine.proc_root or "/proc") / "partitions"
        self._containers = containers
        self._kept: dict[str, dict[str, int]] = {}  # container id -> file -> descriptor
        self._devices: dict[str, str] = {}

    def collect(self, deadline: float) -> Usages | Unreachable:
        reading = self._containers.known(deadline)
        if isinstance(reading, Unreachable):
            return reading
        if not self._root.is_dir():
            return Unreachable(Cause.FILES, f"{self._root}: is not a folder")
        running = [c for c in reading.containers if c.state in RUNNING]
        self._forget(self._kept.keys() - {c.id for c in running})
        usages, lost, problems = [], [], []
        for container in running:
            try:
                usage = self._usage(container)
            except OSError as error:  # out of descriptors, or not allowed
                problems.append(f"{container.name}: {error.strerror}")
                continue
            if usage is None:
                lost.append(container.name)
            else:
                usages.append((container, usage))
        if lost and not usages:
            return Unreachable(Cause.FILES, f"{self._root}: no cgroup of {lost[0]} in sight")
        return Usages(tuple(usages), tuple(problems))

    def instant(self) -> bool:
        return self._containers.live()

    def cancel(self) -> None:
        """Nothing to do: these files do not block."""

    def close(self) -> None:
        self._forget(list(self._kept))

    def _usage(self, container: Container) -> Usage | None:
        """None: the container went away between the list and the read."""
        for _ in range(2):
            files = self._kept.get(container.id) or self._open(container)
            if not files:
                return None
            try:
                texts = {name: os.pread(fd, _LARGEST_FILE, 0) for name, fd in files.items()}
            except OSError as error:
                if error.errno == errno.ENODEV:
                    self._forget([container.id])
                else:
                    self._drop_unreadable(files)
            else:
                return usage_of(texts, self._device_name)
        return None

    def _open(self, container: Container) -> dict[str, int]:
        unified = (self._root / "cgroup.controllers").exists()
        opened = self._kept[container.id] = {}
        for controller, name in V2_FILES if unified else V1_FILES:
            for folder in _folders(container):
                with suppress(FileNotFoundError, NotADirectoryError):
                    path = self._root / controller / folder / name
                    opened[name] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                    break
        return opened

    def _drop_unreadable(self, files: dict[str, int]) -> None:
        """Do without a file that opens and cannot be read, such as pressure switched off."""
        for name, fd in list(files.items()):
            try:
                os.pread(fd, _LARGEST_FILE, 0)
            except OSError:
                os.close(files.pop(name))

    def _forget(self, ids: Iterable[str]) -> None:
        for container_id in list(ids):
            for fd in self._kept.pop(container_id, {}).values():
                os.close(fd)

    def _device_name(self, number: str) -> str:
        if number not in self._devices:
            with suppress(OSError):
                self._devices = device_names(self._partitions.read_text())
            self._devices.setdefault(number, number)  # not a disk of this machine's list
        return self._devices[number]


def _folders(container: Container) -> tuple[str, ...]:
    """Where the two cgroup drivers put a container, below a controller's root."""
    parent = container.cgroup_parent.strip("/")
    if parent:
        return (f"{parent}/{container.id}", f"{parent}/docker-{container.id}.scope")
    return (f"docker/{container.id}", f"system.slice/docker-{container.id}.scope")

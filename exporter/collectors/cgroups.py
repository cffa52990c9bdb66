"""What the kernel counts for each container, read from its cgroup files.

Rule: descriptors are kept and re-read with pread, which costs a quarter of open/read/close.
A descriptor dies with ENODEV when its container stops or restarts, even under the same id,
so it is opened again once. What a container says word for word as before is not taken apart
again: most of them do nothing most of the time. Layouts: cgroup v1 and v2, cgroupfs and systemd
drivers. Where no container can be found in the files, the engine is asked for its own statistics.
"""

import errno
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from exporter.collectors.cgroup_files import (
    SIZES,
    V1_FILES,
    V1_QUOTA_FILE,
    V2_FILES,
    device_names,
    usage_of,
)
from exporter.collectors.port import ContainerSet
from exporter.collectors.stats_api import EngineStats
from exporter.collectors.stats_document import usage_of as usage_of_document
from exporter.readings import Cause, Container, ContainerState, Unreachable, Usage, Usages
from exporter.readings.cgroups import CGROUP_V1, CGROUP_V2, STATS_API
from exporter.targets import ALWAYS, Engine

RUNNING = frozenset({ContainerState.RUNNING, ContainerState.PAUSED})
# Container id, its first process, whether it has a CPU quota: a restart or a new quota opens anew.
Key = tuple[str, int, bool]


@dataclass(slots=True)
class Kept:
    """The files of one container, and what they said last."""

    files: dict[str, int] = field(default_factory=dict)  # name -> descriptor
    reads: list[tuple[int, int]] = field(default_factory=list)  # descriptor and size of each
    texts: list[bytes] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)


class CgroupCollector:
    def __init__(
        self, engine: Engine, containers: ContainerSet, stats: EngineStats | None = None
    ) -> None:
        self._stats = stats
        self._only_stats = engine.stats_api == ALWAYS
        self._root = Path(engine.cgroup_root or "/sys/fs/cgroup")
        self._proc = Path(engine.proc_root or "/proc")
        self._containers = containers
        self._kept: dict[Key, Kept] = {}
        self._devices: dict[str, str] = {}
        self._asks = stats is not None  # until the files have shown a container

    def collect(self, deadline: float) -> Usages | Unreachable:
        reading = self._containers.known(deadline)
        if isinstance(reading, Unreachable):
            return reading
        running = [c for c in reading.containers if c.state in RUNNING]
        if not self._only_stats:
            found = self._from_files(running)
            self._asks = self._stats is not None and isinstance(found, Unreachable)
            if self._stats is None or not self._asks:
                return found
        return self._from_engine(running, deadline)

    def _from_engine(self, running: Sequence[Container], deadline: float) -> Usages | Unreachable:
        documents = self._stats.of(running, deadline) if self._stats else {}
        if isinstance(documents, Unreachable):
            return documents
        usages = (
            (container, usage_of_document(documents[container.id], self._device_name))
            for container in running
            if container.id in documents
        )
        return Usages(tuple(usages), STATS_API)

    def _from_files(self, running: Sequence[Container]) -> Usages | Unreachable:
        if not os.access(self._root, os.R_OK | os.X_OK):
            return Unreachable(Cause.FILES, f"{self._root}: cannot be read")
        unified = (self._root / "cgroup.controllers").exists()
        self._forget(self._kept.keys() - {_kept_by(c) for c in running})
        usages, lost, problems = [], [], []
        for container in running:
            try:
                usage = self._usage(container, unified=unified)
            except OSError as error:  # out of descriptors, or not allowed
                problems.append(f"{container.name}: {error.strerror}")
                continue
            if usage is None:
                lost.append(container.name)
            else:
                usages.append((container, usage))
        if running and not usages:
            why = problems[0] if problems else f"no cgroup of {lost[0]} in sight"
            return Unreachable(Cause.FILES, f"{self._root}: {why}")
        source = CGROUP_V2 if unified else CGROUP_V1
        return Usages(tuple(usages), source, tuple(problems))

    def instant(self) -> bool:
        return self._containers.live() and not self._asks

    def cancel(self) -> None:
        """Nothing to do: these files do not block."""

    def close(self) -> None:
        self._forget(list(self._kept))

    def _usage(self, container: Container, *, unified: bool) -> Usage | None:
        """None: the container went away between the list and the read."""
        for _ in range(2):
            kept = self._kept.get(_kept_by(container)) or self._open(container, unified=unified)
            if not kept.files:
                self._forget([_kept_by(container)])
                return None
            try:
                texts = [os.pread(fd, size, 0) for fd, size in kept.reads]
            except OSError as error:
                if error.errno == errno.ENODEV:
                    self._forget([_kept_by(container)])
                else:
                    _drop_unreadable(kept)
            else:
                if texts != kept.texts:
                    named = dict(zip(kept.files, texts, strict=True))
                    kept.usage, kept.texts = usage_of(named, self._device_name), texts
                return kept.usage
        return None

    def _open(self, container: Container, *, unified: bool) -> Kept:
        kept = self._kept[_kept_by(container)] = Kept()
        folders = (*_folders(container), *self._told_by_proc(container))
        for controller, name in V2_FILES if unified else V1_FILES:
            if (controller, name) == V1_QUOTA_FILE and not container.cpu_quota:
                continue
            for folder in folders:
                with suppress(FileNotFoundError, NotADirectoryError):
                    path = self._root / controller / folder / name
                    kept.files[name] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                    break
        kept.reads = _reads(kept.files)
        return kept

    def _told_by_proc(self, container: Container) -> tuple[str, ...]:
        """Where the kernel says it is: an engine may have a parent of its own for all."""
        try:
            lines = (self._proc / str(container.pid) / "cgroup").read_text().splitlines()
        except OSError:
            return ()
        paths = (line.split(":", 2)[-1].strip("/") for line in lines if container.id in line)
        return tuple(dict.fromkeys(path for path in paths if ".." not in path))

    def _forget(self, whose: Iterable[Key]) -> None:
        for key in list(whose):
            if (kept := self._kept.pop(key, None)) is not None:
                for fd in kept.files.values():
                    os.close(fd)

    def _device_name(self, number: str) -> str:
        if number not in self._devices:
            with suppress(OSError):
                self._devices = device_names((self._proc / "partitions").read_text())
            self._devices.setdefault(number, number)  # not a disk of this machine's list
        return self._devices[number]


def _drop_unreadable(kept: Kept) -> None:
    """Do without a file that opens and cannot be read, such as pressure switched off."""
    for name, fd in list(kept.files.items()):
        try:
            os.pread(fd, 1, 0)
        except OSError:
            os.close(kept.files.pop(name))
    kept.reads = _reads(kept.files)


def _reads(files: dict[str, int]) -> list[tuple[int, int]]:
    return [(fd, SIZES[name]) for name, fd in files.items()]


def _kept_by(container: Container) -> Key:
    return container.id, container.pid, bool(container.cpu_quota)


def _folders(container: Container) -> tuple[str, ...]:
    """Where the two cgroup drivers put a container, below a controller's root."""
    parent = container.cgroup_parent.strip("/")
    if parent:
        return (f"{parent}/{container.id}", f"{parent}/docker-{container.id}.scope")
    return (f"docker/{container.id}", f"system.slice/docker-{container.id}.scope")

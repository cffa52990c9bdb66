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

from exporter.collectors.port import ContainerSet
from exporter.readings import Cause, Container, ContainerState, Unreachable, Usage, Usages
from exporter.targets import Engine

RUNNING = frozenset({ContainerState.RUNNING, ContainerState.PAUSED})
USER_HZ = os.sysconf("SC_CLK_TCK")
_LARGEST_FILE = 8192

# controller, file. The controller is a folder on v1; v2 has one tree.
V1_FILES = (
    ("cpuacct", "cpuacct.usage"),
    ("cpuacct", "cpuacct.stat"),
    ("cpu", "cpu.stat"),
    ("memory", "memory.usage_in_bytes"),
    ("memory", "memory.stat"),
    ("pids", "pids.current"),
)
V2_FILES = (
    ("", "cpu.stat"),
    ("", "memory.current"),
    ("", "memory.stat"),
    ("", "memory.swap.current"),
    ("", "pids.current"),
)


class CgroupCollector:
    def __init__(self, engine: Engine, containers: ContainerSet) -> None:
        self._root = Path(engine.cgroup_root or "/sys/fs/cgroup")
        self._containers = containers
        self._kept: dict[str, dict[str, int]] = {}  # container id -> file -> descriptor

    def collect(self, deadline: float) -> Usages | Unreachable:
        reading = self._containers.known(deadline)
        if isinstance(reading, Unreachable):
            return reading
        if not self._root.is_dir():
            return Unreachable(Cause.FILES, f"{self._root}: is not a folder")
        running = [c for c in reading.containers if c.state in RUNNING]
        self._forget(self._kept.keys() - {c.id for c in running})
        usages = []
        lost = []
        for container in running:
            usage = self._usage(container)
            if usage is None:
                lost.append(container.name)
            else:
                usages.append((container, usage))
        if lost and not usages:
            return Unreachable(Cause.FILES, f"{self._root}: no cgroup of {lost[0]} in sight")
        return Usages(tuple(usages))

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
                self._forget([container.id])
                if error.errno != errno.ENODEV:
                    return None
            else:
                return usage_of(texts)
        return None

    def _open(self, container: Container) -> dict[str, int]:
        unified = (self._root / "cgroup.controllers").exists()
        opened: dict[str, int] = {}
        for controller, name in V2_FILES if unified else V1_FILES:
            for folder in _folders(container):
                with suppress(FileNotFoundError, NotADirectoryError):
                    path = self._root / controller / folder / name
                    opened[name] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                    break
        if opened:
            self._kept[container.id] = opened
        return opened

    def _forget(self, ids: Iterable[str]) -> None:
        for container_id in list(ids):
            for fd in self._kept.pop(container_id, {}).values():
                os.close(fd)


def _folders(container: Container) -> tuple[str, ...]:
    """Where the two cgroup drivers put a container, below a controller's root."""
    parent = container.cgroup_parent.strip("/")
    if parent:
        return (f"{parent}/{container.id}", f"{parent}/docker-{container.id}.scope")
    return (f"docker/{container.id}", f"system.slice/docker-{container.id}.scope")


def usage_of(texts: dict[str, bytes]) -> Usage:
    """File name -> content, v1 or v2 -> Usage. Pure."""
    if "memory.current" in texts or "cpuacct.usage" not in texts:
        return _usage_v2(texts)
    return _usage_v1(texts)


def _usage_v1(texts: dict[str, bytes]) -> Usage:
    cpu, memory = _pairs(texts.get("cpu.stat", b"")), _pairs(texts.get("memory.stat", b""))
    ticks = _pairs(texts.get("cpuacct.stat", b""))
    used = _number(texts.get("memory.usage_in_bytes"))
    return Usage(
        cpu_seconds=_scaled(_number(texts.get("cpuacct.usage")), 1e9),
        cpu_user_seconds=_scaled(ticks.get(b"user"), USER_HZ),
        cpu_system_seconds=_scaled(ticks.get(b"system"), USER_HZ),
        cfs_periods=cpu.get(b"nr_periods"),
        cfs_throttled_periods=cpu.get(b"nr_throttled"),
        cfs_throttled_seconds=_scaled(cpu.get(b"throttled_time"), 1e9),
        memory_bytes=used,
        working_set_bytes=_working_set(used, memory.get(b"total_inactive_file")),
        rss_bytes=memory.get(b"total_rss"),
        cache_bytes=memory.get(b"total_cache"),
        mapped_file_bytes=memory.get(b"total_mapped_file"),
        swap_bytes=memory.get(b"total_swap"),
        processes=_number(texts.get("pids.current")),
    )


def _usage_v2(texts: dict[str, bytes]) -> Usage:
    cpu, memory = _pairs(texts.get("cpu.stat", b"")), _pairs(texts.get("memory.stat", b""))
    used = _number(texts.get("memory.current"))
    return Usage(
        cpu_seconds=_scaled(cpu.get(b"usage_usec"), 1e6),
        cpu_user_seconds=_scaled(cpu.get(b"user_usec"), 1e6),
        cpu_system_seconds=_scaled(cpu.get(b"system_usec"), 1e6),
        cfs_periods=cpu.get(b"nr_periods"),
        cfs_throttled_periods=cpu.get(b"nr_throttled"),
        cfs_throttled_seconds=_scaled(cpu.get(b"throttled_usec"), 1e6),
        memory_bytes=used,
        working_set_bytes=_working_set(used, memory.get(b"inactive_file")),
        rss_bytes=memory.get(b"anon"),
        cache_bytes=memory.get(b"file"),
        mapped_file_bytes=memory.get(b"file_mapped"),
        swap_bytes=_number(texts.get("memory.swap.current")),
        processes=_number(texts.get("pids.current")),
    )


def _pairs(text: bytes) -> dict[bytes, int]:
    words = text.split()
    return {
        key: int(value)
        for key, value in zip(words[::2], words[1::2], strict=False)
        if value.isdigit()
    }


def _number(text: bytes | None) -> int | None:
    text = (text or b"").strip()
    return int(text) if text.isdigit() else None


def _scaled(value: int | None, by: float) -> float | None:
    return None if value is None else value / by


def _working_set(used: int | None, inactive: int | None) -> int | None:
    return None if used is None else max(0, used - (inactive or 0))

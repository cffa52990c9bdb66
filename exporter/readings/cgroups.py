"""What the kernel counts for containers."""

from dataclasses import dataclass

from exporter.readings.containers import Container


@dataclass(frozen=True, slots=True)
class Usage:
    """What the kernel counts for one container. None: this kernel does not say."""

    cpu_seconds: float | None = None
    cpu_user_seconds: float | None = None
    cpu_system_seconds: float | None = None
    cfs_periods: int | None = None
    cfs_throttled_periods: int | None = None
    cfs_throttled_seconds: float | None = None
    memory_bytes: int | None = None
    working_set_bytes: int | None = None
    rss_bytes: int | None = None
    cache_bytes: int | None = None
    mapped_file_bytes: int | None = None
    swap_bytes: int | None = None
    processes: int | None = None


@dataclass(frozen=True, slots=True)
class Usages:
    usages: tuple[tuple[Container, Usage], ...]
    problems: tuple[str, ...] = ()

"""What the kernel counts for containers."""

from dataclasses import dataclass
from typing import NamedTuple

from exporter.readings.containers import Container

# Where the figures are from.
CGROUP_V1, CGROUP_V2, PROC, STATS_API = "cgroup_v1", "cgroup_v2", "proc", "stats_api"


class DeviceIO(NamedTuple):
    """What went to and from one block device."""

    device: str
    read_bytes: int = 0
    written_bytes: int = 0
    reads: int = 0
    writes: int = 0


class Usage(NamedTuple):
    """What is counted for one container. None: this kernel does not say.

    A tuple, because a hundred of them are made in every scrape.
    """

    cpu_seconds: float | None = None
    cpu_user_seconds: float | None = None
    cpu_system_seconds: float | None = None
    cfs_periods: int | None = None
    cfs_throttled_periods: int | None = None
    cfs_throttled_seconds: float | None = None
    memory_bytes: int | None = None
    working_set_bytes: int | None = None
    max_usage_bytes: int | None = None
    limit_hits: int | None = None
    rss_bytes: int | None = None
    cache_bytes: int | None = None
    mapped_file_bytes: int | None = None
    swap_bytes: int | None = None
    page_faults: int | None = None
    major_page_faults: int | None = None
    processes: int | None = None
    # Pressure: some tasks waited, or all of them stalled.
    cpu_waiting_seconds: float | None = None
    cpu_stalled_seconds: float | None = None
    memory_waiting_seconds: float | None = None
    memory_stalled_seconds: float | None = None
    io_waiting_seconds: float | None = None
    io_stalled_seconds: float | None = None
    devices: tuple[DeviceIO, ...] = ()


@dataclass(frozen=True, slots=True)
class Usages:
    usages: tuple[tuple[Container, Usage], ...]
    source: str = CGROUP_V1
    problems: tuple[str, ...] = ()

"""The engine's statistics document -> Usage and interfaces, as the kernel's files would say it.

Rule: pure. The document tells less than the files: no pressure, and on cgroup v2 neither the
most memory ever used nor how often the limit was hit. What it does not say is None, never 0;
but it leaves out a v1 counter that is 0.
"""

from collections.abc import Mapping
from typing import Any

from exporter.collectors.cgroup_files import MAX_DEVICES, DeviceName
from exporter.readings import Interface, Usage
from exporter.readings.cgroups import DeviceIO

_SECOND = 1e9
_COUNTS = ("bytes", "packets", "errors", "dropped")
_IO = {
    ("io_service_bytes_recursive", "read"): "read_bytes",
    ("io_service_bytes_recursive", "write"): "written_bytes",
    ("io_serviced_recursive", "read"): "reads",
    ("io_serviced_recursive", "write"): "writes",
}

Document = Mapping[str, Any]


def usage_of(document: Document, device_name: DeviceName) -> Usage:
    cpu, memory = _part(document, "cpu_stats"), _part(document, "memory_stats")
    used, throttling = _part(cpu, "cpu_usage"), _part(cpu, "throttling_data")
    stat = _part(memory, "stats")
    v1 = "total_rss" in stat
    total = "total_" if v1 else ""
    memory_used, inactive = memory.get("usage"), stat.get(f"{total}inactive_file")
    return Usage(
        cpu_seconds=_seconds(used.get("total_usage")),
        cpu_user_seconds=_seconds(used.get("usage_in_usermode")),
        cpu_system_seconds=_seconds(used.get("usage_in_kernelmode")),
        cfs_periods=throttling.get("periods"),
        cfs_throttled_periods=throttling.get("throttled_periods"),
        cfs_throttled_seconds=_seconds(throttling.get("throttled_time")),
        memory_bytes=memory_used,
        working_set_bytes=None if memory_used is None else max(0, memory_used - (inactive or 0)),
        max_usage_bytes=memory.get("max_usage"),
        limit_hits=memory.get("failcnt", 0) if v1 else None,
        rss_bytes=stat.get("total_rss" if v1 else "anon"),
        cache_bytes=stat.get("total_cache" if v1 else "file"),
        mapped_file_bytes=stat.get("total_mapped_file" if v1 else "file_mapped"),
        swap_bytes=stat.get("total_swap"),
        page_faults=stat.get(f"{total}pgfault"),
        major_page_faults=stat.get(f"{total}pgmajfault"),
        processes=_part(document, "pids_stats").get("current"),
        devices=_devices(_part(document, "blkio_stats"), device_name),
    )


def interfaces_of(document: Document) -> tuple[Interface, ...]:
    return tuple(
        Interface(
            str(name),
            tuple(int(counts.get(f"rx_{what}", 0)) for what in _COUNTS),
            tuple(int(counts.get(f"tx_{what}", 0)) for what in _COUNTS),
        )
        for name, counts in _part(document, "networks").items()
    )


def _part(document: Document, key: str) -> Mapping[str, Any]:
    found = document.get(key)
    return found if isinstance(found, Mapping) else {}


def _seconds(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / _SECOND


def _devices(stats: Document, device_name: DeviceName) -> tuple[DeviceIO, ...]:
    counts: dict[str, dict[str, int]] = {}
    for key in ("io_service_bytes_recursive", "io_serviced_recursive"):
        for entry in stats.get(key) or ():
            # Written with a capital on cgroup v1.
            if field := _IO.get((key, str(entry.get("op")).lower())):
                number = f"{entry.get('major')}:{entry.get('minor')}"
                counts.setdefault(number, {})[field] = int(entry.get("value") or 0)
    return tuple(
        DeviceIO(device_name(number), **fields)
        for number, fields in sorted(counts.items())[:MAX_DEVICES]
    )

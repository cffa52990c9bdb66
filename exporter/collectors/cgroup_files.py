"""What stands in cgroup files, of both versions, in cAdvisor's formulas.

Rule: pure, bytes in and a Usage out. What a file does not say is None, never 0. On v1 the
pressure files come from the unified hierarchy that is mounted beside it.
"""

import os
from collections.abc import Callable, Mapping
from functools import lru_cache

from exporter.readings.cgroups import DeviceIO, Usage

USER_HZ = os.sysconf("SC_CLK_TCK")
MAX_DEVICES = 32  # per container

# controller, file. The controller is a folder on v1; v2 has one tree.
V1_FILES = (
    ("cpuacct", "cpuacct.usage"),
    ("cpuacct", "cpuacct.stat"),
    ("cpu", "cpu.stat"),
    ("memory", "memory.usage_in_bytes"),
    ("memory", "memory.max_usage_in_bytes"),
    ("memory", "memory.failcnt"),
    ("memory", "memory.stat"),
    ("pids", "pids.current"),
    ("blkio", "blkio.throttle.io_service_bytes"),
    ("blkio", "blkio.throttle.io_serviced"),
    ("unified", "cpu.pressure"),
    ("unified", "memory.pressure"),
    ("unified", "io.pressure"),
)
V1_QUOTA_FILE = ("cpu", "cpu.stat")  # counts nothing without a quota
V2_FILES = (
    ("", "cpu.stat"),
    ("", "memory.current"),
    ("", "memory.peak"),
    ("", "memory.events"),
    ("", "memory.stat"),
    ("", "memory.swap.current"),
    ("", "pids.current"),
    ("", "io.stat"),
    ("", "cpu.pressure"),
    ("", "memory.pressure"),
    ("", "io.pressure"),
)

# Python makes room for all that may come, at each read: little for the files of a few lines.
SIZES = dict.fromkeys((name for _, name in (*V1_FILES, *V2_FILES)), 256) | {
    "memory.stat": 8192,
    "blkio.throttle.io_service_bytes": 8192,
    "blkio.throttle.io_serviced": 8192,
    "io.stat": 8192,
    "cpu.stat": 1024,
}

Texts = Mapping[str, bytes]
DeviceName = Callable[[str], str]

_V1_IO = {
    ("bytes", b"Read"): "read_bytes",
    ("bytes", b"Write"): "written_bytes",
    ("operations", b"Read"): "reads",
    ("operations", b"Write"): "writes",
}
_V2_IO = {
    b"rbytes": "read_bytes",
    b"wbytes": "written_bytes",
    b"rios": "reads",
    b"wios": "writes",
}
# Lines of memory.stat that are wanted, the first in the file first. On v1 the totals, which stand
# behind the rest and alone count what is below the container's own group.
_V1_MEMORY = (
    b"total_cache",
    b"total_rss",
    b"total_mapped_file",
    b"total_pgfault",
    b"total_pgmajfault",
    b"total_inactive_file",
    b"total_swap",
)
_V2_MEMORY = (
    b"anon",
    b"file",
    b"file_mapped",
    b"pgfault",
    b"pgmajfault",
    b"inactive_file",
)
_PRESSURE = tuple(
    (f"{what}.pressure", f"{what}_waiting_seconds", f"{what}_stalled_seconds")
    for what in ("cpu", "memory", "io")
)


def usage_of(texts: Texts, device_name: DeviceName) -> Usage:
    """File name -> content, v1 or v2 -> Usage. device_name: "8:0" -> "/dev/sda"."""
    if "memory.current" in texts or "cpuacct.usage" not in texts:
        return _usage_v2(texts, device_name)
    return _usage_v1(texts, device_name)


def _usage_v1(texts: Texts, device_name: DeviceName) -> Usage:
    cpu, ticks = _pairs(texts.get("cpu.stat")), _pairs(texts.get("cpuacct.stat"))
    cache, rss, mapped, faults, major, inactive, swap = _picked(
        texts.get("memory.stat", b""), _V1_MEMORY
    )
    used = _number(texts.get("memory.usage_in_bytes"))
    return Usage(
        cpu_seconds=_scaled(_number(texts.get("cpuacct.usage")), 1e9),
        cpu_user_seconds=_scaled(ticks.get(b"user"), USER_HZ),
        cpu_system_seconds=_scaled(ticks.get(b"system"), USER_HZ),
        cfs_periods=cpu.get(b"nr_periods"),
        cfs_throttled_periods=cpu.get(b"nr_throttled"),
        cfs_throttled_seconds=_scaled(cpu.get(b"throttled_time"), 1e9),
        memory_bytes=used,
        working_set_bytes=_working_set(used, inactive),
        max_usage_bytes=_number(texts.get("memory.max_usage_in_bytes")),
        limit_hits=_number(texts.get("memory.failcnt")),
        rss_bytes=rss,
        cache_bytes=cache,
        mapped_file_bytes=mapped,
        swap_bytes=swap,
        page_faults=faults,
        major_page_faults=major,
        processes=_number(texts.get("pids.current")),
        **_pressure(texts),
        devices=_devices_v1(texts, device_name),
    )


def _usage_v2(texts: Texts, device_name: DeviceName) -> Usage:
    cpu = _pairs(texts.get("cpu.stat"))
    rss, cache, mapped, faults, major, inactive = _picked(texts.get("memory.stat", b""), _V2_MEMORY)
    used = _number(texts.get("memory.current"))
    return Usage(
        cpu_seconds=_scaled(cpu.get(b"usage_usec"), 1e6),
        cpu_user_seconds=_scaled(cpu.get(b"user_usec"), 1e6),
        cpu_system_seconds=_scaled(cpu.get(b"system_usec"), 1e6),
        cfs_periods=cpu.get(b"nr_periods"),
        cfs_throttled_periods=cpu.get(b"nr_throttled"),
        cfs_throttled_seconds=_scaled(cpu.get(b"throttled_usec"), 1e6),
        memory_bytes=used,
        working_set_bytes=_working_set(used, inactive),
        max_usage_bytes=_number(texts.get("memory.peak")),
        limit_hits=_pairs(texts.get("memory.events")).get(b"max"),
        rss_bytes=rss,
        cache_bytes=cache,
        mapped_file_bytes=mapped,
        swap_bytes=_number(texts.get("memory.swap.current")),
        page_faults=faults,
        major_page_faults=major,
        processes=_number(texts.get("pids.current")),
        **_pressure(texts),
        devices=_devices_v2(texts.get("io.stat", b""), device_name),
    )


def _pressure(texts: Texts) -> dict[str, float]:
    """some: at least one task waited; full: all stalled (older kernels lack it for cpu)."""
    found: dict[str, float] = {}
    for file, waiting, stalled in _PRESSURE:
        totals = _totals(texts.get(file, b""))
        found |= zip((waiting, stalled), totals, strict=False)
    return found


@lru_cache(maxsize=512)  # most containers never wait for memory or I/O, and say it alike
def _totals(text: bytes) -> tuple[float, ...]:
    """Seconds of some, then of full; what the file does not say is not there."""
    lines = text.split(b"total=")[1:3]
    return tuple(int(line.partition(b"\n")[0]) / 1e6 for line in lines)


def _devices_v1(texts: Texts, device_name: DeviceName) -> tuple[DeviceIO, ...]:
    counts: dict[str, dict[str, int]] = {}
    for unit, name in (("bytes", "io_service_bytes"), ("operations", "io_serviced")):
        text = texts.get(f"blkio.throttle.{name}", b"")
        for line in text.splitlines() if b":" in text else ():  # most often "Total 0" alone
            words = line.split()
            if len(words) == 3 and (field := _V1_IO.get((unit, words[1]))):  # noqa: PLR2004  device, what, count
                counts.setdefault(words[0].decode(), {})[field] = int(words[2])
    return _devices(counts, device_name)


def _devices_v2(text: bytes, device_name: DeviceName) -> tuple[DeviceIO, ...]:
    counts: dict[str, dict[str, int]] = {}
    for line in text.splitlines():
        device, *pairs = line.split()
        for key, separator, value in (pair.partition(b"=") for pair in pairs):
            if separator and value.isdigit() and (field := _V2_IO.get(key)):
                counts.setdefault(device.decode(), {})[field] = int(value)
    return _devices(counts, device_name)


def _devices(counts: dict[str, dict[str, int]], device_name: DeviceName) -> tuple[DeviceIO, ...]:
    if not counts:
        return ()
    return tuple(
        DeviceIO(device_name(number), **fields)
        for number, fields in sorted(counts.items())[:MAX_DEVICES]
    )


def device_names(partitions: str) -> dict[str, str]:
    """/proc/partitions -> {"8:0": "/dev/sda"}."""
    rows = (line.split() for line in partitions.splitlines())
    return {
        f"{row[0]}:{row[1]}": f"/dev/{row[3]}"
        for row in rows
        if len(row) == 4 and row[0].isdigit()  # noqa: PLR2004  major, minor, blocks, name
    }


def _picked(text: bytes, keys: tuple[bytes, ...]) -> list[int | None]:
    """The numbers behind these keys, out of dozens: only these are made numbers."""
    words = text[max(0, text.find(keys[0])) :].split()
    found = dict(zip(words[::2], words[1::2], strict=False))
    return [_number(found.get(key)) for key in keys]


def _pairs(text: bytes | None) -> dict[bytes, int]:
    if not text:
        return {}
    words = text.split()
    try:
        return dict(zip(words[::2], map(int, words[1::2]), strict=False))
    except ValueError:  # a word such as max among the numbers
        pairs = zip(words[::2], words[1::2], strict=False)
        return {key: int(value) for key, value in pairs if value.isdigit()}


def _number(text: bytes | None) -> int | None:
    try:
        return int(text) if text else None
    except ValueError:  # nothing, or a word such as max
        return None


def _scaled(value: int | None, by: float) -> float | None:
    return None if value is None else value / by


def _working_set(used: int | None, inactive: int | None) -> int | None:
    return None if used is None else max(0, used - (inactive or 0))

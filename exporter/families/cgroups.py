"""container_* from the kernel's own counters, in cAdvisor's names and units.

Rule: what this kernel does not say is absent. One row of the table is one field of Usage.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from exporter.families.containers import LABELS, extended, label_values
from exporter.families.metric import Family, Kind, Metric, Sample, counter
from exporter.families.scrape import SOURCE
from exporter.readings import Unreachable, Usage, Usages
from exporter.readings.cgroups import DeviceIO
from exporter.targets import Engine

CPU = counter("container_cpu_usage_seconds_total", "CPU time used, all cores.", (*LABELS, "cpu"))
FAILURES = counter(
    "container_memory_failures_total",
    "Page faults; a container has no groups below it, so both scopes say the same.",
    (*LABELS, "failure_type", "scope"),
)
_FAULTS = (("page_faults", "pgfault"), ("major_page_faults", "pgmajfault"))
_SCOPES = ("container", "hierarchy")

# field of Usage, kind, metric, help
_TABLE = (
    ("cpu_user_seconds", "counter", "container_cpu_user_seconds_total", "User CPU time."),
    ("cpu_system_seconds", "counter", "container_cpu_system_seconds_total", "System CPU time."),
    (
        "cfs_periods",
        "counter",
        "container_cpu_cfs_periods_total",
        "Enforcement periods of the CPU quota.",
    ),
    (
        "cfs_throttled_periods",
        "counter",
        "container_cpu_cfs_throttled_periods_total",
        "Periods cut by the quota.",
    ),
    (
        "cfs_throttled_seconds",
        "counter",
        "container_cpu_cfs_throttled_seconds_total",
        "Time held back by the quota.",
    ),
    ("memory_bytes", "gauge", "container_memory_usage_bytes", "Memory in use, caches included."),
    (
        "working_set_bytes",
        "gauge",
        "container_memory_working_set_bytes",
        "Memory less inactive file cache.",
    ),
    ("max_usage_bytes", "gauge", "container_memory_max_usage_bytes", "Most memory ever in use."),
    ("limit_hits", "counter", "container_memory_failcnt", "How often memory usage hit the limit."),
    ("rss_bytes", "gauge", "container_memory_rss", "Anonymous memory in bytes."),
    ("cache_bytes", "gauge", "container_memory_cache", "Page cache in bytes."),
    ("mapped_file_bytes", "gauge", "container_memory_mapped_file", "Mapped files in bytes."),
    ("swap_bytes", "gauge", "container_memory_swap", "Swap in use in bytes."),
    ("processes", "gauge", "container_processes", "Tasks in the container."),
    (
        "cpu_waiting_seconds",
        "counter",
        "container_pressure_cpu_waiting_seconds_total",
        "Time in which some task waited for a CPU.",
    ),
    (
        "cpu_stalled_seconds",
        "counter",
        "container_pressure_cpu_stalled_seconds_total",
        "Time in which no task had a CPU and some wanted one.",
    ),
    (
        "memory_waiting_seconds",
        "counter",
        "container_pressure_memory_waiting_seconds_total",
        "Time in which some task waited for memory.",
    ),
    (
        "memory_stalled_seconds",
        "counter",
        "container_pressure_memory_stalled_seconds_total",
        "Time in which all tasks waited for memory.",
    ),
    (
        "io_waiting_seconds",
        "counter",
        "container_pressure_io_waiting_seconds_total",
        "Time in which some task waited for I/O.",
    ),
    (
        "io_stalled_seconds",
        "counter",
        "container_pressure_io_stalled_seconds_total",
        "Time in which all tasks waited for I/O.",
    ),
)
_CFS = frozenset({"cfs_periods", "cfs_throttled_periods", "cfs_throttled_seconds"})
_BY_FIELD: tuple[tuple[str, Metric], ...] = tuple(
    (field, Metric(name, Kind(kind), text, LABELS)) for field, kind, name, text in _TABLE
)

_DEVICE = (*LABELS, "device")
_BY_DEVICE: tuple[tuple[Callable[[DeviceIO], int], Metric], ...] = (
    (
        attrgetter("read_bytes"),
        counter("container_fs_reads_bytes_total", "Bytes read from the device.", _DEVICE),
    ),
    (
        attrgetter("written_bytes"),
        counter("container_fs_writes_bytes_total", "Bytes written to the device.", _DEVICE),
    ),
    (
        attrgetter("reads"),
        counter("container_fs_reads_total", "Reads from the device.", _DEVICE),
    ),
    (
        attrgetter("writes"),
        counter("container_fs_writes_total", "Writes to the device.", _DEVICE),
    ),
)


def families(engine: Engine, reading: Usages | Unreachable) -> list[Family]:
    if isinstance(reading, Unreachable):
        return []
    keys = engine.service_keys()
    everyone = [(label_values(keys, c), usage) for c, usage in reading.usages]
    labels = [values for values, _ in everyone]
    # Field by field, for a hundred containers: in C, not in a loop.
    columns = dict(
        zip(Usage._fields, zip(*(usage for _, usage in reading.usages), strict=True), strict=False)
    )
    # Without a quota the cfs families count nothing, and cAdvisor leaves them out.
    limited = {values for values, (c, _) in zip(labels, reading.usages, strict=True) if c.cpu_quota}
    families = [CPU.family(_told([extended(v, "total") for v in labels], columns, "cpu_seconds"))]
    for field, metric in _BY_FIELD:
        samples = _told(labels, columns, field)
        if field in _CFS:
            samples = tuple(sample for sample in samples if sample[0] in limited)
        families.append(metric.family(samples))
    return [
        *families,
        FAILURES.family(_faults(everyone)),
        *_devices(everyone),
        SOURCE.family([(("cgroups", reading.source), 1)]),
    ]


def _told(
    labels: Sequence[tuple[str, ...]], columns: Mapping[str, tuple[Any, ...]], field: str
) -> tuple[Sample, ...]:
    """The field of each container; without those of which the kernel does not tell it."""
    samples = zip(labels, columns.get(field, ()), strict=False)
    if None in columns.get(field, ()):
        return tuple(sample for sample in samples if sample[1] is not None)
    return tuple(samples)


def _faults(named: list[tuple[tuple[str, ...], Usage]]) -> list[Sample]:
    return [
        (extended(labels, word, scope), value)
        for labels, usage in named
        for field, word in _FAULTS
        if (value := getattr(usage, field)) is not None
        for scope in _SCOPES
    ]


def _devices(named: list[tuple[tuple[str, ...], Usage]]) -> list[Family]:
    rows = [
        (extended(labels, device.device), device)
        for labels, usage in named
        for device in usage.devices
    ]
    return [
        metric.family([(labels, get(device)) for labels, device in rows])
        for get, metric in _BY_DEVICE
    ]

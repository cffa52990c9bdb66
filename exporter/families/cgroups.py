"""container_* from the kernel's own counters, in cAdvisor's names and units.

Rule: what this kernel does not say is absent.
"""

from exporter.families.containers import LABELS, label_values
from exporter.families.metric import Family, Metric, counter, gauge
from exporter.readings import Unreachable, Usage, Usages
from exporter.targets import Engine

CPU = counter("container_cpu_usage_seconds_total", "CPU time used, all cores.", (*LABELS, "cpu"))
# field of Usage -> metric
_BY_FIELD: tuple[tuple[str, Metric], ...] = (
    ("cpu_user_seconds", counter("container_cpu_user_seconds_total", "User CPU time.", LABELS)),
    (
        "cpu_system_seconds",
        counter("container_cpu_system_seconds_total", "System CPU time.", LABELS),
    ),
    (
        "cfs_periods",
        counter("container_cpu_cfs_periods_total", "Enforcement periods of the CPU quota.", LABELS),
    ),
    (
        "cfs_throttled_periods",
        counter("container_cpu_cfs_throttled_periods_total", "Periods cut by the quota.", LABELS),
    ),
    (
        "cfs_throttled_seconds",
        counter(
            "container_cpu_cfs_throttled_seconds_total", "Time held back by the quota.", LABELS
        ),
    ),
    (
        "memory_bytes",
        gauge("container_memory_usage_bytes", "Memory in use, caches included.", LABELS),
    ),
    (
        "working_set_bytes",
        gauge("container_memory_working_set_bytes", "Memory less inactive file cache.", LABELS),
    ),
    ("rss_bytes", gauge("container_memory_rss", "Anonymous memory in bytes.", LABELS)),
    ("cache_bytes", gauge("container_memory_cache", "Page cache in bytes.", LABELS)),
    ("mapped_file_bytes", gauge("container_memory_mapped_file", "Mapped files in bytes.", LABELS)),
    ("swap_bytes", gauge("container_memory_swap", "Swap in use in bytes.", LABELS)),
    ("processes", gauge("container_processes", "Tasks in the container.", LABELS)),
)
_CFS = frozenset({"cfs_periods", "cfs_throttled_periods", "cfs_throttled_seconds"})


def families(engine: Engine, reading: Usages | Unreachable) -> list[Family]:
    if isinstance(reading, Unreachable):
        return []
    keys = engine.service_keys()
    named = [(label_values(keys, c), c, usage) for c, usage in reading.usages]
    found = [
        CPU.family(
            ((*v, "total"), usage.cpu_seconds)
            for v, _, usage in named
            if usage.cpu_seconds is not None
        )
    ]
    for name, metric in _BY_FIELD:
        found.append(
            metric.family(
                (v, value)
                for v, c, usage in named
                if (value := _value(usage, name)) is not None
                # Without a quota these count nothing, and cAdvisor leaves them out.
                and (c.cpu_quota or name not in _CFS)
            )
        )
    return found


def _value(usage: Usage, name: str) -> float | None:
    value: float | None = getattr(usage, name)
    return value

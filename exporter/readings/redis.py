"""A Redis server."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class LatencySpike:
    """The last one of an event, in LATENCY LATEST's words. at: Unix seconds."""

    at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class LatencyHistogram:
    """Of one command. buckets: (microseconds, calls that took at most so long), rising."""

    calls: int
    buckets: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class KeyGroup:
    """memory_bytes: estimated from a sample; None when sizes are not asked for."""

    keys: int
    memory_bytes: float | None = None


@dataclass(frozen=True, slots=True)
class KeyGroupScan:
    """One whole walk over the keys. groups: keyed by database and group name."""

    groups: Mapping[tuple[int, str], KeyGroup]
    finished_at: float
    duration_seconds: float


@dataclass(frozen=True, slots=True)
class Redis:
    """INFO as the server wrote it: field -> text. None: this server or user does not tell."""

    info: Mapping[str, str]
    databases: int = 0  # how many the server is configured for, 0 if it does not tell
    slowlog_length: int | None = None
    slowlog_last_id: int | None = None
    slowlog_last_seconds: float | None = None
    latency_spikes: Mapping[str, LatencySpike] = field(default_factory=dict)
    latency_histograms: Mapping[str, LatencyHistogram] = field(default_factory=dict)
    key_groups: KeyGroupScan | None = None
    connect_seconds: float = 0.0  # 0: the kept connection was good
    duration_seconds: float = 0.0
    problems: tuple[str, ...] = ()

"""The exporter itself."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Process:
    """The process itself, from /proc/self."""

    cpu_seconds: float
    resident_bytes: int
    virtual_bytes: int
    start_time: float
    open_fds: int
    max_fds: int
    problems: tuple[str, ...] = ()

"""What was counted in containers' logs."""

from collections.abc import Mapping
from dataclasses import dataclass

from exporter.readings.containers import Container


@dataclass(frozen=True, slots=True)
class ContainerLog:
    """What has been counted in the log of one container name since counting began."""

    container: Container
    messages: Mapping[tuple[str, str], int]  # (stream, level)
    sizes: Mapping[str, int]  # stream -> bytes
    lag_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Logs:
    logs: tuple[ContainerLog, ...]
    rotations: int = 0
    truncations: int = 0
    partials_joined: int = 0
    lines_dropped: int = 0
    problems: tuple[str, ...] = ()

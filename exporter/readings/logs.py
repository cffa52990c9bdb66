"""What was counted in containers' logs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.readings.containers import Container

# Where a log is read.
JSON_FILE, LOGS_API = "json_file", "logs_api"


@dataclass(frozen=True, slots=True)
class ContainerLog:
    """What has been counted in the log of one container name since counting began."""

    container: Container
    messages: Mapping[tuple[str, str], int]  # (stream, level)
    size_bytes: int
    source: str = ""  # empty: not looked at yet
    lag_bytes: int = 0
    last_message_at: float = 0.0  # Unix seconds, 0 = none yet
    matches: Mapping[str, int] = field(default_factory=dict)  # pattern -> messages
    fingerprints: Mapping[str, int] = field(default_factory=dict)  # fingerprint or other -> errors


@dataclass(frozen=True, slots=True)
class Recurring:
    """One error that comes again and again. sample is for people's eyes, never for a label."""

    name: str
    fingerprint: str
    count: int
    seen_at: float
    sample: str


@dataclass(frozen=True, slots=True)
class Logs:
    logs: tuple[ContainerLog, ...]
    rotations: int = 0
    truncations: int = 0
    partials_joined: int = 0
    lines_dropped: Mapping[str, int] = field(default_factory=dict)  # by reason
    problems: tuple[str, ...] = ()

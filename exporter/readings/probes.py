"""Requests to HTTP endpoints."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class ProbeFailure(StrEnum):
    """Why a probe failed. A closed list: the words are values of a label."""

    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    PROTOCOL = "protocol"
    STATUS = "status"
    JSON = "json"
    SIZE = "size"


class HealthWord(StrEnum):
    """The overall word of a health document."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class HealthDocument:
    status: HealthWord
    components: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class Probe:
    """One request. failure is None when it succeeded."""

    failure: ProbeFailure | None
    duration_seconds: float
    status_code: int = 0
    content_length: int = 0
    http_version: float = 0.0
    phases: Mapping[str, float] = field(default_factory=dict)
    health: HealthDocument | None = None
    detail: str = ""
    problems: tuple[str, ...] = ()

"""Requests to HTTP and TCP endpoints."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from exporter.readings.certificates import Certificate


class ProbeFailure(StrEnum):
    """Why a probe failed. A closed list: the words are values of a label."""

    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    PROTOCOL = "protocol"
    REDIRECT = "redirect"  # a loop, too many, or to where none may lead
    STATUS = "status"
    HEADER = "header"
    BODY = "body"
    JSON = "json"
    SIZE = "size"
    SECRET = "secret"  # noqa: S105  a word: the file of a header's value cannot be read


class VerifyError(StrEnum):
    """Why a server's certificate is not to be trusted. A closed list, as ProbeFailure."""

    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    SELF_SIGNED = "self_signed"
    UNKNOWN_ISSUER = "unknown_issuer"
    HOST_NAME = "host_name"
    REVOKED = "revoked"
    OTHER = "other"


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
    latencies: Mapping[str, float] = field(default_factory=dict)  # seconds, by component
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tls:
    """One handshake. chain: leaf first, as far as the server's certificates can be seen."""

    version: str
    cipher: str
    verified: bool
    verify_error: VerifyError | None = None
    chain: tuple[Certificate, ...] = ()
    leaf_sha256: str = ""


# Upper bounds in seconds, the ones that client libraries begin with.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Durations:
    """Of all attempts. below: how many took at most as long, for each of BUCKETS."""

    below: tuple[int, ...] = (0,) * len(BUCKETS)
    seconds: float = 0.0

    def with_one(self, took: float) -> "Durations":
        counted = (n + (took <= bound) for n, bound in zip(self.below, BUCKETS, strict=True))
        return Durations(tuple(counted), self.seconds + took)


@dataclass(frozen=True, slots=True)
class Probe:
    """One request. failure is None when it succeeded. status_code 0: no HTTP answer."""

    failure: ProbeFailure | None
    duration_seconds: float
    timeout_seconds: float = 0.0
    status_code: int = 0
    content_length: int = -1  # what the header says, -1 without one
    body_length: int = 0
    http_version: float = 0.0
    redirects: int = 0
    last_modified: float | None = None
    over_tls: bool = False  # of the last request, after redirects
    ip: str = ""
    failed_regex: bool | None = None  # None: no regex configured
    phases: Mapping[str, float] = field(default_factory=dict)
    tls: Tls | None = None
    health: HealthDocument | None = None
    json_values: Mapping[str, float] = field(default_factory=dict)
    attempts: int = 0  # since the start, this one included
    failures: Mapping[ProbeFailure, int] = field(default_factory=dict)
    durations: Durations = Durations()
    probed_at: float | None = None  # Unix seconds; None: in the scrape that shows it
    detail: str = ""
    problems: tuple[str, ...] = ()

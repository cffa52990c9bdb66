"""What was seen at a target, or why nothing was.

Rule: pure values, no I/O and no clock. A collector that cannot tell returns Unreachable with
a reason from the closed list; it never returns a zero that looks like a measurement.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from typing_extensions import override


class Cause(StrEnum):
    """Why a target could not be read. These words are public: logs, landing page, docs."""

    DNS = "dns"
    CONNECT = "connect"
    TIMEOUT = "timeout"
    AUTH = "auth"
    PROTOCOL = "protocol"
    REFUSED = "refused"  # the target answered with an error
    FILES = "files"  # files that should be there cannot be read
    DEADLINE = "deadline"  # the scrape's deadline passed first
    BUSY = "busy"  # still working for an earlier scrape
    BUG = "bug"  # the collector itself raised


@dataclass(frozen=True, slots=True)
class Unreachable:
    cause: Cause
    detail: str = ""

    @override
    def __str__(self) -> str:
        return f"{self.cause}: {self.detail}" if self.detail else str(self.cause)


class ContainerState(StrEnum):
    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


class Health(StrEnum):
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    STARTING = "starting"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Container:
    """One container as the engine describes it. Times are Unix seconds, 0 = never."""

    id: str
    name: str
    image: str
    state: ContainerState
    project: str = ""
    compose_service: str = ""
    one_off: bool = False
    health: Health = Health.NONE
    restarts: int = 0
    exit_code: int = 0
    oom_killed: bool = False
    pid: int = 0
    created_at: float = 0.0
    started_at: float = 0.0
    finished_at: float = 0.0
    cgroup_parent: str = ""
    memory_limit_bytes: int = 0
    cpu_quota: int = 0
    cpu_period: int = 0
    cpu_shares: int = 0
    own_network: bool = True  # False: the host's, or another container's


@dataclass(frozen=True, slots=True)
class Containers:
    """The containers looked at, by name, and what the event stream has counted so far."""

    seen_at: float
    containers: tuple[Container, ...]
    exits: Mapping[tuple[str, str], int] = field(default_factory=dict)  # (name, exit code)
    oom_events: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """What the kernel counts for one container. None: this kernel does not say."""

    cpu_seconds: float | None = None
    cpu_user_seconds: float | None = None
    cpu_system_seconds: float | None = None
    cfs_periods: int | None = None
    cfs_throttled_periods: int | None = None
    cfs_throttled_seconds: float | None = None
    memory_bytes: int | None = None
    working_set_bytes: int | None = None
    rss_bytes: int | None = None
    cache_bytes: int | None = None
    mapped_file_bytes: int | None = None
    swap_bytes: int | None = None
    processes: int | None = None


@dataclass(frozen=True, slots=True)
class Usages:
    usages: tuple[tuple[Container, Usage], ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface; both directions as bytes, packets, errors, drops."""

    name: str
    received: tuple[int, ...]
    sent: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Networks:
    networks: tuple[tuple[Container, tuple[Interface, ...]], ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StatementCounts:
    """Counters of one statement, or of all the others together."""

    calls: float
    seconds: float
    rows: float


@dataclass(frozen=True, slots=True)
class Postgres:
    """One server seen through one database. An empty part was not readable: see problems."""

    version: str
    settings: Mapping[str, float] = field(default_factory=dict)
    # (datname, state) -> sessions
    sessions: Mapping[tuple[str, str], int] = field(default_factory=dict)
    # (datid, datname) -> column -> value
    databases: Mapping[tuple[str, str], Mapping[str, float]] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    # keyed by user, datname, queryid
    statements: Mapping[tuple[str, str, str], StatementCounts] = field(default_factory=dict)
    statements_tracked: int | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Redis:
    """INFO as the server wrote it: field -> text."""

    info: Mapping[str, str]
    databases: int = 0  # how many the server is configured for, 0 if it does not tell
    problems: tuple[str, ...] = ()


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


@dataclass(frozen=True, slots=True)
class LiveColour:
    colour: str
    problems: tuple[str, ...] = ()


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

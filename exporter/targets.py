"""What to look at: plain values made from the checked configuration.

Rule: pure. Nothing here knows YAML, pydantic or a socket, so collectors and families can be
driven by tests with three lines of values.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Service:
    """A service that should exist. key is the word every program joins on."""

    key: str
    project: str
    compose_service: str


# When the engine's API is asked for what the kernel's files say.
FALLBACK, ALWAYS, NEVER = "fallback", "always", "never"


@dataclass(frozen=True, slots=True)
class Engine:
    url: str
    projects: tuple[str, ...] = ()  # empty: every container
    cgroup_root: str | None = None
    proc_root: str | None = None
    stats_api: str = FALLBACK  # or ALWAYS, or NEVER
    state_file: str | None = None  # keeps what the events counted over a restart
    services: tuple[Service, ...] = ()

    def service_keys(self) -> dict[tuple[str, str], str]:
        """(compose project, compose service) -> service key."""
        return {(s.project, s.compose_service): s.key for s in self.services}

    def has_usage(self) -> bool:
        return self.cgroup_root is not None or self.stats_api == ALWAYS

    def has_network(self) -> bool:
        return self.proc_root is not None or self.stats_api == ALWAYS

    def watches(self, project: str) -> bool:
        return not self.projects or project in self.projects


# The parts of a Postgres reading that can be switched: off, and on for the optional ones.
POSTGRES_PARTS = (
    "stat_database",
    "stat_activity",
    "locks",
    "stat_bgwriter",
    "stat_checkpointer",
    "stat_archiver",
    "replication_slots",
    "stat_replication",
    "stat_progress_vacuum",
    "database",
    "roles",
    "wal",
    "database_size",
    "stat_user_tables",
    "statio_user_tables",
    "table_size",
    "bloat",
    "settings",
    "stat_statements",
)
POSTGRES_OPTIONAL_PARTS = ("stat_io", "process_idle")


@dataclass(frozen=True, slots=True)
class Database:
    service: str
    host: str
    port: int
    database: str
    user: str
    password_file: str | None = None
    top_statements: int = 50
    statement_texts: bool = False
    statement_text_length: int = 120
    application_names: tuple[str, ...] = ()  # label values; any other is `other`
    databases: tuple[str, ...] = ()  # patterns of further databases to look into
    databases_except: tuple[str, ...] = ()
    databases_limit: int = 10
    tables_limit: int = 300  # the biggest of each database
    slow_interval: float = 60.0
    with_parts: tuple[str, ...] = ()
    without_parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RedisTls:
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    server_name: str | None = None
    insecure_skip_verify: bool = False


@dataclass(frozen=True, slots=True)
class KeyGroups:
    """Keys to be counted. groups: (name, glob as in Redis); the first that fits has the key."""

    groups: tuple[tuple[str, str], ...]
    databases: tuple[int, ...] = (0,)
    interval: float = 300.0
    memory_samples: int = 0  # keys a group that are asked for their size; 0: no sizes


@dataclass(frozen=True, slots=True)
class RedisServer:
    service: str
    host: str
    port: int
    username: str | None = None
    password_file: str | None = None
    tls: RedisTls | None = None
    modules: bool = False  # ask for the fields that modules add to INFO
    latency_percentiles: bool = False
    latency_histograms: bool = False
    key_groups: KeyGroups | None = None


@dataclass(frozen=True, slots=True)
class CeleryWorker:
    """A worker that should be there. service: what the compose stack calls it."""

    hostname: str
    service: str


@dataclass(frozen=True, slots=True)
class CeleryBroker:
    """Celery's database in a Redis. queues: looked at besides those that are discovered."""

    name: str
    server: RedisServer
    db: int = 0
    queues: tuple[str, ...] = ()
    workers: tuple[CeleryWorker, ...] = ()
    priority_steps: tuple[int, ...] = (0, 3, 6, 9)
    heartbeat_timeout: float = 30.0
    key_prefix: str = ""


@dataclass(frozen=True, slots=True)
class LogPattern:
    """What to count in log messages: those with text, and, if given, that match regex."""

    name: str
    text: str
    regex: str | None = None


@dataclass(frozen=True, slots=True)
class LogFolder:
    root: str
    state_file: str
    engine: Engine
    patterns: tuple[LogPattern, ...] = ()
    ask_engine: bool = False  # for logs whose files cannot be read


@dataclass(frozen=True, slots=True)
class Module:
    """How a target is probed: blackbox_exporter's word for a named set of settings."""

    name: str = "http_2xx"
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    header_files: tuple[tuple[str, str], ...] = ()  # header -> file that holds its value
    body: str = ""
    expected_status: tuple[int, ...] = ()  # empty: 200 to 299
    body_matches: str | None = None
    body_matches_not: str | None = None
    header_matches: tuple[tuple[str, str], ...] = ()  # header -> regular expression
    follow_redirects: bool = False
    max_body_bytes: int = 1 << 20
    ca_file: str | None = None
    server_name: str | None = None
    insecure_skip_verify: bool = False


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    name: str
    url: str  # http:// https:// tcp:// tls://
    service: str
    colour: str = ""
    timeout: float = 2.0
    health_json: bool = False
    json_values: tuple[str, ...] = ()
    module: Module = Module()
    interval: float | None = None  # None: in each scrape


@dataclass(frozen=True, slots=True)
class NginxServer:
    service: str
    url: str
    timeout: float = 2.0


@dataclass(frozen=True, slots=True)
class CertificateFile:
    service: str
    file: str


@dataclass(frozen=True, slots=True)
class Disk:
    path: str
    mountpoint: str  # the path's name on the host


@dataclass(frozen=True, slots=True)
class BackupFolder:
    """A backup that should exist. pattern: shell wildcards, below directory."""

    name: str
    service: str
    directory: str
    pattern: str
    max_age: float
    min_bytes: int
    format: str | None
    verification: str | None
    verification_max_age: float
    settle: float
    check_every: float


@dataclass(frozen=True, slots=True)
class TextfileFolder:
    directory: str


@dataclass(frozen=True, slots=True)
class ColourSwitch:
    service: str
    url: str
    one_of: tuple[str, ...]
    timeout: float = 2.0


@dataclass(frozen=True, slots=True)
class Targets:
    engine: Engine | None = None
    databases: tuple[Database, ...] = ()
    redis_servers: tuple[RedisServer, ...] = ()
    celery_brokers: tuple[CeleryBroker, ...] = ()
    logs: LogFolder | None = None
    probes: tuple[ProbeTarget, ...] = ()
    modules: tuple[Module, ...] = ()
    nginx_servers: tuple[NginxServer, ...] = ()
    certificates: tuple[CertificateFile, ...] = ()
    disks: tuple[Disk, ...] = ()
    backups: tuple[BackupFolder, ...] = ()
    textfiles: TextfileFolder | None = None
    colours: tuple[ColourSwitch, ...] = ()

"""What may be touched: the frozen topology that configuration becomes.

Rule: pure values. A target is one key of the topology and nothing else; whatever has no
entry here can never be reached by an action.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where the redis of a target answers. `cache_db` is the only database that may be flushed.

    `broker_db` is that of Celery's broker, which is only read.
    """

    host: str
    port: int
    cache_db: int
    password_file: str | None = None
    broker_db: int | None = None


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """Where the postgres of a target answers.

    `mountpoint` is the exporter's word for the disk that holds its data; None: nobody knows.
    """

    host: str
    port: int
    database: str
    user: str
    password_file: str | None = None
    mountpoint: str | None = None


@dataclass(frozen=True, slots=True)
class BackupFiles:
    """Where the backups of a target lie, as the remediator sees them.

    `pattern` names the files in `folder`, `member` the dump in a tar file. `status_file` is
    written after a successful trial restore; `scratch` is where trials are made, None for
    the server of the target itself.
    """

    folder: str
    pattern: str
    member: str
    status_file: str
    scratch: PostgresAddress | None = None


@dataclass(frozen=True, slots=True)
class ColourSwitch:
    """How traffic is moved between the colours of a target.

    `file` is the nginx include that names the live colour; `nginx_container` tests and
    reloads it; `live_url` answers with the colour that nginx serves now; `colours` maps a
    colour to the topology key of its service; `ready_probes` maps it to the exporter probe
    that must succeed before traffic may go there; `containers` are those that make a colour up.
    """

    file: str
    nginx_container: str
    live_url: str
    colours: Mapping[str, str]
    ready_probes: Mapping[str, str]
    containers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ComposeProject:
    """What `docker compose up` is called with: nothing of it comes from an alert.

    `engine_url` is an engine that may create containers, which the fenced one may not;
    `services` empty: all of the project.
    """

    name: str
    files: tuple[str, ...]
    engine_url: str
    services: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CacheWarmer:
    """What fills the cache again: a URL that takes a POST, and a bearer token for it."""

    url: str
    token_file: str | None = None


@dataclass(frozen=True, slots=True)
class CertificatePlace:
    """A renewed pair's source, where nginx reads its pair, and where nginx serves it."""

    source_cert: str
    source_key: str
    cert: str
    key: str
    names: tuple[str, ...]
    nginx_container: str
    served_host: str
    served_port: int


@dataclass(frozen=True, slots=True)
class MaintenancePage:
    """nginx's include that turns the maintenance page on, and a URL that shows it."""

    file: str
    nginx_container: str
    url: str


@dataclass(frozen=True, slots=True)
class RotatedLogs:
    """Old log files that may be deleted: their folder, pattern and age, and how many stay."""

    folder: str
    pattern: str
    min_age_seconds: float
    keep: int


@dataclass(frozen=True, slots=True)
class Target:
    """One thing that can be mended.

    `container` is the engine's name for it (None for a group of colours); `probes` are the
    exporter's probe targets that are healthy when it is; `depends_on` are topology keys
    whose firing alerts block any run here; `excludes` are keys that must not be worked on
    at the same time.
    """

    key: str
    tier: str
    container: str | None = None
    probes: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    excludes: frozenset[str] = field(default_factory=frozenset)
    redis: RedisAddress | None = None
    postgres: PostgresAddress | None = None
    backup: BackupFiles | None = None
    switch: ColourSwitch | None = None
    compose: ComposeProject | None = None
    cache_warmer: CacheWarmer | None = None
    certificate: CertificatePlace | None = None
    maintenance: MaintenancePage | None = None
    rotated_logs: RotatedLogs | None = None

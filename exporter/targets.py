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


@dataclass(frozen=True, slots=True)
class Engine:
    url: str
    projects: tuple[str, ...] = ()  # empty: every container
    cgroup_root: str | None = None
    proc_root: str | None = None
    services: tuple[Service, ...] = ()

    def service_keys(self) -> dict[tuple[str, str], str]:
        """(compose project, compose service) -> service key."""
        return {(s.project, s.compose_service): s.key for s in self.services}

    def watches(self, project: str) -> bool:
        return not self.projects or project in self.projects


@dataclass(frozen=True, slots=True)
class Database:
    service: str
    host: str
    port: int
    database: str
    user: str
    password_file: str | None = None
    top_statements: int = 50


@dataclass(frozen=True, slots=True)
class RedisServer:
    service: str
    host: str
    port: int
    username: str | None = None
    password_file: str | None = None


@dataclass(frozen=True, slots=True)
class LogFolder:
    root: str
    state_file: str
    engine: Engine


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    name: str
    url: str
    service: str
    colour: str = ""
    timeout: float = 2.0
    health_json: bool = False


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
    logs: LogFolder | None = None
    probes: tuple[ProbeTarget, ...] = ()
    colours: tuple[ColourSwitch, ...] = ()

"""Containers as the engine describes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


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

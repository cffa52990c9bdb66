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


# Codes with a known meaning; the rest is one word, so that the label stays bounded.
OTHER_EXIT = "other"
EXIT_CODES = ("0", "1", "125", "126", "127", "137", "139", "143", OTHER_EXIT)


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
    image_id: str = ""
    restart_policy: str = ""
    health: Health = Health.NONE
    failing_streak: int = 0  # health checks failed in a row
    restarts: int = 0
    exit_code: int = 0
    oom_killed: bool = False
    pid: int = 0
    created_at: float = 0.0
    started_at: float = 0.0
    finished_at: float = 0.0
    cgroup_parent: str = ""
    memory_limit_bytes: int = 0
    memory_reservation_bytes: int = 0
    memory_swap_limit_bytes: int = 0  # memory and swap together; 0 without a limit
    cpu_quota: int = 0
    cpu_period: int = 0
    cpu_shares: int = 0
    log_driver: str = ""
    own_network: bool = True  # False: the host's, or another container's


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine that the engine runs on."""

    cpu_cores: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Containers:
    """The containers looked at, by name, and what the event stream has counted so far."""

    seen_at: float
    containers: tuple[Container, ...]
    exits: Mapping[tuple[str, str], int] = field(default_factory=dict)  # (name, exit code)
    oom_events: Mapping[str, int] = field(default_factory=dict)
    machine: Machine | None = None  # None: the engine was not asked, or did not say
    problems: tuple[str, ...] = ()

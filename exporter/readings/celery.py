"""A Celery broker in Redis and the workers that were heard."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkerHeart:
    """One worker. up is None while it cannot be told. Times are Unix seconds."""

    hostname: str
    service: str = ""
    up: bool | None = None
    last_heartbeat: float | None = None
    active: int | None = None


@dataclass(frozen=True, slots=True)
class CeleryQueue:
    """lengths: priority -> messages. drained_at: when it was last seen empty."""

    lengths: Mapping[int, int]
    drained_at: float


@dataclass(frozen=True, slots=True)
class Celery:
    queues: Mapping[str, CeleryQueue]
    unacked: int = 0
    unacked_oldest: float | None = None  # None: nothing is in flight
    workers: tuple[WorkerHeart, ...] = ()
    queues_folded: int = 0  # left out over the cap
    heartbeats_folded: int = 0
    problems: tuple[str, ...] = ()

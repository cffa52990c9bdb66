"""Whether the parts that this backend stands on answer."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import redis
from kombu.exceptions import KombuError

from app import settings, system
from app.cache import Cache
from app.celery.tasks import celery
from app.database import Database

log = logging.getLogger(__name__)

WORKER_LOOK_SECONDS = 5.0
WORKER_ANSWER_SECONDS = 0.7
POOL_FIELDS = ("pool_size", "pool_available", "requests_waiting", "pool_max")

Answer = dict[str, Any]


class Health:
    def __init__(self, database: Database, cache: Cache) -> None:
        self._database = database
        self._cache = cache
        self._processor = system.Processor()
        self._workers: Answer = {"status": "unknown"}
        self._looked = -WORKER_LOOK_SECONDS
        self._looking = threading.Lock()

    def database(self) -> Answer:
        stats = self._database.pool.get_stats()
        pool = {name: stats.get(name, 0) for name in POOL_FIELDS}
        return _checked("database", self._database.ping) | {"pool": pool}

    def cache(self) -> Answer:
        return _checked("cache", self._cache.ping)

    def celery(self) -> Answer:
        """The own colour's worker. Asked every few seconds only: it is a broadcast."""
        with self._looking:
            if time.monotonic() - self._looked >= WORKER_LOOK_SECONDS:
                self._workers = _checked("celery", _ping_worker)
                self._looked = time.monotonic()
            return self._workers

    def detailed(self) -> Answer:
        parts = {"database": self.database(), "cache": self.cache(), "celery": self.celery()}
        bad = [name for name, part in parts.items() if part["status"] != "healthy"]
        status = "unhealthy" if "database" in bad else "degraded" if bad else "healthy"
        return {
            "status": status,
            "version": settings.VERSION,
            "colour": settings.COLOUR,
            **parts,
            "system": {
                "cpu_percent": self._processor.percent(),
                "memory": {"percent": system.memory_percent()},
            },
        }


def _ping_worker() -> None:
    name = f"celery@{settings.COLOUR}"
    if not celery.control.ping(destination=[name], timeout=WORKER_ANSWER_SECONDS, limit=1):
        raise TimeoutError(f"worker {name} does not answer")


def _checked(name: str, ask: Callable[[], object]) -> Answer:
    begun = time.monotonic()
    try:
        ask()
    except (psycopg.Error, redis.RedisError, KombuError, OSError) as error:
        log.exception("%s check failed", name)
        return {"status": "unhealthy", "latency_ms": _ms(begun), "error": type(error).__name__}
    return {"status": "healthy", "latency_ms": _ms(begun)}


def _ms(begun: float) -> float:
    return round(1000 * (time.monotonic() - begun), 1)

"""The worker's tasks. Both colours' workers take from the same queue in Redis."""

import logging
import time
from pathlib import Path
from typing import Any

import psycopg
import redis
from celery import Celery, Task, signals

from app import logs, queries, settings
from app.database import single_connection
from app.faults import Faults

log = logging.getLogger(__name__)

ALIVE = Path("/tmp/worker-alive")  # noqa: S108 - read by the container's health check
STUCK_SECONDS = 3600.0
LEADERBOARD_EVERY_SECONDS = 10.0

# Results are rows in the database. Results in Redis would have each sender listen there, and
# hang for 20 seconds when Redis is away.
celery = Celery("piano_tutor", broker=settings.BROKER_URL)
celery.conf.update(
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,  # a worker outlives any absence of its broker
    # A task whose worker died is given to another after the visibility timeout.
    broker_transport_options={
        "socket_timeout": 3,
        "socket_connect_timeout": 2,
        "visibility_timeout": 300,
    },
    task_ignore_result=True,
    # A web request waits for this; it rather fails than hangs.
    task_publish_retry_policy={"max_retries": 1, "interval_start": 0, "interval_max": 0.2},
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    beat_schedule={
        "leaderboard": {
            "task": "app.celery.tasks.refresh_leaderboard",
            "schedule": LEADERBOARD_EVERY_SECONDS,
            "options": {"expires": LEADERBOARD_EVERY_SECONDS},
        }
    },
)


def _query_that_fails() -> None:
    with single_connection() as connection:
        connection.execute(queries.MISSPELT)


faults = Faults(_query_that_fails)


@celery.task(bind=True, autoretry_for=(psycopg.OperationalError,), retry_backoff=1, max_retries=8)
def score_practice(task: "Task[Any, Any]", session_id: int) -> float | None:
    """Score a stored session. Tried again when the database is away."""
    if faults.active("stuck_task"):
        log.warning("task %s is stuck, as told by the fault stuck_task", task.request.id)
        time.sleep(STUCK_SECONDS)
    with single_connection() as connection:
        row = connection.execute(
            queries.SCORE, {"id": session_id, "by": f"celery-{settings.COLOUR}"}
        ).fetchone()
    log.info("session %s scored: %s", session_id, row)
    return row["score"] if row else None


@celery.task
def refresh_leaderboard() -> int:
    """Every few seconds: the best ten, into the cache."""
    with single_connection() as connection:
        best = connection.execute(queries.LEADERBOARD).fetchall()
    client: redis.Redis = redis.Redis.from_url(settings.CACHE_URL, socket_timeout=2)
    with client:
        client.delete("leaderboard")
        if best:
            client.zadd("leaderboard", {row["name"]: row["points"] for row in best})
    return len(best)


@celery.task(acks_late=False)  # so that a restart of the worker gets rid of it
def wait_for_ever() -> None:
    """Takes one of the worker's processes away: the fault stuck_task of the backend."""
    time.sleep(STUCK_SECONDS)


@signals.setup_logging.connect
def _log_as_json(**_: object) -> None:
    logs.to_stdout()


@signals.worker_ready.connect
def _ready(**_: object) -> None:
    ALIVE.touch()
    faults.start()


@signals.heartbeat_sent.connect
def _alive(**_: object) -> None:
    ALIVE.touch()

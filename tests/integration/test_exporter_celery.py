"""A real Celery worker, its queues in a real Redis, a task that is stuck, a worker that dies."""

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import redis

from demo.world import STATE
from tests.integration.exporter_stage import (
    REDIS_IMAGE,
    Served,
    address,
    container,
    docker,
    eventually,
    needs_docker,
    random_project,
    served,
)

APP = """
import os, time
from celery import Celery
app = Celery("slow", broker=os.environ["BROKER_URL"])
app.conf.update(task_acks_late=True, worker_prefetch_multiplier=1, task_ignore_result=True)
@app.task
def sleep(seconds):
    time.sleep(seconds)
"""
WORKER = (
    "printenv CODE >/tmp/slow.py; cd /tmp; exec celery --app=slow worker --concurrency=1"
    " --without-gossip --without-mingle --hostname=celery@blue --queues=celery"
)


def app_image() -> str | None:
    """Built by the demo, whose note of it says the tag."""
    note = STATE / "images.env"
    lines = note.read_text().splitlines() if note.exists() else []
    noted = dict(line.split("=", 1) for line in lines)
    return os.environ.get("APP_IMAGE") or noted.get("APP_IMAGE")


pytestmark = [
    needs_docker,
    pytest.mark.skipif(app_image() is None, reason="needs the image of demo/app"),
]


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    project = random_project()
    with container(
        REDIS_IMAGE, project=project, service="redis", options=("--memory", "128m")
    ) as name:
        with redis.Redis(address(name)) as client:
            eventually(lambda: answers(client))
        yield name


def answers(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


@pytest.fixture(scope="module")
def worker(broker: str) -> Iterator[str]:
    url = f"redis://{address(broker)}:6379/1"
    options = ("--memory", "256m", "-e", f"BROKER_URL={url}", "-e", f"CODE={APP}")
    with container(
        app_image() or "",
        *("sh", "-c", WORKER),
        project=random_project(),
        service="celery-worker",
        options=options,
    ) as name:
        # Before anybody listens: three messages that no worker takes.
        eventually(lambda: b"_kombu.binding.celery" in keys(broker))
        for priority in (0, 4, 9):
            send(name, f"(1,), queue='mail', priority={priority}")
        yield name


def keys(broker: str) -> list[bytes]:
    with redis.Redis(address(broker), db=1) as client:
        return list(client.keys("*"))


def send(worker: str, arguments: str) -> None:
    code = f"import slow; slow.sleep.apply_async({arguments})"
    docker("exec", "-w", "/tmp", worker, "python", "-c", code)


@pytest.fixture(scope="module")
def exporter(broker: str, worker: str) -> Iterator[Served]:
    text = f"""
redis: {{redis: {{host: "{address(broker)}"}}}}
celery:
  celery:
    redis: redis
    db: 1
    queues: [later]
    workers: {{celery@blue: celery-blue, celery@green: celery-green}}
    heartbeat_timeout: 6s
"""
    with ExitStack() as stack:
        yield stack.enter_context(served(text))


def test_queues_are_found_and_counted_with_their_priorities(exporter: Served) -> None:
    eventually(lambda: exporter.metrics().one("celery_queue_length", queue_name="mail"))
    metrics = exporter.metrics()

    assert metrics.one("celery_queue_length", queue_name="mail", broker="celery") == 3
    lengths = {
        dict(labels)["priority"]: number
        for labels, number in metrics.all("celery_queue_priority_length", queue_name="mail").items()
    }
    assert lengths == {"0": 1, "3": 1, "6": 0, "9": 1}
    assert metrics.one("celery_queue_length", queue_name="celery") == 0
    assert metrics.one("celery_queue_length", queue_name="later") == 0
    assert len(metrics.all("celery_queue_length")) == 3
    seen = metrics.one("celery_queue_last_drained_timestamp_seconds", queue_name="mail")
    now = exporter.metrics()
    assert now.one("celery_queue_last_drained_timestamp_seconds", queue_name="mail") == seen
    drained = now.one("celery_queue_last_drained_timestamp_seconds", queue_name="celery")
    assert (drained or 0) > (seen or 0)


def test_a_worker_is_heard_without_any_setting_and_one_that_never_came_is_down(
    exporter: Served,
) -> None:
    eventually(lambda: exporter.metrics().one("celery_worker_up", hostname="celery@blue") == 1)
    eventually(lambda: exporter.metrics().one("celery_worker_up", hostname="celery@green") == 0)
    metrics = exporter.metrics()

    assert metrics.one("celery_worker_up", service="celery-blue") == 1
    beat = "celery_worker_last_heartbeat_timestamp_seconds"
    assert (metrics.one(beat, hostname="celery@blue") or 0) > 1.6e9
    assert metrics.one(beat, hostname="celery@green") is None


def test_a_subscriber_that_was_cut_off_listens_again(exporter: Served, broker: str) -> None:
    before = docker("exec", broker, "redis-cli", "client", "list", "type", "pubsub")
    docker("exec", broker, "redis-cli", "client", "kill", "type", "pubsub")

    def heard() -> bool:
        now = docker("exec", broker, "redis-cli", "client", "list", "type", "pubsub")
        return "stackmedic-hearts" in now and now != before

    assert "stackmedic-hearts" in before
    eventually(heard)
    eventually(lambda: exporter.metrics().one("celery_worker_up", hostname="celery@blue") == 1)


def test_a_stuck_task_grows_old_and_a_killed_worker_falls_silent(
    exporter: Served, worker: str
) -> None:
    oldest = "celery_unacked_oldest_timestamp_seconds"
    assert exporter.metrics().one("celery_unacked_tasks") == 0
    assert exporter.metrics().one(oldest) is None
    send(worker, "(3600,)")
    eventually(lambda: exporter.metrics().one("celery_worker_tasks_active") == 1)
    taken = exporter.metrics().one(oldest)
    assert exporter.metrics().one("celery_unacked_tasks") == 1

    docker("kill", worker)
    eventually(lambda: exporter.metrics().one("celery_worker_up", hostname="celery@blue") == 0)
    metrics = exporter.metrics()
    beat = metrics.one("celery_worker_last_heartbeat_timestamp_seconds", hostname="celery@blue")
    assert beat is not None
    assert exporter.metrics().one(oldest) == taken  # so its age grows
    assert metrics.one("celery_worker_tasks_active") is None


def test_a_broker_that_is_away_says_nothing(exporter: Served, broker: str) -> None:
    docker("stop", "-t", "1", broker)
    metrics = exporter.metrics()

    assert metrics.one("stackmedic_scrape_collector_success", collector="celery") == 0
    assert metrics.all("celery_queue_length") == {}
    assert metrics.all("celery_worker_up") == {}

"""find_hog: a real container's processes, a real Redis' tasks, and gaps that are only named."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from remediator.ports import Effect, Ready
from remediator.topology import RedisAddress, Target
from tests.integration.edge_containers import (
    REDIS_IMAGE,
    action,
    container,
    docker,
    fake_prometheus,
    free_port,
    needs_docker,
    now,
    until,
)

pytestmark = [pytest.mark.integration, needs_docker]

BROKER_DB = 1
# Two processes, as many as are told; the shell, whose words hold the name too, becomes one of them.
BUSY = "sleep 301 & exec -a 'worker --password hunter2 --token=hunter3' sleep 300"


@pytest.fixture(scope="module")
def broker() -> Iterator[redis.Redis]:
    port = free_port()
    options = ["-p", f"127.0.0.1:{port}:6379"]
    with (
        container(REDIS_IMAGE, "redis-server", "--save", "", options=options),
        redis.Redis(port=port, db=BROKER_DB, socket_timeout=2) as client,
    ):
        until(lambda: answers(client), what="redis answers")
        yield client


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def topology(client: redis.Redis) -> dict[str, Target]:
    port = client.connection_pool.connection_kwargs["port"]
    address = RedisAddress("127.0.0.1", port, cache_db=0, broker_db=BROKER_DB)
    return {"redis": Target("redis", "data", redis=address)}


def taken(client: redis.Redis, tag: str, message: object, *, seconds_ago: float) -> None:
    client.hset("unacked", tag, message if isinstance(message, str) else json.dumps(message))
    client.zadd("unacked_index", {tag: now().timestamp() - seconds_ago})


def test_the_largest_are_told_and_no_secret_is(broker: redis.Redis) -> None:
    broker.flushdb()
    headers = {"task": "app.tasks.export", "id": "0a1b", "argsrepr": "('hunter4',)"}
    taken(broker, "t1", [{"headers": headers, "body": "x"}, "", "celery"], seconds_ago=500)
    taken(broker, "t2", [{"headers": {"task": "app.tasks.mail", "id": "2"}}], seconds_ago=20)
    series: dict[str, list[tuple[dict[str, str], float]]] = {
        "container_cpu_usage": [
            ({"name": "b", "service": "blue"}, 0.5),
            ({"name": "a", "service": "green"}, 1.5),
        ],
        "working_set": [({"name": "b", "service": "blue"}, 1e9)],
        "memory_limit": [({"name": "b"}, 2e9)],
    }
    with (
        container(REDIS_IMAGE, "bash", "-c", BUSY) as name,
        fake_prometheus(series) as prometheus,
    ):
        until(lambda: "exec -a" not in docker("top", name), what="the worker has its name")
        target = Target("worker", "app", container=name)
        look = action(
            "find_hog", {"top": 2}, prometheus_url=prometheus.url, topology=topology(broker)
        )
        assert look.precheck(target) == Ready()
        evidence: Any = look.run(target, timeout_seconds=30).evidence
        summary = look.run(target, timeout_seconds=30).summary
    assert "missing" not in evidence
    assert [row["container"] for row in evidence["containers_by_cpu"]] == ["a", "b"]
    assert evidence["containers_by_memory"][0]["limit_bytes"] == 2e9
    assert {"task": "app.tasks.export", "id": "0a1b"}.items() <= evidence["oldest_tasks"][0].items()
    assert 499 <= evidence["oldest_tasks"][0]["age_seconds"] < 600
    assert "worker --password *** --token=*** 300" in str(evidence["processes"])
    assert "hunter" not in json.dumps(evidence)
    assert "most CPU: a with 1.5 cores" in summary
    assert "oldest task: app.tasks.export" in summary
    assert look.probe(target, intended_at=now()) is Effect.NOT_DONE


@pytest.mark.parametrize(
    "message",
    [
        "not json",
        "[" * 50_000,
        [],
        {},
        [{"headers": None}],
        [{"headers": {"task": 7, "id": ["x"]}}],
        "x" * 2_000_000,
    ],
    ids=["text", "deep", "list", "dict", "none", "types", "huge"],
)
def test_a_message_of_another_form_is_a_task_without_a_name(
    broker: redis.Redis, message: object
) -> None:
    broker.flushdb()
    taken(broker, "t", message, seconds_ago=60)
    look = action("find_hog", {}, topology=topology(broker))
    evidence: Any = look.run(Target("worker", "app"), timeout_seconds=30).evidence
    assert [set(row) for row in evidence["oldest_tasks"]] == [{"age_seconds"}]


def test_what_cannot_be_asked_is_named_and_fails_nothing(broker: redis.Redis) -> None:
    broker.flushdb()
    broker.set("unacked_index", "of another type")
    look = action("find_hog", {}, docker_url="tcp://127.0.0.1:9", topology=topology(broker))
    done = look.run(Target("worker", "app", container="any"), timeout_seconds=30)
    missing: Any = done.evidence["missing"]
    looks = ["containers_by_cpu", "containers_by_memory", "processes", "oldest_tasks"]
    assert [gap.partition(":")[0] for gap in missing] == looks
    assert done.summary == "4 of 4 looks gave nothing, see the evidence"


def test_time_that_is_over_is_a_gap() -> None:
    done = action("find_hog", {}).run(Target("worker", "app", container="any"), timeout_seconds=0)
    assert "time was over" in str(done.evidence["missing"])

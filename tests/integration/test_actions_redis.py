"""flush_keys and flush_db against a real Redis with a cache database and Celery's keys."""

from collections.abc import Callable, Iterator, Mapping

import pytest
import redis

from remediator.ports import Effect, Permanent, Ready, Refused, Transient
from remediator.topology import RedisAddress, Target
from tests.integration.edge_containers import (
    REDIS_IMAGE,
    action,
    container,
    free_port,
    needs_docker,
    now,
    until,
)

pytestmark = [pytest.mark.integration, needs_docker]

CACHE_DB = 0
CELERY_DB = 1
CELERY_TRACES: Mapping[str, Callable[[redis.Redis], object]] = {
    "a binding": lambda client: client.sadd(
        "_kombu.binding.celery", "celery\x06\x16\x06\x16celery"
    ),
    "the queue": lambda client: client.lpush("celery", "{}"),
    "a queue of a priority": lambda client: client.lpush("celery\x06\x163", "{}"),
    "unacked messages": lambda client: client.hset("unacked", "tag", "{}"),
    "a result": lambda client: client.set("celery-task-meta-1", "{}"),
    "a mailbox": lambda client: client.lpush("0a1b.reply.celery.pidbox", "{}"),
}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    port = free_port()
    options = ["-p", f"127.0.0.1:{port}:6379"]
    with container(REDIS_IMAGE, "redis-server", "--save", "", options=options):
        with redis.Redis(port=port, socket_timeout=2) as client:
            until(lambda: _answers(client), what="redis answers")
        yield port


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


@pytest.fixture
def cache(port: int) -> Iterator[redis.Redis]:
    with redis.Redis(port=port, db=CACHE_DB) as client:
        client.flushall()
        yield client


@pytest.fixture
def target(port: int) -> Target:
    return Target(key="redis", tier="data", redis=RedisAddress("127.0.0.1", port, CACHE_DB))


def fill(client: redis.Redis, prefix: str, count: int, value: str = "x") -> None:
    client.mset({f"{prefix}{number}": value for number in range(count)})


def test_only_the_matching_keys_go(cache: redis.Redis, target: Target, port: int) -> None:
    fill(cache, "temp:", 2345, "x" * 200)
    fill(cache, "lesson:", 100)
    with redis.Redis(port=port, db=CELERY_DB) as celery:
        fill(celery, "temp:", 10)
        flush = action("flush_keys", {"pattern": "temp:*", "batch": 100})
        assert flush.precheck(target) == Ready()
        done = flush.run(target, timeout_seconds=30)
        assert celery.dbsize() == 10
    assert done.evidence["deleted"] == 2345
    assert done.evidence["complete"] is True
    before, after = (done.evidence[f"used_memory_bytes_{when}"] for when in ("before", "after"))
    assert isinstance(before, int)
    assert isinstance(after, int)
    assert after < before - 2345 * 200
    assert cache.dbsize() == 100


def test_the_probe_of_a_flush_by_pattern_looks_for_keys(cache: redis.Redis, target: Target) -> None:
    fill(cache, "temp:", 10)
    flush = action("flush_keys", {"pattern": "temp:*"})
    assert flush.probe(target, intended_at=now()) is Effect.NOT_DONE
    flush.run(target, timeout_seconds=30)
    assert flush.probe(target, intended_at=now()) is Effect.DONE


def test_a_flush_stops_at_its_cap_and_says_so(cache: redis.Redis, target: Target) -> None:
    fill(cache, "temp:", 1000)
    flush = action("flush_keys", {"pattern": "temp:*", "batch": 100, "max_keys": 250})
    done = flush.run(target, timeout_seconds=30)
    assert done.evidence["deleted"] == 250
    assert done.evidence["complete"] is False
    assert "more may be left" in done.summary
    assert cache.dbsize() == 750


def test_a_flush_stops_at_its_timeout(cache: redis.Redis, target: Target) -> None:
    fill(cache, "temp:", 1000)
    flush = action("flush_keys", {"pattern": "temp:*", "batch": 10})
    done = flush.run(target, timeout_seconds=0)
    assert done.evidence["complete"] is False
    assert cache.dbsize() > 900


def test_nothing_to_flush_is_a_refusal(cache: redis.Redis, target: Target) -> None:
    fill(cache, "lesson:", 10)
    refused = action("flush_keys", {"pattern": "temp:*"}).precheck(target)
    assert isinstance(refused, Refused)
    assert refused.detail == "redis: no key matches 'temp:*'"


def test_a_queue_that_celery_bound_is_never_flushed(cache: redis.Redis, target: Target) -> None:
    cache.sadd("_kombu.binding.jobs", "temp:jobs\x06\x16\x06\x16temp:jobs")
    cache.lpush("temp:jobs", "{}")
    cache.lpush("temp:jobs\x06\x163", "{}")
    flush = action("flush_keys", {"pattern": "temp:*"})
    with pytest.raises(Permanent, match="queue of Celery"):
        flush.run(target, timeout_seconds=30)
    assert cache.llen("temp:jobs") == 1


def test_the_cache_database_is_flushed_and_celerys_is_not(
    cache: redis.Redis, target: Target, port: int
) -> None:
    fill(cache, "lesson:", 500)
    with redis.Redis(port=port, db=CELERY_DB) as celery:
        for leave in CELERY_TRACES.values():
            leave(celery)
        flush = action("flush_db")
        assert flush.precheck(target) == Ready()
        assert flush.probe(target, intended_at=now()) is Effect.UNKNOWN
        done = flush.run(target, timeout_seconds=30)
        assert celery.dbsize() == len(CELERY_TRACES)
    assert done.evidence == {"keys_before": 500, "keys_after": 0}
    assert flush.probe(target, intended_at=now()) is Effect.DONE


@pytest.mark.parametrize("trace", CELERY_TRACES)
def test_a_database_with_celerys_keys_is_never_flushed(
    cache: redis.Redis, target: Target, trace: str
) -> None:
    fill(cache, "lesson:", 20_000)
    CELERY_TRACES[trace](cache)
    flush = action("flush_db")
    refused = flush.precheck(target)
    assert isinstance(refused, Refused)
    assert "Celery" in refused.detail
    with pytest.raises(Permanent, match="was not flushed"):
        flush.run(target, timeout_seconds=30)
    assert cache.dbsize() == 20_001


def test_a_redis_that_does_not_answer_is_transient() -> None:
    away = Target(key="redis", tier="data", redis=RedisAddress("127.0.0.1", 9, CACHE_DB))
    for flush in (action("flush_keys", {"pattern": "temp:*"}), action("flush_db")):
        with pytest.raises(Transient, match=r"cannot reach redis of redis at 127\.0\.0\.1:9"):
            flush.precheck(away)
        with pytest.raises(Transient):
            flush.run(away, timeout_seconds=5)
        assert flush.probe(away, intended_at=now()) is Effect.UNKNOWN


def test_a_redis_that_wants_a_password_is_permanent(cache: redis.Redis, target: Target) -> None:
    cache.config_set("requirepass", "secret")
    try:
        with pytest.raises(Permanent, match="refuses"):
            action("flush_db").precheck(target)
    finally:
        with redis.Redis(port=target.redis.port if target.redis else 0, password="secret") as known:
            known.config_set("requirepass", "")

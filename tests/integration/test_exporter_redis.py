"""INFO of a real Redis."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

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

pytestmark = needs_docker
PASSWORD = secrets.token_hex(8)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    command = ("redis-server", "--maxmemory", "64mb", "--requirepass", PASSWORD)
    with container(REDIS_IMAGE, *command, project=random_project(), service="redis") as name:
        host = address(name)
        with redis.Redis(host, password=PASSWORD) as client:
            eventually(lambda: answers(client))
        yield name


def answers(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\n")
    return path


def config(host: str, password_file: Path | None) -> str:
    secret = f', password_file: "{password_file}"' if password_file else ""
    return f'redis: {{cache: {{host: "{host}"{secret}}}}}'


@pytest.fixture
def exporter(server: str, password_file: Path) -> Iterator[Served]:
    with served(config(address(server), password_file)) as one:
        yield one


def test_info_has_redis_exporters_names(exporter: Served, server: str) -> None:
    with redis.Redis(address(server), password=PASSWORD, db=1) as client:
        client.flushall()
        client.set("a", "1")
        client.set("b", "1", ex=1000)
        client.get("a")
    metrics = exporter.metrics()

    assert metrics.one("redis_up", service="cache") == 1
    assert metrics.one("redis_memory_max_bytes", service="cache") == 64 << 20
    assert (metrics.one("redis_memory_used_bytes") or 0) > 500_000
    assert (metrics.one("redis_keyspace_hits_total") or 0) >= 1
    assert metrics.one("redis_db_keys", db="db0") == 0
    assert metrics.one("redis_db_keys", db="db1") == 2
    assert metrics.one("redis_db_keys_expiring", db="db1") == 1
    assert (metrics.one("redis_commands_total", cmd="set") or 0) >= 2
    assert metrics.one("redis_instance_info", role="master", maxmemory_policy="noeviction") == 1


def test_one_connection_is_kept(exporter: Served, server: str) -> None:
    first = exporter.metrics().one("redis_connections_received_total")
    for _ in range(3):
        exporter.metrics()

    assert exporter.metrics().one("redis_connections_received_total") == first


def test_a_hung_a_restarted_and_a_stopped_server(exporter: Served, server: str) -> None:
    assert exporter.metrics().one("redis_up") == 1
    docker("pause", server)
    try:
        hung = exporter.metrics(timeout=0.6)
        assert hung.one("redis_up") == 0
        assert hung.one("redis_memory_used_bytes") is None
    finally:
        docker("unpause", server)
    eventually(lambda: exporter.metrics().one("redis_up") == 1)

    docker("restart", "-t", "1", server)
    eventually(lambda: exporter.metrics().one("redis_up") == 1)

    docker("stop", "-t", "1", server)
    try:
        stopped = exporter.metrics(timeout=1)
        assert stopped.one("redis_up") == 0
        assert stopped.one("stackmedic_scrape_collector_success", collector="redis") == 0
    finally:
        docker("start", server)
    eventually(lambda: exporter.metrics().one("redis_up") == 1)


def test_without_the_password_it_is_down_and_says_why(server: str) -> None:
    with served(config(address(server), None)) as exporter:
        assert exporter.metrics().one("redis_up") == 0
        assert b"auth: " in exporter.get("/")[1]


def test_something_else_on_the_port_is_no_redis(exporter: Served) -> None:
    host, port = exporter.address
    with served(f'redis: {{odd: {{host: "{host}", port: {port}}}}}') as other:
        assert other.metrics().one("redis_up") == 0

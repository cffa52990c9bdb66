"""A real Redis: INFO, the slow log, latencies, and a million keys in groups."""

import secrets
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from exporter.families.redis_info import FIELDS
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
    command += ("--enable-debug-command", "yes", "--latency-monitor-threshold", "50")
    options = ("--memory", "256m")
    with container(
        REDIS_IMAGE, *command, project=random_project(), service="redis", options=options
    ) as name:
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


@pytest.fixture
def client(server: str) -> Iterator["redis.Redis"]:
    with redis.Redis(address(server), password=PASSWORD) as one:
        yield one


def test_every_field_of_info_that_redis_exporter_knows_is_there(
    exporter: Served, client: "redis.Redis"
) -> None:
    info = client.info("all")
    metrics = exporter.metrics()

    for field in info.keys() & FIELDS.keys():
        for metric in FIELDS[field]:
            # The parser of the test calls every counter _total.
            names = {metric.name, f"{metric.name.removesuffix('_total')}_total"}
            assert any(metrics.all(name, service="cache") for name in names), field
    assert metrics.one("redis_config_maxmemory") == 64 << 20
    assert metrics.one("redis_config_maxclients") == info["maxclients"]
    assert (metrics.one("redis_total_system_memory_bytes") or 0) > 1 << 28
    assert metrics.one("redis_instance_info", run_id=info["run_id"]) == 1
    assert metrics.one("redis_exporter_last_scrape_error") == 0


def test_what_was_slow_is_told(server: str, client: "redis.Redis", password_file: Path) -> None:
    client.execute_command("DEBUG", "SLEEP", "0.1")
    text = f'redis: {{cache: {{host: "{address(server)}", password_file: "{password_file}"'
    text += ", latency_percentiles: true, latency_histograms: true}}"
    with served(text) as exporter:
        metrics = exporter.metrics()

    assert (metrics.one("redis_slowlog_length") or 0) >= 1
    assert metrics.one("redis_slowlog_last_id") is not None
    assert (metrics.one("redis_last_slow_execution_duration_seconds") or 0) > 0
    assert (metrics.one("redis_latency_spike_last", event_name="command") or 0) > 1.6e9
    assert (metrics.one("redis_latency_percentiles_usec", cmd="debug", quantile="0.5") or 0) > 9e4
    calls = metrics.one("redis_commands_latencies_usec_count", cmd="debug")
    assert calls == metrics.one("redis_commands_latencies_usec_bucket", cmd="debug", le="+Inf")
    assert calls == metrics.one("redis_latency_percentiles_usec_count", cmd="debug")


def test_a_sleeping_server_holds_up_nobody_past_the_deadline(
    server: str, password_file: Path
) -> None:
    busy = threading.Thread(target=sleep_seconds, args=(server, 3))
    with container(REDIS_IMAGE, project=random_project(), service="other") as other:
        with redis.Redis(address(other)) as client:
            eventually(lambda: answers(client))
        rest = f', other: {{host: "{address(other)}"}}}}'
        both = config(address(server), password_file).removesuffix("}") + rest
        with served(both) as exporter:
            assert exporter.metrics().one("redis_up", service="cache") == 1
            busy.start()
            eventually(lambda: exporter.metrics(0.6).one("redis_up", service="cache") == 0)
            metrics = exporter.metrics(timeout=0.6)
            assert metrics.one("redis_up", service="other") == 1
            assert metrics.one("redis_exporter_last_scrape_error", err="timeout") == 1
            busy.join()
            eventually(lambda: exporter.metrics().one("redis_up", service="cache") == 1)


def sleep_seconds(server: str, seconds: int) -> None:
    with redis.Redis(address(server), password=PASSWORD) as client:
        client.execute_command("DEBUG", "SLEEP", str(seconds))


def test_evictions_are_counted(exporter: Served, client: "redis.Redis") -> None:
    used = client.info("memory")["used_memory"]
    client.config_set("maxmemory-policy", "allkeys-random")
    client.config_set("maxmemory", used + (1 << 20))
    try:
        for number in range(40):
            client.set(f"big:{number}", bytes(100_000))
        metrics = exporter.metrics()
    finally:
        client.config_set("maxmemory", 64 << 20)
        client.config_set("maxmemory-policy", "noeviction")

    assert (metrics.one("redis_evicted_keys_total") or 0) > 0
    assert metrics.one("redis_memory_max_bytes") == used + (1 << 20)
    assert metrics.one("redis_instance_info", maxmemory_policy="allkeys-random") == 1


def test_a_corrected_password_file_is_read_again(server: str, tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("wrong")
    with served(config(address(server), path)) as exporter:
        wrong = exporter.metrics()
        path.write_text(PASSWORD)
        right = exporter.metrics()
        path.unlink()
        docker("exec", server, "redis-cli", "-a", PASSWORD, "client", "kill", "type", "normal")
        gone = exporter.metrics()

    assert wrong.one("redis_exporter_last_scrape_error", err="auth") == 1
    assert right.one("redis_up") == 1
    assert gone.one("redis_exporter_last_scrape_error", err="files") == 1


RIGHTS = (
    "+info +client|setname +config|get +slowlog|len +slowlog|get +latency|latest"
    " +select +scan +memory|usage ~*"
)


@contextmanager
def user(
    client: "redis.Redis", name: str, rights: str, host: str, password_file: Path
) -> Iterator[Served]:
    """An exporter that logs in as a user with these rights only."""
    client.execute_command("ACL", "SETUSER", name, "on", f">{PASSWORD}", "-@all", *rights.split())
    groups = 'key_groups: {groups: {temp: "temp:*"}, memory_samples: 10}'
    login = f'host: "{host}", username: {name}, password_file: "{password_file}"'
    wanted = f", {groups}" if "scan" in rights else ""
    with served(f"redis: {{cache: {{{login}{wanted}}}}}") as exporter:
        yield exporter


def test_a_user_with_the_documented_rights_is_never_refused(
    server: str, client: "redis.Redis", password_file: Path
) -> None:
    client.set("temp:1", "1")
    client.execute_command("ACL", "LOG", "RESET")
    with user(client, "monitor", RIGHTS, address(server), password_file) as exporter:
        eventually(lambda: exporter.metrics().one("redis_key_group_count", key_group="temp"))
        metrics = exporter.metrics()

    assert metrics.one("stackmedic_scrape_collector_success", collector="redis") == 1
    assert metrics.one("redis_slowlog_length") is not None
    assert (metrics.one("redis_key_group_memory_usage_bytes", key_group="temp") or 0) > 0
    assert client.execute_command("ACL", "LOG") == []


def test_a_user_who_may_only_ask_for_info_is_refused_once_not_at_every_scrape(
    server: str, client: "redis.Redis", password_file: Path
) -> None:
    with user(client, "onlyinfo", "+info", address(server), password_file) as exporter:
        assert exporter.metrics().one("redis_up") == 1
        client.execute_command("ACL", "LOG", "RESET")
        metrics = exporter.metrics()

    assert client.execute_command("ACL", "LOG") == []
    assert metrics.one("redis_memory_used_bytes") is not None
    assert metrics.one("redis_slowlog_length") is None
    assert metrics.one("stackmedic_scrape_collector_success", collector="redis") == 1


@pytest.fixture(scope="module")
def million() -> Iterator[str]:
    command = ("redis-server", "--save", "", "--enable-debug-command", "yes")
    options = ("--memory", "512m")
    with container(
        REDIS_IMAGE, *command, project=random_project(), service="big", options=options
    ) as name:
        with redis.Redis(address(name), socket_timeout=60) as client:
            eventually(lambda: answers(client))
            client.execute_command("DEBUG", "POPULATE", "1000000", "key", "10")
            client.execute_command("DEBUG", "POPULATE", "1000", "temp", "1000")
        yield name


def test_a_million_keys_are_counted_behind_the_scrapes(million: str) -> None:
    text = f"""
redis:
  big:
    host: "{address(million)}"
    key_groups: {{groups: {{temp: "temp:*", key: "key:?*"}}, memory_samples: 100}}
"""
    with served(text) as exporter, redis.Redis(address(million)) as client:
        client.config_resetstat()
        first = exporter.metrics()
        assert first.one("redis_up") == 1
        assert first.one("redis_db_keys", db="db0") == 1_001_000
        assert first.one("redis_key_group_scan_timestamp_seconds") is None

        def scanned() -> float | None:
            return exporter.metrics().one("redis_key_group_scan_timestamp_seconds")

        eventually(scanned, within_seconds=120)
        metrics = exporter.metrics()
        steps = client.info("commandstats")["cmdstat_scan"]["calls"]

    assert metrics.one("redis_key_group_count", key_group="key", db="db0") == 1_000_000
    assert metrics.one("redis_key_group_count", key_group="temp") == 1000
    assert metrics.one("redis_key_group_count", key_group="unclassified") == 0
    assert (metrics.one("redis_key_group_memory_usage_bytes", key_group="temp") or 0) > 1_000_000
    assert steps > 900  # small steps, between which others are served


def test_tls_is_verified_with_the_configured_authority(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    request += ["-subj", "/CN=redis.test", "-addext", "subjectAltName=DNS:redis.test"]
    subprocess.run([*request, "-keyout", key, "-out", cert], check=True, capture_output=True)
    start = (
        "printenv CERT >/tmp/c; printenv KEY >/tmp/k; exec redis-server --port 0 --tls-port 6379"
        " --tls-cert-file /tmp/c --tls-key-file /tmp/k --tls-auth-clients no --protected-mode no"
    )
    secret = ("-e", f"CERT={cert.read_text()}", "-e", f"KEY={key.read_text()}")
    with container(
        REDIS_IMAGE, "sh", "-c", start, project=random_project(), service="tls", options=secret
    ) as name:
        good = f'{{host: "{address(name)}", tls: {{ca_file: "{cert}", server_name: redis.test}}}}'
        bad = f'{{host: "{address(name)}", tls: {{}}}}'
        with served(f"redis: {{good: {good}, bad: {bad}}}") as exporter:
            eventually(lambda: exporter.metrics().one("redis_up", service="good") == 1)
            metrics = exporter.metrics()

    assert metrics.one("redis_up", service="bad") == 0

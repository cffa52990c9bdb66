"""A real Postgres through the exporter's one connection."""

import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.integration.exporter_stage import (
    POSTGRES_IMAGE,
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
PASSWORD = "only for this test"
OPTIONS = (
    "-e",
    "POSTGRES_USER=app",
    "-e",
    f"POSTGRES_PASSWORD={PASSWORD}",
    "-e",
    "POSTGRES_DB=app",
)
COMMAND = ("postgres", "-c", "shared_preload_libraries=pg_stat_statements")


def connect(name: str) -> "psycopg.Connection[tuple[object, ...]]":
    return psycopg.connect(
        host=address(name),
        user="app",
        password=PASSWORD,
        dbname="app",
        autocommit=True,
        connect_timeout=5,
    )


def answers(name: str) -> bool:
    try:
        connect(name).close()
    except psycopg.Error:
        return False
    return True


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with container(
        POSTGRES_IMAGE, *COMMAND, project=random_project(), service="db", options=OPTIONS
    ) as name:
        eventually(lambda: answers(name), within_seconds=60)
        with connect(name) as connection:
            connection.execute("create extension if not exists pg_stat_statements")
        yield name


@pytest.fixture
def exporter(server: str, tmp_path: Path) -> Iterator[Served]:
    with served(config(address(server), tmp_path)) as one:
        yield one


def config(host: str, tmp_path: Path, password: str = PASSWORD) -> str:
    file = tmp_path / "password"
    file.write_text(f"{password}\n")
    return f"""
postgres:
  db: {{host: "{host}", database: app, user: app, password_file: "{file}", top_statements: 5}}
"""


def up(exporter: Served) -> float | None:
    return exporter.metrics().one("pg_up", service="db")


def test_the_statistics_have_postgres_exporters_names(exporter: Served, server: str) -> None:
    with connect(server) as connection:
        connection.execute("select 1")
        metrics = exporter.metrics()

        assert metrics.one("pg_up", service="db") == 1
        assert metrics.one("pg_settings_max_connections") == 100
        assert metrics.one("pg_stat_activity_count", datname="app", state="idle") == 1
        assert metrics.one("pg_stat_activity_count", datname="app", state="active") == 0
        # The parser, not the exporter, puts _total behind a counter of a legacy name.
        assert (metrics.one("pg_stat_database_xact_commit_total", datname="app") or 0) > 0
        assert (metrics.one("pg_database_size_bytes", datname="app") or 0) > 1_000_000


def test_the_dear_statements_have_series_and_the_rest_is_other(
    exporter: Served, server: str
) -> None:
    with connect(server) as connection:
        connection.execute("select pg_stat_statements_reset()")
        for number in range(8):
            connection.execute(f"select {', '.join(['1'] * (number + 1))}")
        for _ in range(3):
            connection.execute("select pg_sleep(0.1)")
    exporter.metrics()
    first = exporter.metrics()

    series = first.all("pg_stat_statements_seconds_total", service="db")
    assert len(series) <= 6
    assert max(series.values()) > 0.3
    calls = {
        dict(key)["queryid"]: n for key, n in first.all("pg_stat_statements_calls_total").items()
    }
    assert 3 in calls.values()
    other = [exporter.metrics().one("pg_stat_statements_calls_total", queryid="other") or 0]
    other += [exporter.metrics().one("pg_stat_statements_calls_total", queryid="other") or 0]
    assert other == sorted(other)


def test_one_connection_is_kept(exporter: Served, server: str) -> None:
    ours = (
        "select count(*), min(pid) from pg_stat_activity where application_name like 'stackmedic%'"
    )
    with connect(server) as connection:
        exporter.metrics()
        before = connection.execute(ours).fetchone()
        for _ in range(3):
            exporter.metrics()

        assert before is not None
        assert before[0] == 1
        assert connection.execute(ours).fetchone() == before


def test_a_locked_catalogue_delays_only_what_needs_it(exporter: Served, server: str) -> None:
    assert up(exporter) == 1
    with connect(server) as connection, connection.transaction():
        connection.execute("lock table pg_database in access exclusive mode")
        began_at = time.monotonic()
        metrics = exporter.metrics()

        assert time.monotonic() - began_at < 3
        assert metrics.one("pg_up") == 1
        assert metrics.one("pg_settings_max_connections") == 100
        assert metrics.all("pg_database_size_bytes")  # of an earlier look: they are kept
        assert metrics.one("stackmedic_scrape_collector_success", collector="postgres") == 0
    assert exporter.metrics().all("pg_database_size_bytes")


def test_a_hung_a_restarted_and_a_stopped_server(exporter: Served, server: str) -> None:
    assert up(exporter) == 1
    docker("pause", server)
    try:
        hung = exporter.metrics(timeout=0.6)
        assert hung.one("pg_up") == 0
        assert hung.all("pg_database_size_bytes") == {}
        assert hung.one("stackmedic_scrape_collector_timeouts_total", collector="postgres") == 1
    finally:
        docker("unpause", server)
    eventually(lambda: up(exporter) == 1)

    docker("restart", "-t", "5", server)
    eventually(lambda: up(exporter) == 1)

    docker("stop", "-t", "5", server)
    try:
        assert exporter.metrics(timeout=1).one("pg_up") == 0
    finally:
        docker("start", server)
    eventually(lambda: up(exporter) == 1)


def test_a_wrong_password_is_down_and_says_why(server: str, tmp_path: Path) -> None:
    with served(config(address(server), tmp_path, password="wrong")) as exporter:
        assert up(exporter) == 0
        assert b"auth: " in exporter.get("/")[1]


def test_a_server_without_the_extension_lacks_only_its_series(
    exporter: Served, server: str
) -> None:
    with connect(server) as connection:
        connection.execute("drop extension pg_stat_statements")
        try:
            metrics = exporter.metrics()
            assert metrics.one("pg_up") == 1
            assert metrics.all("pg_stat_statements_calls_total") == {}
            assert metrics.one("stackmedic_scrape_collector_success", collector="postgres") == 1
        finally:
            connection.execute("create extension pg_stat_statements")

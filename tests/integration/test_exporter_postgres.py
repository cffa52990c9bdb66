"""A real Postgres through the exporter's one connection."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psycopg
import pytest
from psycopg import errors

from exporter.collectors.port import Clocks
from exporter.collectors.postgres.collector import PostgresCollector
from exporter.collectors.postgres.session import Session
from exporter.families.postgres import databases
from exporter.families.postgres import server as server_families
from exporter.families.postgres.shape import Shape
from exporter.readings import Postgres
from exporter.targets import Database
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
WAITING = "pg_locks_waiting_count"
SIZE = "pg_stat_user_tables_table_size_bytes"
OPTIONS = (
    "-e",
    "POSTGRES_USER=app",
    "-e",
    f"POSTGRES_PASSWORD={PASSWORD}",
    "-e",
    "POSTGRES_DB=app",
)
COMMAND = (
    "postgres",
    "-c",
    "shared_preload_libraries=pg_stat_statements",
    "-c",
    "pg_stat_statements.max=6000",
)


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


def config(
    host: str, tmp_path: Path, password: str = PASSWORD, user: str = "app", more: str = ""
) -> str:
    file = tmp_path / "password"
    file.write_text(f"{password}\n")
    return f"""
postgres:
  db: {{host: "{host}", database: app, user: {user}, password_file: "{file}",
    top_statements: 5{more}}}
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


def test_a_locked_table_delays_nothing(exporter: Served, server: str) -> None:
    with connect(server) as connection, connect(server) as waiting:
        connection.execute("create table locked (a int primary key)")
        connection.execute("create table free (a int primary key)")
        read = threading.Thread(target=lambda: waiting.execute("table locked"))
        with connection.transaction():
            connection.execute("lock table locked in access exclusive mode")
            read.start()
            eventually(lambda: exporter.metrics().one("pg_blocked_sessions", datname="app") == 1)
            metrics = exporter.metrics()

            assert metrics.one("stackmedic_scrape_collector_success", collector="postgres") == 1
            assert metrics.one(WAITING, mode="accesssharelock", datname="app") == 1
            assert (metrics.one("pg_lock_wait_max_seconds", datname="app") or 0) > 0
            assert metrics.one(SIZE, relname="free") is not None
            assert metrics.one(SIZE, relname="locked") is None
            assert metrics.one("pg_stat_user_tables_n_live_tup", relname="locked") == 0
        read.join()
        connection.execute("drop table locked, free")
    assert exporter.metrics().one("pg_blocked_sessions", datname="app") == 0


def test_a_lock_that_is_waited_for_delays_nothing_either(exporter: Served, server: str) -> None:
    with connect(server) as reader, connect(server) as writer:
        reader.execute("create table wanted (a int primary key)")
        lock = threading.Thread(
            target=lambda: writer.execute("lock table wanted in access exclusive mode")
        )
        writer.autocommit = False
        with reader.transaction():
            reader.execute("table wanted")
            lock.start()
            eventually(lambda: exporter.metrics().one("pg_blocked_sessions", datname="app") == 1)
            metrics = exporter.metrics()

            assert metrics.one("stackmedic_scrape_collector_success", collector="postgres") == 1
            assert metrics.one(WAITING, mode="accessexclusivelock", datname="app") == 1
            assert metrics.one(SIZE, relname="wanted") is None
        lock.join()
        writer.rollback()
        reader.execute("drop table wanted")


def test_five_thousand_statements_cost_fifty_series_and_lose_nothing(
    exporter: Served, server: str
) -> None:
    with connect(server) as connection:
        connection.execute("select pg_stat_statements_reset()")
        connection.execute("create table many (a int)")
        exporter.metrics()
        for number in range(5000):
            sums, rest = "+a" * (number % 71), "-a" * (number // 71)
            text = f"select a from many where a{sums} > 0{rest}"  # noqa: S608  numbers only
            connection.execute(text.encode(), prepare=False)
        metrics = exporter.metrics()
        connection.execute("drop table many")

    assert 5000 <= (metrics.one("pg_stat_statements_tracked") or 0) < 5400
    calls = metrics.all("pg_stat_statements_calls_total")
    assert len(calls) == 6
    assert 5000 <= sum(calls.values()) < 5400
    assert metrics.one("pg_stat_statements_dealloc_total") == 0


def test_texts_are_told_where_switched_on(server: str, tmp_path: Path) -> None:
    more = ", statement_texts: true, statement_text_length: 20"
    with (
        connect(server) as connection,
        served(config(address(server), tmp_path, more=more)) as exporter,
    ):
        connection.execute("select pg_stat_statements_reset()")
        connection.execute("select pg_sleep(0.2),   'unspoken'")
        told = exporter.metrics().all("pg_stat_statements_query_id")

        texts = {dict(labels)["query"] for labels in told}
        assert any(text.startswith("select pg_sleep($1)") for text in texts)
        assert max(map(len, texts)) <= 20


def test_full_of_connections_a_new_login_fails_and_the_kept_one_goes_on(
    server: str, tmp_path: Path
) -> None:
    text = config(address(server), tmp_path, more=", slow_interval: 1ms")
    with served(text) as exporter, ExitStack() as stack:
        assert exporter.metrics().one("pg_connect_success") == 1
        with suppress(psycopg.OperationalError):
            while True:
                stack.enter_context(connect(server))
        full = exporter.metrics()

        assert full.one("pg_up") == 1
        assert full.one("pg_connect_success") == 0
        assert len(full.all("pg_stat_database_numbackends")) >= 2
        stack.close()
        eventually(lambda: exporter.metrics().one("pg_connect_success") == 1)


def test_without_pg_monitor_only_what_needs_it_is_missing(server: str, tmp_path: Path) -> None:
    with connect(server) as connection:
        connection.execute(f"create role plain login password '{PASSWORD}'")
        try:
            text = config(address(server), tmp_path, user="plain")
            with served(text) as exporter:
                metrics = exporter.metrics()
        finally:
            connection.execute("drop role plain")

    assert metrics.one("pg_up") == 1
    assert metrics.one("pg_scrape_collector_success", collector="wal") == 0
    assert metrics.one("pg_scrape_collector_success", collector="stat_database") == 1
    assert metrics.one("pg_settings_max_connections") == 100
    assert metrics.one("pg_exporter_last_scrape_error") == 1


def test_every_database_is_looked_into_and_a_dropped_one_is_let_go(
    server: str, tmp_path: Path
) -> None:
    more = ', databases: ["*"], databases_except: [postgres], slow_interval: 1ms'
    with connect(server) as connection:
        connection.execute("create database shop")
        with psycopg.connect(
            host=address(server), user="app", password=PASSWORD, dbname="shop", autocommit=True
        ) as shop:
            shop.execute("create table goods (a int)")
        with served(config(address(server), tmp_path, more=more)) as exporter:
            metrics = exporter.metrics()
            tables = metrics.all("pg_stat_user_tables_n_live_tup", datname="shop")
            assert {dict(labels)["relname"] for labels in tables} == {"goods"}
            assert metrics.one("pg_stat_activity_count", datname="shop", state="idle") == 0

            connection.execute("drop database shop with (force)")
            eventually(lambda: not exporter.metrics().all("pg_database_size_bytes", datname="shop"))
            assert up(exporter) == 1


def test_a_slow_statement_is_cancelled_in_the_server(server: str, tmp_path: Path) -> None:
    target = Database("db", address(server), 5432, "app", "app", str(tmp_path / "password"))
    (tmp_path / "password").write_text(PASSWORD)
    session = Session(target, "app", time.monotonic)
    session.open(time.monotonic() + 5)
    with connect(server) as connection:
        ended: list[BaseException] = []

        def sleep() -> None:
            try:
                session.execute("select pg_sleep(60)")
            except psycopg.Error as error:
                ended.append(error)

        thread = threading.Thread(target=sleep)
        thread.start()
        sleeping = "select 1 from pg_stat_activity where query = 'select pg_sleep(60)'"
        sleeping += " and state = 'active'"
        eventually(lambda: connection.execute(sleeping).fetchone())
        session.cancel()
        thread.join(10)

        assert [type(error) for error in ended] == [errors.QueryCanceled]
        assert session.is_open
        assert connection.execute(sleeping).fetchone() is None
    session.close()


def test_every_number_that_a_server_tells_has_a_metric(server: str, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(PASSWORD)
    target = Database("db", address(server), 5432, "app", "app", str(tmp_path / "password"))
    collector = PostgresCollector(target, Clocks(time.monotonic, time.time))
    with connect(server) as connection:
        connection.execute("create table filled as select generate_series(1, 1000) a")
        connection.execute("analyze filled")
        try:
            reading = collector.collect(time.monotonic() + 10)
        finally:
            collector.close()
            connection.execute("drop table filled")

    assert isinstance(reading, Postgres)
    assert reading.problems == ()
    shapes = [s for m in (server_families, databases) for s in vars(m).values()]
    known = {s.part: set(s.metrics) for s in shapes if isinstance(s, Shape)}
    for part, table in reading.tables.items():
        if part in known:
            assert set(table.columns) - {"reachable", "tables"} <= known[part], part
    assert [labels[2] for labels, _ in reading.tables["bloat"].rows] == ["filled"]

"""Other versions of Postgres, Redis and Valkey: everything switched on, nothing missed."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from exporter.collectors.port import Clocks
from exporter.collectors.postgres.collector import PostgresCollector
from exporter.collectors.postgres.pgss import StatementReader
from exporter.collectors.postgres.queries import QUERIES
from exporter.collectors.postgres.session import Session
from exporter.collectors.redis_wire import TROUBLE, RedisLink
from exporter.families.postgres import databases
from exporter.families.postgres import server as server_families
from exporter.families.postgres.shape import Shape
from exporter.families.redis_info import FIELDS
from exporter.readings import Postgres
from exporter.targets import POSTGRES_OPTIONAL_PARTS, Database, RedisServer
from tests.integration import server_versions
from tests.integration.exporter_stage import eventually, needs_docker, served
from tests.integration.server_versions import POSTGRES, REDIS, Packed

pytestmark = needs_docker
PRELOADED = "shared_preload_libraries=pg_stat_statements"
# Columns that are read for something else than a metric of their own.
NO_METRIC = {"reachable", "tables"}
COMMANDS = ("set a 1", "get a", "lpush l 1", "lpop missing", "hset h f 1", "lpush a 1")


@pytest.fixture(scope="module")
def root() -> Path:
    return server_versions.unpacked()


@contextmanager
def connected(host: str) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    ready: list[psycopg.Connection[tuple[object, ...]]] = []

    def connects() -> bool:
        with suppress(psycopg.OperationalError):
            ready.append(psycopg.connect(host=host, user="app", dbname="postgres", autocommit=True))
        return bool(ready)

    eventually(connects, within_seconds=60)
    with ready[0]:
        yield ready[0]


@pytest.mark.parametrize("packed", POSTGRES, ids=lambda packed: f"postgres-{packed.version}")
def test_every_part_of_a_postgres_is_read_and_every_number_has_a_metric(
    root: Path, packed: Packed
) -> None:
    settings = (PRELOADED, "track_io_timing=on") if packed.statements else ()
    with (
        server_versions.postgres(root, packed.program, *settings) as host,
        connected(host) as connection,
    ):
        if packed.statements:
            connection.execute("create extension pg_stat_statements")
        connection.execute("create table filled as select generate_series(1, 1000) a")
        connection.execute("vacuum analyze filled")
        target = Database(
            "db", host, 5432, "postgres", "app", statement_texts=True,
            with_parts=POSTGRES_OPTIONAL_PARTS,
        )  # fmt: skip
        connection.execute("select pg_create_physical_replication_slot('kept', true)")
        with closing(PostgresCollector(target, Clocks(time.monotonic, time.time))) as collector:
            readings = [collector.collect(time.monotonic() + 10) for _ in range(2)]
        # Also what is not asked where there is nothing to tell, such as a vacuum under way.
        for query in QUERIES:
            sql = query.sql(connection.info.server_version)
            if sql is not None:
                taken = [getattr(target, name) for name in query.takes]
                values = [list(v) if isinstance(v, tuple) else v for v in taken]
                connection.execute(sql.encode(), values or None)

    for reading in readings:
        assert isinstance(reading, Postgres), reading
        assert reading.problems == ()
        assert f"PostgreSQL {packed.version} " in reading.version
        assert reading.tables["replication_slots"].rows[0][0][:2] == ("kept", "physical")
        shapes = [s for m in (server_families, databases) for s in vars(m).values()]
        known = {s.part: set(s.metrics) for s in shapes if isinstance(s, Shape)}
        for part, table in reading.tables.items():
            assert set(table.columns) - NO_METRIC <= known.get(part, set(table.columns)), part
        assert ("filled",) in [labels[2:] for labels, _ in reading.tables["bloat"].rows]
        if packed.statements:
            assert reading.statements is not None
            assert any("create table filled" in t for t in reading.statements.texts.values())


@pytest.mark.parametrize(
    "packed", [p for p in POSTGRES if p.statements], ids=lambda packed: f"postgres-{packed.version}"
)
def test_an_older_extension_than_the_server_is_asked_in_its_own_words(
    root: Path, packed: Packed
) -> None:
    with (
        server_versions.postgres(root, packed.program, PRELOADED) as host,
        connected(host) as connection,
    ):
        config = f'postgres: {{db: {{host: "{host}", database: postgres, user: app}}}}'
        for version in dict.fromkeys(("1.8", "1.9", "1.10", "1.11", packed.statements)):
            connection.execute("drop extension if exists pg_stat_statements")
            connection.execute(f"create extension pg_stat_statements version '{version}'".encode())
            connection.execute("select pg_stat_statements_reset()")
            connection.execute("select pg_sleep(0.01)")
            with served(config) as exporter:
                metrics = exporter.metrics()
            assert metrics.one("stackmedic_scrape_collector_success", collector="postgres") == 1
            for name in ("calls", "seconds", "block_read_seconds", "plan_seconds", "wal_bytes"):
                assert metrics.all(f"pg_stat_statements_{name}_total"), (version, name)
            dealloc = metrics.one("pg_stat_statements_dealloc_total")
            assert dealloc == (None if version == "1.8" else 0)


def test_an_update_of_the_extension_is_seen_by_a_session_that_is_kept(root: Path) -> None:
    packed = POSTGRES[-1]
    with (
        server_versions.postgres(root, packed.program, PRELOADED) as host,
        connected(host) as connection,
    ):
        connection.execute("create extension pg_stat_statements version '1.8'")
        target = Database("db", host, 5432, "postgres", "app")
        now = [0.0]
        reader = StatementReader(target, lambda: now[0])
        with closing(Session(target, "postgres", time.monotonic)) as session:
            session.open(time.monotonic() + 10)
            before = reader.read(session, {})
            connection.execute("alter extension pg_stat_statements update")
            now[0] = 301.0
            after = reader.read(session, {})

    assert before is not None
    assert before.dealloc is None
    assert after is not None
    assert after.dealloc == 0


@pytest.mark.parametrize("packed", REDIS, ids=lambda packed: Path(packed.program).name)
def test_every_field_of_a_redis_that_is_known_has_its_metric(root: Path, packed: Packed) -> None:
    with server_versions.redis(root, packed.program) as host:
        link = RedisLink(RedisServer("cache", host, 6379), time.monotonic, name="test")

        def info() -> dict[str, str]:
            try:
                for command in COMMANDS:
                    link.ask_all(time.monotonic() + 5, [tuple(command.split())])
                text = link.ask(time.monotonic() + 5, "INFO", "everything")
            except TROUBLE:
                return {}
            assert isinstance(text, bytes)
            lines = text.decode().split("\r\n")
            return {field: value for field, _, value in (line.partition(":") for line in lines)}

        eventually(info)
        more = "latency_percentiles: true, latency_histograms: true, modules: {}"
        wanted = [f'{name}: {{host: "{host}", {more.format(word)}}}'
                  for name, word in (("all", "true"), ("few", "false"))]  # fmt: skip
        with served(f"redis: {{{', '.join(wanted)}}}") as exporter:
            metrics = exporter.metrics()
            there = info()
        link.close()

    version = there.get("valkey_version") or there["redis_version"]
    assert version == packed.version
    assert metrics.one("stackmedic_scrape_collector_success", collector="redis") == 1
    expected = {
        metric.name
        for field, metrics_of in FIELDS.items()
        if there.get(field, "").replace(".", "").isdigit()
        for metric in metrics_of
    }
    for service in ("all", "few"):
        told = {name for name, labels in metrics.series if ("service", service) in labels}
        missing = {name for name in expected if not told & {name, f"{name}_total"}}
        assert missing == set(), service
        assert metrics.one("redis_commands_total", service=service, cmd="get")
        assert metrics.one("redis_errors_total", service=service, err="WRONGTYPE")
    if int(packed.version.partition(".")[0]) > 6:
        assert metrics.all("redis_latency_percentiles_usec", service="few", cmd="get")
        assert metrics.all("redis_commands_latencies_usec_bucket", service="few", cmd="get")

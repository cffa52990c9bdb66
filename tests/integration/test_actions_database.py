"""vacuum_analyze, reindex_concurrently and check_database against a real PostgreSQL."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from remediator.ports import Effect, NotYet, Permanent, Ready, Refused, Transient
from remediator.topology import Target
from tests.http_fakes import Answer, fake_server
from tests.integration.edge_containers import action, docker, free_port, needs_docker, now, until
from tests.integration.edge_postgres import (
    address,
    answers,
    connected,
    postgres_server,
)

pytestmark = [pytest.mark.integration, needs_docker]

SMALL = {"min_bytes": 65536, "min_bloat": 0.3}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    settings = ["-c", "autovacuum=off", "-c", "max_wal_senders=4"]
    with postgres_server(tmp_path_factory.mktemp("secrets"), *settings) as target:
        yield target


@pytest.fixture
def target(server: Target) -> Target:
    with connected(server) as connection:
        connection.execute(
            "DROP SCHEMA public CASCADE; CREATE SCHEMA public;"
            "CREATE TABLE dead (id int PRIMARY KEY, note text);"
            "CREATE INDEX dead_note ON dead (note);"
            "INSERT INTO dead SELECT n, 'note ' || n FROM generate_series(1, 50000) n;"
            "CREATE TABLE good (id int); INSERT INTO good SELECT generate_series(1, 5000);"
        )
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("DELETE FROM dead WHERE id % 10 <> 0")
        connection.execute("SELECT pg_stat_force_next_flush()")
    return server


def scalar(target: Target, query: str) -> object:
    with connected(target) as connection:
        row = connection.execute(query.encode()).fetchone()
    return None if row is None else row[0]


def waits_for(name: str, target: Target) -> str:
    verdict = action(name).precheck(target)
    assert isinstance(verdict, NotYet), verdict
    return verdict.detail


# -- vacuum -----------------------------------------------------------------------------------


def test_the_table_with_dead_rows_is_vacuumed_and_the_others_are_left(target: Target) -> None:
    vacuum = action("vacuum_analyze")
    began = now()
    assert vacuum.precheck(target) == Ready()
    assert vacuum.probe(target, intended_at=began) is Effect.NOT_DONE
    evidence = vacuum.run(target, timeout_seconds=60).evidence
    assert evidence["done"] == ["public.dead"]
    assert evidence["dead_rows"] == {"public.dead": {"before": 45000, "after": 0}}
    assert (evidence["skipped"], evidence["left"]) == ([], 0)
    assert vacuum.probe(target, intended_at=began) is Effect.DONE
    assert vacuum.run(target, timeout_seconds=60).summary.startswith("vacuumed and analyzed 0 of 0")


def test_all_means_all_and_is_done_when_each_was_vacuumed_since(target: Target) -> None:
    vacuum = action("vacuum_analyze", {"tables": "all"})
    began = now()
    assert vacuum.probe(target, intended_at=began) is Effect.NOT_DONE
    assert vacuum.run(target, timeout_seconds=60).evidence["done"] == ["public.dead", "public.good"]
    assert vacuum.probe(target, intended_at=began) is Effect.DONE


def test_a_table_that_somebody_holds_is_skipped_and_named(target: Target) -> None:
    vacuum = action("vacuum_analyze", {"tables": "all", "lock_timeout": "200ms"})
    with connected(target) as holder, holder.transaction():
        holder.execute("LOCK TABLE dead IN ACCESS EXCLUSIVE MODE")
        evidence = vacuum.run(target, timeout_seconds=60).evidence
        assert evidence["done"] == ["public.good"]
        assert evidence["skipped"] == ["public.dead: somebody holds its lock"]
        with pytest.raises(Permanent, match=r"public\.dead: somebody holds its lock"):
            action("vacuum_analyze", {"lock_timeout": "200ms"}).run(target, timeout_seconds=60)


@contextmanager
def slow_vacuum(target: Target) -> Iterator[None]:
    """Somebody else vacuums `dead`, slowly."""
    with connected(target) as other, connected(target) as look:
        other.execute("SET vacuum_cost_delay = '100ms'; SET vacuum_cost_limit = 1")
        other.pgconn.send_query(b"VACUUM dead")
        query = "SELECT count(*) FROM pg_stat_progress_vacuum"
        until(lambda: look.execute(query).fetchone() == (1,), what="the vacuum runs")
        yield
        other.cancel_safe()
        while other.pgconn.get_result() is not None:
            pass


def test_a_table_that_is_vacuumed_already_is_left_alone(target: Target) -> None:
    with slow_vacuum(target), pytest.raises(Permanent, match=r"is vacuumed already \(pid"):
        action("vacuum_analyze").run(target, timeout_seconds=60)


def test_what_the_server_skips_by_itself_is_not_called_done(target: Target) -> None:
    with connected(target) as connection:
        connection.execute("CREATE ROLE guest LOGIN PASSWORD 'not a secret'")
        connection.execute("GRANT USAGE ON SCHEMA public TO guest")
    try:
        guest = replace(target, postgres=replace(address(target), user="guest"))
        with pytest.raises(Permanent, match=r"owner can vacuum it|permission denied to vacuum"):
            action("vacuum_analyze").run(guest, timeout_seconds=60)
    finally:
        with connected(target) as connection:
            connection.execute("DROP OWNED BY guest")
            connection.execute("DROP ROLE guest")


def test_the_timeout_ends_a_vacuum_that_takes_too_long(target: Target) -> None:
    with connected(target) as connection:
        connection.execute(
            "CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS "
            "$$ BEGIN IF current_setting('application_name') = 'stackmedic-remediator' THEN "
            "PERFORM pg_sleep(60); END IF; RETURN $1; END $$"
        )
        connection.execute("CREATE INDEX good_slow ON good (slow(id))")
    began = time.monotonic()
    vacuum = action("vacuum_analyze", {"tables": "all"})
    evidence = vacuum.run(target, timeout_seconds=5).evidence
    assert evidence["done"] == ["public.dead"]
    assert evidence["skipped"] == ["public.good: the time was up, or a human stopped it"]
    assert time.monotonic() - began < 30


def test_a_dump_is_let_end(target: Target) -> None:
    for name in ("vacuum_analyze", "reindex_concurrently"):
        with connected(target, "pg_dump"):
            assert "pg_dump runs" in waits_for(name, target)


def test_a_server_that_is_away_is_transient_and_its_effect_unknown(target: Target) -> None:
    away = replace(target, postgres=replace(address(target), port=free_port()))
    for name in ("vacuum_analyze", "reindex_concurrently"):
        with pytest.raises(Transient, match="cannot reach postgres"):
            action(name).precheck(away)
        assert action(name).probe(away, intended_at=now()) is Effect.UNKNOWN


# -- reindex ----------------------------------------------------------------------------------


@pytest.fixture
def bloated(target: Target) -> Target:
    with connected(target) as connection:
        connection.execute("VACUUM (ANALYZE) dead")
    return target


def test_bloated_indexes_are_rebuilt_the_most_to_gain_first(bloated: Target) -> None:
    reindex = action("reindex_concurrently", {**SMALL, "max_indexes": 1})
    assert reindex.precheck(bloated) == Ready()
    assert reindex.probe(bloated, intended_at=now()) is Effect.NOT_DONE
    evidence = reindex.run(bloated, timeout_seconds=60).evidence
    rebuilt = evidence["rebuilt"]
    assert isinstance(rebuilt, dict)
    assert (list(rebuilt), evidence["left"]) == (["public.dead_note"], 1)
    sizes = rebuilt["public.dead_note"]
    assert sizes["bytes_after"] < sizes["bytes_before"] / 3
    assert reindex.run(bloated, timeout_seconds=60).evidence["left"] == 0
    assert reindex.probe(bloated, intended_at=now()) is Effect.DONE


def test_an_index_is_not_bloated_by_equal_or_wide_keys(bloated: Target) -> None:
    with connected(bloated) as connection:
        connection.execute(
            "CREATE TABLE wide AS SELECT n % 5 AS few, repeat(md5(n::text), 3) AS wide, n AS id, "
            "now() + n * interval '1 s' AS at FROM generate_series(1, 30000) n;"
            "CREATE INDEX ON wide (few); CREATE INDEX ON wide (wide);"
            "CREATE INDEX ON wide (at, id); CREATE INDEX ON wide (lower(wide));"
            "CREATE UNIQUE INDEX ON wide (id) WITH (fillfactor=50)"
        )
        connection.execute("VACUUM (ANALYZE) wide")
    rebuilt = action("reindex_concurrently", SMALL).run(bloated, timeout_seconds=60)
    found = rebuilt.evidence["rebuilt"]
    assert isinstance(found, dict)
    assert set(found) == {"public.dead_note", "public.dead_pkey"}


def interrupted_rebuild(target: Target) -> None:
    """What a crash in the middle of REINDEX CONCURRENTLY leaves."""
    waits = "SELECT count(*) FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting%'"
    with connected(target) as holder, connected(target) as worker, holder.transaction():
        holder.execute("INSERT INTO dead VALUES (-1, 'x')")
        worker.pgconn.send_query(b"REINDEX INDEX CONCURRENTLY dead_note")
        until(lambda: scalar(target, waits) == 1, what="the rebuild waits")
        worker.cancel_safe()
        while worker.pgconn.get_result() is not None:
            pass


def test_what_an_interrupted_rebuild_left_is_dropped(bloated: Target) -> None:
    interrupted_rebuild(bloated)
    invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
    assert scalar(bloated, invalid) == 1
    reindex = action("reindex_concurrently", {**SMALL, "min_bloat": 0.99})
    assert reindex.probe(bloated, intended_at=now()) is Effect.NOT_DONE
    assert reindex.run(bloated, timeout_seconds=60).evidence["dropped"] == [
        "public.dead_note_ccnew"
    ]
    assert scalar(bloated, invalid) == 0
    assert reindex.probe(bloated, intended_at=now()) is Effect.DONE


def test_a_rebuild_that_must_wait_is_given_up_and_leaves_nothing(bloated: Target) -> None:
    reindex = action("reindex_concurrently", {**SMALL, "lock_timeout": "200ms"})
    with connected(bloated) as holder, holder.transaction():
        holder.execute("INSERT INTO dead VALUES (-1, 'x')")
        evidence = reindex.run(bloated, timeout_seconds=60).evidence
        assert evidence["rebuilt"] == {}
        assert "somebody holds its lock, or an old transaction is open" in str(evidence["skipped"])
    action("reindex_concurrently", SMALL).run(bloated, timeout_seconds=60)
    assert scalar(bloated, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0


def test_an_invalid_index_of_a_failed_build_is_rebuilt(bloated: Target) -> None:
    with connected(bloated) as connection:
        connection.execute("INSERT INTO good VALUES (1)")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("CREATE UNIQUE INDEX CONCURRENTLY good_id ON good (id)")
        connection.execute("DELETE FROM good WHERE id = 1")
    rebuilt = action("reindex_concurrently", SMALL).run(bloated, timeout_seconds=60).evidence
    assert rebuilt["rebuilt"]["public.good_id"]["was_invalid"]  # type: ignore[index]
    assert scalar(bloated, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0


@contextmanager
def exporter_of_a_disk(free: int) -> Iterator[str]:
    labels = '{device="d",mountpoint="/data",fstype="ext4"}'
    text = f"node_filesystem_avail_bytes{labels} {free}\n"
    text += f"node_filesystem_size_bytes{labels} 1000000\n"
    with fake_server({"metrics": Answer(text)}) as exporter:
        yield exporter.url


def test_without_room_for_it_no_index_is_rebuilt(bloated: Target) -> None:
    known = replace(bloated, postgres=replace(address(bloated), mountpoint="/data"))
    with exporter_of_a_disk(1000) as url, pytest.raises(Permanent, match="1000 bytes free"):
        action("reindex_concurrently", SMALL, exporter_url=url).run(known, timeout_seconds=60)


# -- check ------------------------------------------------------------------------------------


def test_a_healthy_database_is_looked_at_with_its_oldest_transactions(target: Target) -> None:
    check = action("check_database")
    assert check.precheck(target) == Ready()
    with connected(target) as holder, connected(target) as waiting:
        holding = holder.info.backend_pid
        with holder.transaction():
            holder.execute("SELECT 'password=hunter2 ' || repeat('x', 500)")
            holder.execute("LOCK TABLE good")
            waiting.pgconn.send_query(b"SELECT * FROM good")
            query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            until(lambda: scalar(target, query) == 1, what="one waits")
            evidence = check.run(target, timeout_seconds=20).evidence
        while waiting.pgconn.get_result() is not None:
            pass
    assert (evidence["answers"], evidence["data_checksums"]) == ("yes", "on")
    assert evidence["checksum_failures"] == 0
    assert evidence["blockers"] == [{"pid": holding, "blocks": 1}]
    assert "hunter2" not in str(evidence)
    assert "ready to accept connections" in str(evidence["log"])
    assert check.probe(target, intended_at=now()) is Effect.NOT_DONE


def test_a_database_that_is_down_is_a_finding_and_no_failure(target: Target) -> None:
    away = replace(target, postgres=replace(address(target), port=free_port()))
    done = action("check_database").run(away, timeout_seconds=20)
    assert "refused" in str(done.evidence["answers"])


def test_a_full_disk_stops_what_would_follow(target: Target) -> None:
    known = replace(target, postgres=replace(address(target), mountpoint="/data"))
    with exporter_of_a_disk(5000) as url, pytest.raises(Permanent, match=r"99\.5% full") as caught:
        action("check_database", exporter_url=url).run(known, timeout_seconds=20)
    assert caught.value.evidence["disk"] == {"free_bytes": 5000, "size_bytes": 1_000_000}
    with exporter_of_a_disk(500_000) as url:
        action("check_database", exporter_url=url).run(known, timeout_seconds=20)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can stop a container's process")
def test_a_frozen_server_is_looked_at_within_seconds(target: Target) -> None:
    assert target.container is not None
    postmaster = int(docker("inspect", "--format", "{{.State.Pid}}", target.container))
    os.kill(postmaster, signal.SIGSTOP)
    began = time.monotonic()
    try:
        done = action("check_database").run(target, timeout_seconds=20)
    finally:
        os.kill(postmaster, signal.SIGCONT)
    assert "no:" in str(done.evidence["answers"])
    assert time.monotonic() - began < 20


def test_damaged_pages_stop_what_would_follow(tmp_path: Path) -> None:
    with postgres_server(tmp_path) as target:
        assert target.container is not None
        with connected(target) as connection:
            connection.execute("CREATE TABLE t AS SELECT generate_series(1, 10000) AS n")
            connection.execute("CHECKPOINT")
            row = connection.execute("SELECT pg_relation_filepath('t')").fetchone()
            assert row is not None
        damage = f"of=/var/lib/postgresql/data/{row[0]}"
        docker("restart", target.container)
        until(lambda: answers(target), within_seconds=60)
        docker("exec", target.container, "dd", "if=/dev/zero", damage,
               "bs=1", "seek=9000", "count=100", "conv=notrunc")  # fmt: skip
        with connected(target) as connection, pytest.raises(psycopg.errors.DataCorrupted):
            connection.execute("SELECT count(*) FROM t")
        until(lambda: scalar(target, FAILURES) != 0, what="the failure is counted")
        with pytest.raises(Permanent, match="keep a copy of the data directory") as caught:
            action("check_database").run(target, timeout_seconds=20)
        assert caught.value.evidence["checksum_failures"]
        docker("stop", target.container)  # its log still tells
        with pytest.raises(Permanent, match="its log speaks of damaged files"):
            action("check_database").run(target, timeout_seconds=20)


FAILURES = "SELECT coalesce(sum(checksum_failures), 0) FROM pg_stat_database"


def test_a_standby_is_not_maintained(tmp_path: Path) -> None:
    with postgres_server(tmp_path) as target:
        assert target.container is not None
        docker("exec", target.container, "touch", "/var/lib/postgresql/data/standby.signal")
        docker("restart", target.container)
        until(lambda: answers(target), within_seconds=60)
        for name in ("vacuum_analyze", "reindex_concurrently"):
            refused = action(name).precheck(target)
            assert isinstance(refused, Refused)
            assert "it is in recovery" in refused.detail
        evidence = action("check_database").run(target, timeout_seconds=20).evidence
        assert evidence["in_recovery"] is True

"""verify_backup and restore_backup against a real PostgreSQL and what its pg_dump writes."""

import gzip
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from remediator.ports import Done, Effect, Permanent, Ready, Refused, Transient
from remediator.topology import Target
from tests.integration.edge_containers import action, docker, free_port, needs_docker, now, until
from tests.integration.edge_postgres import (
    address,
    connected,
    databases,
    dumped,
    packed,
    postgres_server,
    roles,
    stored,
    tar_gz,
    with_backup,
)

pytestmark = [pytest.mark.integration, needs_docker]

SCHEMA = """
CREATE EXTENSION pg_stat_statements;
CREATE EXTENSION hstore;
CREATE TABLE lessons (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, title text NOT NULL,
  tags hstore, raw bytea);
INSERT INTO lessons (title, tags, raw)
  SELECT E'a \\\\. tab\\t''quoted'' $x$ ; -- ' || n, 'a=>1', '\\x5c2e0a'
  FROM generate_series(1, 2000) n;
INSERT INTO lessons (title) VALUES (E'\\\\.'), (repeat('long ', 400000));
CREATE SCHEMA school;
CREATE TABLE school.pupils (id int PRIMARY KEY, name text, born date) PARTITION BY RANGE (id);
CREATE TABLE school.pupils_1 PARTITION OF school.pupils FOR VALUES FROM (1) TO (1000);
INSERT INTO school.pupils SELECT n, 'pupil ' || n, now() FROM generate_series(1, 500) n;
CREATE VIEW school.young AS SELECT * FROM school.pupils WHERE CASE WHEN id > 1 THEN true END;
CREATE FUNCTION school.twice(n int) RETURNS int LANGUAGE sql
  BEGIN ATOMIC SELECT CASE WHEN n > 0 THEN n * 2 END; SELECT n * 2; END;
CREATE FUNCTION school.stamp() RETURNS trigger LANGUAGE plpgsql AS $body$
  BEGIN NEW.name := NEW.name || '; -- $tag$ \\.'; RETURN NEW; END $body$;
CREATE TRIGGER stamp BEFORE INSERT ON school.pupils FOR EACH ROW EXECUTE FUNCTION school.stamp();
CREATE RULE quiet AS ON UPDATE TO school.young DO INSTEAD (SELECT 1; SELECT 2);
CREATE MATERIALIZED VIEW school.counted AS SELECT count(*) FROM school.pupils;
COMMENT ON TABLE lessons IS 'it''s; a "comment" -- really';
CREATE ROLE reader;
GRANT SELECT ON lessons TO reader;
SELECT lo_from_bytea(0, '\\x00010203');
"""
TABLES = 2  # a partition counts with its table
ROWS = 2002 + 500
MIN_ROWS = {"min_rows": {"public.lessons": 2002, "school.pupils": 500}, "min_tables": TABLES}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    preload = ["-c", "shared_preload_libraries=pg_stat_statements"]
    with postgres_server(tmp_path_factory.mktemp("secrets"), *preload) as target:
        with connected(target) as connection:
            connection.execute(SCHEMA.encode())
        yield target


@pytest.fixture(scope="module")
def plain(server: Target) -> bytes:
    return dumped(server)


@pytest.fixture
def target(server: Target, tmp_path: Path) -> Iterator[Target]:
    before = databases(server), roles(server)
    yield with_backup(server, tmp_path / "backups")
    assert (databases(server), roles(server)) == before  # nothing is left of a trial


def status(target: Target) -> dict[str, object]:
    assert target.backup is not None
    found: dict[str, object] = json.loads(Path(target.backup.status_file).read_text())
    return found


def tried(target: Target, **with_: object) -> Done:
    verify = action("verify_backup", with_)
    assert verify.precheck(target) == Ready()
    return verify.run(target, timeout_seconds=90)


def failure(target: Target, **with_: object) -> str:
    verify = action("verify_backup", with_)
    began = now()
    with pytest.raises(Permanent) as caught:
        verify.run(target, timeout_seconds=90)
    assert verify.probe(target, intended_at=began) is Effect.NOT_DONE
    return str(caught.value)


# -- good backups -----------------------------------------------------------------------------


def test_the_runbooks_archive_is_restored_counted_and_told(target: Target, plain: bytes) -> None:
    file = stored(target, "nightly.tar.gz", packed(plain))
    began = now()
    done = tried(target, **MIN_ROWS)
    assert (done.evidence["tables"], done.evidence["rows"]) == (TABLES, ROWS)
    assert done.evidence["rows_of"] == {"public.lessons": 2002, "school.pupils": 500}
    assert status(target)["file"] == file.name
    assert status(target)["sha256"] == done.evidence["sha256"]
    assert action("verify_backup").probe(target, intended_at=began) is Effect.DONE


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("plain.sql", []),
        ("inserts.sql", ["--rows-per-insert=100"]),
        ("custom.dump", ["-Fc"]),
        ("custom0.dump", ["-Fc", "-Z0"]),
        ("clean.sql", ["--clean", "--if-exists"]),
    ],
)
def test_every_way_to_write_a_dump_of_one_database_is_understood(
    target: Target, name: str, arguments: list[str]
) -> None:
    assert target.backup is not None
    target = replace(target, backup=replace(target.backup, pattern="*"))
    stored(target, name, dumped(target, *arguments))
    done = tried(target, **MIN_ROWS)
    assert (done.evidence["tables"], done.evidence["rows"]) == (TABLES, ROWS)


def test_a_dump_that_is_only_compressed_is_understood(target: Target, plain: bytes) -> None:
    assert target.backup is not None
    target = replace(target, backup=replace(target.backup, pattern="*.sql.gz"))
    stored(target, "dump.sql.gz", gzip.compress(plain))
    assert tried(target).evidence["rows"] == ROWS


def test_the_newest_file_that_is_not_being_written_is_tried(target: Target, plain: bytes) -> None:
    old = stored(target, "old.tar.gz", b"rubbish")
    os.utime(old, (0, 0))
    stored(target, "good.tar.gz", packed(plain))
    being_written = stored(target, "new.tar.gz", b"rubbish")
    os.utime(being_written)
    assert tried(target).evidence["file"] == "good.tar.gz"


def test_owners_grants_and_extensions_that_the_trial_may_not_make_are_passed_over(
    target: Target, plain: bytes
) -> None:
    stored(target, "nightly.tar.gz", packed(plain))
    evidence = tried(target).evidence
    passed_over = evidence["passed_over_first"]
    assert isinstance(passed_over, list)
    assert any("CREATE EXTENSION IF NOT EXISTS pg_stat_statements" in line for line in passed_over)


# -- bad backups ------------------------------------------------------------------------------


def test_bad_backups_are_named_and_leave_the_status_as_it_was(target: Target, plain: bytes) -> None:
    good = packed(plain)
    half = plain[: len(plain) // 2]
    whole_statements = plain[: plain.index(b"ALTER TABLE ONLY")]
    damaged = bytearray(gzip.compress(plain))
    damaged[len(damaged) // 2] ^= 0xFF
    bad = {
        "rubbish": (b"\0rubbish" * 100, "is neither gzip, tar"),
        "empty": (b"", "is empty"),
        "cut off": (good[: len(good) // 2], "damaged or cut off"),
        "cut off inside": (packed(half), "in the middle of"),
        "cut off between": (packed(whole_statements), "it was cut off"),
        "damaged": (tar_gz(("x/dump.sql.gz", bytes(damaged))), "damaged or cut off"),
        "without a dump": (tar_gz(("x/other.txt", b"hello")), "holds no file"),
        "zip slip": (tar_gz(("../../etc/cron.d/x", b"x"), ("x/dump.sql.gz", b"")), "leads out"),
        "absolute": (tar_gz(("/etc/dump.sql.gz", b"x")), "leads out"),
        "no tables": (packed(dumped(target, "--schema=nowhere*", "--schema=public", "-T", "*")),
                      "holds 0 tables"),
    }  # fmt: skip
    for name, (content, words) in bad.items():
        file = stored(target, "nightly.tar.gz", content)
        said = failure(target)
        assert words in said, (name, said)
        assert "make a new one now" in said, name
        file.unlink()
    assert target.backup is not None
    assert not Path(target.backup.status_file).exists()


@pytest.mark.parametrize(
    "statement",
    [
        "\\! touch /tmp/owned",
        "\\connect postgres",
        "DROP DATABASE app;",
        "ALTER ROLE app PASSWORD 'x';",
        "ALTER SYSTEM SET fsync = off;",
        "SET ROLE app;",
        "SET SESSION AUTHORIZATION app;",
        "DO $$ BEGIN EXECUTE 'DROP OWNED BY app'; END $$;",
        "COPY lessons FROM PROGRAM 'id';",
        "SELECT pg_terminate_backend(1);",
    ],
)
def test_a_statement_that_no_dump_holds_ends_the_trial(target: Target, statement: str) -> None:
    stored(target, "nightly.tar.gz", packed(statement.encode() + b"\n"))
    assert "holds" in failure(target)


def test_a_function_of_the_dump_has_no_rights_over_production(target: Target) -> None:
    evil = b"""CREATE FUNCTION public.f() RETURNS int LANGUAGE plpgsql AS $$
    BEGIN EXECUTE 'ALTER DATABASE app RENAME TO gone'; RETURN 1; END $$;
    CREATE MATERIALIZED VIEW public.v AS SELECT public.f();
    -- PostgreSQL database dump complete
    """
    stored(target, "nightly.tar.gz", packed(evil))
    assert "must be owner of database app" in failure(target)


def test_too_few_rows_and_tables_are_all_named(target: Target, plain: bytes) -> None:
    stored(target, "nightly.tar.gz", packed(plain))
    said = failure(target, min_tables=3, min_rows={"public.lessons": 3000, "public.gone": 1})
    assert "holds 2 tables, 3 are expected" in said
    assert "holds 2002 rows in public.lessons, 3000 are expected" in said
    assert "holds no table public.gone" in said


def test_a_bomb_is_not_unpacked(target: Target) -> None:
    bomb = gzip.compress(b"-- x\n" * 2_000_000)
    stored(target, "nightly.tar.gz", tar_gz(("x/dump.sql.gz", bomb)))
    assert "unpacks to more than 1000000 bytes" in failure(target, max_bytes=1_000_000)


def test_a_database_that_grows_too_large_is_ended(target: Target, plain: bytes) -> None:
    slow = plain + b"CREATE MATERIALIZED VIEW public.v AS SELECT 1 FROM pg_sleep(60);\n"
    stored(target, "nightly.tar.gz", packed(slow))
    assert "it grew to" in failure(target, max_database=1024)


def test_a_trial_that_takes_too_long_is_ended_and_cleaned_up(target: Target, plain: bytes) -> None:
    slow = plain + b"CREATE MATERIALIZED VIEW public.v AS SELECT 1 FROM pg_sleep(60);\n"
    stored(target, "nightly.tar.gz", packed(slow))
    with pytest.raises(Permanent, match="in the time of the step; give the step more time"):
        action("verify_backup").run(target, timeout_seconds=20)


# -- who may, and what is left ------------------------------------------------------------------


def test_what_a_crash_left_behind_is_dropped_by_the_next_trial(
    target: Target, plain: bytes
) -> None:
    left = f"stackmedic_verify_{'0' * 16}"
    with connected(target) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(left)))
        connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(left)))
        connection.execute("CREATE DATABASE stackmedic_verify_of_a_human")
    stored(target, "nightly.tar.gz", packed(plain))
    tried(target)
    assert left not in databases(target)
    assert "stackmedic_verify_of_a_human" in databases(target)
    with connected(target) as connection:
        connection.execute("DROP DATABASE stackmedic_verify_of_a_human")


def test_two_trials_do_not_meet(target: Target, plain: bytes) -> None:
    stored(target, "nightly.tar.gz", packed(plain))
    with connected(target) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [0x5741_7CA7_0DB5])
        with pytest.raises(Transient, match="another trial restore runs"):
            action("verify_backup").run(target, timeout_seconds=60)


def test_a_role_without_createdb_is_refused(target: Target, plain: bytes) -> None:
    stored(target, "nightly.tar.gz", packed(plain))
    with connected(target) as connection:
        connection.execute("CREATE ROLE weak LOGIN PASSWORD 'not a secret'")
    try:
        weak = replace(target, postgres=replace(address(target), user="weak"))
        refused = action("verify_backup").precheck(weak)
        assert isinstance(refused, Refused)
        assert "give it CREATEDB" in refused.detail
    finally:
        with connected(target) as connection:
            connection.execute("DROP ROLE weak")


def test_a_role_that_owns_nothing_else_tries_under_its_own_name(
    target: Target, plain: bytes
) -> None:
    stored(target, "nightly.tar.gz", packed(plain))
    with connected(target) as connection:
        connection.execute("CREATE ROLE trier LOGIN CREATEDB PASSWORD 'not a secret'")
    try:
        assert target.backup is not None
        scratch = replace(address(target), user="trier", database="postgres")
        apart = replace(target, backup=replace(target.backup, scratch=scratch))
        assert tried(apart).evidence["rows"] == ROWS
        with connected(target) as connection:
            connection.execute("ALTER DATABASE app OWNER TO trier")
        refused = action("verify_backup").precheck(apart)
        assert isinstance(refused, Refused)
        assert "owns other databases" in refused.detail
    finally:
        with connected(target) as connection:
            connection.execute("ALTER DATABASE app OWNER TO app")
            connection.execute("DROP ROLE trier")


def test_without_a_file_or_a_place_for_the_status_it_is_refused(
    target: Target, plain: bytes
) -> None:
    refused = action("verify_backup").precheck(target)
    assert isinstance(refused, Refused)
    assert "to try" in refused.detail
    stored(target, "nightly.tar.gz", packed(plain))
    assert target.backup is not None
    nowhere = replace(target, backup=replace(target.backup, status_file="/nowhere/verified"))
    refused = action("verify_backup").precheck(nowhere)
    assert isinstance(refused, Refused)
    assert "not mounted for writing" in refused.detail


# -- restore ----------------------------------------------------------------------------------


@pytest.fixture
def broken(server: Target, plain: bytes, tmp_path: Path) -> Iterator[Target]:
    """A database `live` with a proven backup of `app`."""
    with connected(server) as connection:
        connection.execute("CREATE DATABASE live TEMPLATE template0")
        connection.execute("ALTER DATABASE live SET search_path TO school, public")
        connection.execute("ALTER ROLE reader IN DATABASE live SET work_mem TO '5MB'")
        connection.execute("GRANT CONNECT ON DATABASE live TO reader")
    target = with_backup(
        replace(server, postgres=replace(address(server), database="live")), tmp_path / "backups"
    )
    stored(target, "nightly.tar.gz", packed(plain))
    tried(target)
    yield target
    with connected(server, database="postgres") as connection:
        connection.execute("SET client_min_messages = error")
        for name in databases(server):
            if name.startswith("live"):
                connection.execute(
                    sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
                )


def kept_of(target: Target) -> list[str]:
    return [name for name in databases(target) if name.startswith("live_before_")]


def test_a_restore_takes_the_place_under_busy_clients_and_keeps_what_was(broken: Target) -> None:
    with connected(broken) as connection:
        connection.execute("CREATE TABLE public.only_in_the_old (x int)")
        connection.execute("CREATE DATABASE live_restore_0badcafe")  # a crash left it
    stop, attempts = threading.Event(), [0]

    def client() -> None:  # a pool that comes back at once
        while not stop.is_set():
            try:
                with connected(broken) as connection:
                    while not stop.is_set():
                        connection.execute("SELECT 1")
                        attempts[0] += 1
                        time.sleep(0.005)
            except psycopg.Error:
                continue

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    restore = action("restore_backup", {"force": True})
    began = now()
    try:
        until(lambda: attempts[0] > 20)
        assert restore.precheck(broken) == Ready()
        assert restore.probe(broken, intended_at=began) is Effect.NOT_DONE
        done = restore.run(broken, timeout_seconds=120)
        so_far = attempts[0]
        until(lambda: attempts[0] > so_far + 20, what="the clients are back")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert restore.probe(broken, intended_at=began) is Effect.DONE
    assert [done.evidence["kept_as"]] == kept_of(broken)
    assert not any("_restore_" in name for name in databases(broken))
    with connected(broken) as connection:
        rows = connection.execute("SELECT count(*) FROM public.lessons").fetchone()
        path = connection.execute("SHOW search_path").fetchone()
        assert (rows, path) == ((2002,), ("school, public",))
    with connected(broken, database=kept_of(broken)[0]) as connection:
        connection.execute("SELECT * FROM public.only_in_the_old")


def test_a_restore_is_refused_where_nothing_is_broken_or_nothing_is_proven(
    broken: Target,
) -> None:
    restore = action("restore_backup")
    refused = restore.precheck(broken)
    assert isinstance(refused, Refused)
    assert "the database answers" in refused.detail

    assert broken.backup is not None
    Path(broken.backup.status_file).unlink()
    refused = action("restore_backup", {"force": True}).precheck(broken)
    assert isinstance(refused, Refused)
    assert "verify the backup first" in refused.detail


def test_a_server_that_is_down_is_left_to_a_human(broken: Target) -> None:
    away = replace(broken, postgres=replace(address(broken), port=free_port()))
    refused = action("restore_backup", {"force": True}).precheck(away)
    assert isinstance(refused, Refused)
    assert "a restore needs a server that runs. By hand:" in refused.detail


def test_a_database_whose_files_are_gone_is_restored_without_force(broken: Target) -> None:
    assert broken.container is not None
    with connected(broken, database="postgres") as connection:
        row = connection.execute("SELECT oid FROM pg_database WHERE datname = 'live'").fetchone()
        assert row is not None
    docker("exec", broken.container, "rm", f"/var/lib/postgresql/data/base/{row[0]}/PG_VERSION")
    with pytest.raises(psycopg.OperationalError, match="not a valid data directory"):
        connected(broken)
    restore = action("restore_backup")
    assert restore.precheck(broken) == Ready()
    assert restore.run(broken, timeout_seconds=120).evidence["rows"] == ROWS
    with connected(broken) as connection:
        assert connection.execute("SELECT count(*) FROM lessons").fetchone() == (2002,)


def test_a_database_that_a_human_has_closed_is_not_broken(broken: Target) -> None:
    with connected(broken, database="postgres") as connection:
        connection.execute("ALTER DATABASE live ALLOW_CONNECTIONS false")
    refused = action("restore_backup").precheck(broken)
    assert isinstance(refused, Refused)
    assert "not currently accepting connections" in refused.detail


def test_a_file_that_is_not_the_proven_one_changes_nothing(broken: Target, plain: bytes) -> None:
    other = plain.replace(b"pupil 7", b"pupil X")
    stored(broken, "nightly.tar.gz", packed(other))
    with pytest.raises(Permanent, match="is not what was proven"):
        action("restore_backup", {"force": True}).run(broken, timeout_seconds=60)
    assert kept_of(broken) == []
    assert not any("_restore_" in name for name in databases(broken))


def test_a_name_that_leaves_no_room_for_a_date_is_refused(broken: Target) -> None:
    refused = action("restore_backup", {"force": True}).precheck(
        replace(broken, postgres=replace(address(broken), database="x" * 41))
    )
    assert isinstance(refused, Refused)
    assert "longer than 40" in refused.detail

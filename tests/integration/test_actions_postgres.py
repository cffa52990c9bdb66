"""restart_database against a real PostgreSQL in a container."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from remediator.actions import postgres
from remediator.ports import Effect, Permanent, Ready, Refused
from remediator.topology import PostgresAddress, Target
from tests.integration.edge_containers import (
    POSTGRES_IMAGE,
    action,
    container,
    docker,
    free_port,
    needs_docker,
    now,
    state,
    until,
)
from tests.integration.edge_postgres import PASSWORD, answers, connected

pytestmark = [pytest.mark.integration, needs_docker]

FAST = {"stop_timeout": "10s"}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    port = free_port()
    password_file = tmp_path_factory.mktemp("secrets") / "postgres_password"
    password_file.write_text(PASSWORD + "\n")
    address = PostgresAddress("127.0.0.1", port, "app", "app", str(password_file))
    options = ["-p", f"127.0.0.1:{port}:5432", "-e", f"POSTGRES_PASSWORD={PASSWORD}"]
    options += ["-e", "POSTGRES_USER=app", "-e", "POSTGRES_DB=app"]
    with container(POSTGRES_IMAGE, "postgres", "-c", "max_wal_senders=4", options=options) as name:
        found = Target(key="postgres", tier="data", container=name, postgres=address)
        until(lambda: answers(found), within_seconds=120, what="postgres answers")
        yield found


def refusal(target: Target) -> str:
    verdict = action("restart_database", FAST).precheck(target)
    assert isinstance(verdict, Refused), verdict
    return verdict.detail


def test_a_running_database_is_restarted_and_answers_at_once_after(target: Target) -> None:
    restart = action("restart_database", FAST)
    intended_at = now()
    assert restart.precheck(target) == Ready()
    done = restart.run(target, timeout_seconds=90)
    assert answers(target)
    assert done.summary.endswith("it answers SELECT 1")
    assert restart.probe(target, intended_at=intended_at) is Effect.DONE


def test_a_killed_database_comes_back_and_its_death_is_evidence(target: Target) -> None:
    assert target.container is not None
    docker("kill", target.container)
    restart = action("restart_database", FAST)
    assert restart.precheck(target) == Ready()
    evidence = restart.run(target, timeout_seconds=90).evidence
    assert evidence["exit_code"] == 137
    assert answers(target)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can stop a container's process")
def test_a_frozen_database_is_no_reason_against_a_restart(target: Target) -> None:
    assert target.container is not None
    postmaster = state(target.container)["Pid"]
    os.kill(postmaster, signal.SIGSTOP)  # the engine knows nothing of it, unlike of a pause
    try:
        assert action("restart_database", FAST).precheck(target) == Ready()
    finally:
        os.kill(postmaster, signal.SIGCONT)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can stop a container's process")
def test_a_server_that_freezes_in_the_middle_of_a_query_is_given_up(target: Target) -> None:
    assert target.postgres is not None
    began = time.monotonic()
    with postgres.connected(target.postgres) as connection:
        row = connection.execute("SELECT pg_backend_pid()").fetchone()
        assert row is not None
        backend = host_pid(target, row[0])
        os.kill(backend, signal.SIGSTOP)
        try:
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        finally:
            os.kill(backend, signal.SIGCONT)
    assert time.monotonic() - began < 10


def host_pid(target: Target, pid_inside: int) -> int:
    assert target.container is not None
    lines = docker("top", target.container, "-o", "pid").splitlines()[1:]
    for pid in map(int, lines):
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
        numbers = next(line for line in status if line.startswith("NSpid:")).split()
        if numbers[-1] == str(pid_inside):
            return pid
    raise AssertionError(f"no process {pid_inside} in {target.container}")


def test_a_base_backup_is_let_end(target: Target) -> None:
    assert target.container is not None
    backup = "pg_basebackup -U app -D /tmp/backup -X none -c fast --max-rate 32k"
    docker("exec", "-d", target.container, *backup.split())
    with connected(target) as connection:
        query = "SELECT count(*) FROM pg_stat_progress_basebackup"
        until(lambda: connection.execute(query).fetchone() == (1,), what="the backup runs")
        detail = refusal(target)
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_progress_basebackup")
        until(lambda: connection.execute(query).fetchone() == (0,), what="the backup ends")
    assert "a base backup runs" in detail


def test_a_restore_is_let_end(target: Target) -> None:
    with connected(target, "pg_restore"):
        assert "pg_restore runs" in refusal(target)


def test_a_vacuum_full_and_an_index_are_let_end(target: Target) -> None:
    with connected(target) as owner:
        owner.execute("CREATE TABLE big AS SELECT g AS id FROM generate_series(1, 100000) g")
        owner.execute(
            "CREATE FUNCTION slow(id int) RETURNS int IMMUTABLE LANGUAGE sql "
            "AS $$ SELECT id FROM pg_sleep(0.01) $$"
        )
        with connected(target) as worker:
            worker.pgconn.send_query(b"CREATE INDEX big_slow ON big (slow(id))")
            query = "SELECT count(*) FROM pg_stat_progress_create_index"
            until(lambda: owner.execute(query).fetchone() == (1,), what="the index is built")
            detail = refusal(target)
            worker.cancel_safe()
            while worker.pgconn.get_result() is not None:
                pass
        owner.execute("DROP TABLE big")
    assert "CREATE INDEX or REINDEX runs" in detail


def test_a_standby_is_not_restarted(target: Target) -> None:
    assert target.container is not None
    data = "/var/lib/postgresql/data"
    docker("exec", target.container, "touch", f"{data}/standby.signal")
    docker("restart", target.container)
    try:
        until(lambda: answers(target), within_seconds=60)
        assert "it is in recovery" in refusal(target)
    finally:
        docker("exec", target.container, "rm", "-f", f"{data}/standby.signal")
        docker("restart", target.container)
        until(lambda: answers(target), within_seconds=60)


def test_a_server_that_refuses_our_password_is_not_restarted_blindly(
    target: Target, tmp_path: Path
) -> None:
    assert target.postgres is not None
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong")
    address = replace(target.postgres, password_file=str(wrong))
    assert "does not let us see" in refusal(replace(target, postgres=address))


def test_a_missing_password_file_is_permanent_without_a_secret(target: Target) -> None:
    assert target.postgres is not None
    address = replace(target.postgres, password_file="/nowhere/password")
    with pytest.raises(Permanent, match="see that the secret is mounted"):
        action("restart_database", FAST).precheck(replace(target, postgres=address))


def test_a_database_that_does_not_come_back_is_permanent(target: Target) -> None:
    assert target.container is not None
    assert target.postgres is not None
    deaf = replace(target.postgres, port=free_port())
    restart = action("restart_database", FAST)
    with pytest.raises(Permanent, match="does not answer SELECT 1 within 14 s"):
        restart.run(replace(target, postgres=deaf), timeout_seconds=14)
    assert state(target.container)["Running"]
    until(lambda: answers(target), within_seconds=60)

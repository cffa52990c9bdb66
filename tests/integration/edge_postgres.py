"""A real PostgreSQL in a container for the tests of what is done to a database."""

import gzip
import io
import os
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg

from remediator.topology import BackupFiles, PostgresAddress, Target
from tests.integration.edge_containers import POSTGRES_IMAGE, container, free_port, until

PASSWORD = "not a secret"
DATA = "/var/lib/postgresql/data"
Connection = psycopg.Connection[tuple[object, ...]]


@contextmanager
def postgres_server(secrets: Path, *settings: str, disk: str | None = None) -> Iterator[Target]:
    """A server with page checksums, a database `app` and its superuser of that name.

    `disk`: the size of a disk of its own, such as 100m.
    """
    port = free_port()
    password_file = secrets / "postgres_password"
    password_file.write_text(PASSWORD + "\n")
    address = PostgresAddress("127.0.0.1", port, "app", "app", str(password_file))
    options = ["-p", f"127.0.0.1:{port}:5432", "-e", f"POSTGRES_PASSWORD={PASSWORD}"]
    options += ["-e", "POSTGRES_USER=app", "-e", "POSTGRES_DB=app"]
    options += ["-e", "POSTGRES_INITDB_ARGS=--data-checksums --no-sync"]
    if disk is not None:
        options += ["--tmpfs", f"{DATA}:size={disk}"]
    command = ["postgres", "-c", "fsync=off", *settings]
    with container(POSTGRES_IMAGE, *command, options=options) as name:
        target = Target(key="database", tier="data", container=name, postgres=address)
        until(lambda: answers(target), within_seconds=120, what="postgres answers")
        yield target


def address(target: Target) -> PostgresAddress:
    assert target.postgres is not None
    return target.postgres


def connected(
    target: Target, application: str = "test", database: str | None = None, user: str = "app"
) -> Connection:
    return psycopg.connect(
        host="127.0.0.1",
        port=address(target).port,
        dbname=database or address(target).database,
        user=user,
        password=PASSWORD,
        application_name=application,
        connect_timeout=5,
        autocommit=True,
    )


def answers(target: Target) -> bool:
    try:
        with connected(target) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def databases(target: Target) -> set[str]:
    with connected(target, database="postgres") as connection:
        rows = connection.execute("SELECT datname FROM pg_database").fetchall()
    return {str(name) for (name,) in rows}


def roles(target: Target) -> set[str]:
    with connected(target, database="postgres") as connection:
        rows = connection.execute("SELECT rolname FROM pg_roles").fetchall()
    return {str(name) for (name,) in rows}


def dumped(target: Target, *arguments: str, database: str = "app") -> bytes:
    """What pg_dump writes, run beside the server."""
    assert target.container is not None
    command = ["docker", "exec", target.container, "pg_dump", "-U", "app", *arguments, database]
    return subprocess.run(command, check=True, capture_output=True).stdout


def tar_gz(*members: tuple[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def packed(sql: bytes) -> bytes:
    """As the runbook's backups are."""
    return tar_gz(("nightly/notes.txt", b"hello"), ("nightly/dump.sql.gz", gzip.compress(sql)))


def with_backup(target: Target, folder: Path, pattern: str = "*.tar.gz") -> Target:
    folder.mkdir(parents=True, exist_ok=True)
    status = folder.parent / "verification"
    status.mkdir(exist_ok=True)
    files = BackupFiles(str(folder), pattern, "*/dump.sql.gz", str(status / "verified"))
    return replace(target, backup=files)


def stored(target: Target, name: str, content: bytes) -> Path:
    """A backup of an hour ago."""
    assert target.backup is not None
    path = Path(target.backup.folder) / name
    path.write_bytes(content)
    hour_ago = time.time() - 3600
    os.utime(path, (hour_ago, hour_ago))
    return path

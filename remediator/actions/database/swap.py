"""Restores a proven backup beside a broken database, then lets the two change names.

Rule: what is there is never overwritten and never dropped: it keeps its data under a dated
name, and two renames in one transaction undo or redo it. Nothing of production is touched
before the restored database is whole. What was written after the backup is not in it.
"""

import re
import secrets
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import psycopg
from psycopg import sql
from pydantic import Field

from remediator.actions.clients import Clients, Deadline, Params
from remediator.actions.database import twin
from remediator.actions.database.archive import BackupFile, Limits
from remediator.actions.database.disk import disk
from remediator.actions.database.restore import Job, Restored, restore
from remediator.actions.database.scratch import end_sessions
from remediator.actions.database.session import (
    Connection,
    Login,
    address_of,
    connected,
    one_line,
    translated,
)
from remediator.actions.database.sqldump import BadDump
from remediator.actions.database.status import Status, backup_of, read_status
from remediator.ports import Done, Effect, NotYet, Permanent, Ready, Refused, RemediationError
from remediator.topology import PostgresAddress, Target

_CLEAN_UP_SECONDS = 20.0
_GIGABYTE = 1024**3
_ROOM = 1.5
_KILL_EVERY_SECONDS = 0.1
_RENAMES = 3
_LONGEST_NAME = 40
_DATE = "%Y%m%dT%H%M%S"

_BY_HAND = (
    "a restore needs a server that runs. By hand: stop it, keep a copy of its data directory, "
    "let it start on an empty one, then run this again or load the backup with psql"
)
_IN_THE_WAY = """
SELECT 'it is in recovery' WHERE pg_is_in_recovery()
UNION ALL
SELECT 'the database is missing; create it, or correct the topology'
WHERE NOT EXISTS (SELECT 1 FROM pg_database WHERE datname = %(name)s)
UNION ALL
SELECT 'a prepared transaction is open in it (' || gid || ')' FROM pg_prepared_xacts
WHERE database = %(name)s
UNION ALL
SELECT 'our role may not do it: it must own the database and have CREATEDB and pg_signal_backend'
FROM pg_roles WHERE rolname = current_user AND NOT rolsuper AND NOT (rolcreatedb
  AND pg_has_role(current_user, 'pg_signal_backend', 'MEMBER')
  AND pg_has_role(current_user, (SELECT datdba FROM pg_database d WHERE datname = %(name)s),
                  'MEMBER'))
LIMIT 1
"""
_SAVES = """
SELECT application_name || ' runs (pid ' || pid || '); it may be saving what is left'
FROM pg_stat_activity
WHERE application_name IN ('pg_restore', 'pg_dump', 'pg_dumpall', 'pg_basebackup') LIMIT 1
"""
_FAILURES = "SELECT checksum_failures FROM pg_stat_database WHERE datname = %s"
# What a server says at the door of a database whose files are damaged or gone. Being full, or
# closed by a human, is no damage.
_BROKEN = re.compile(
    r"is not a valid data directory|subdirectory \"[^\"]{1,200}\" is missing"
    r"|could not (?:open|read) (?:file|block)|invalid page|page verification failed"
    r"|could not open relation|cache lookup failed"
)
_SIZE = "SELECT pg_database_size(%s)"
_COUNT = """
SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
"""
_NAMES = "SELECT datname FROM pg_database"


class RestoreBackupParams(Params):
    """`force`: also when the database answers and no page of it had a wrong checksum."""

    force: bool = False
    max_bytes: Annotated[int, Field(ge=1024)] = 256 * _GIGABYTE
    max_database: Annotated[int, Field(ge=1024)] = 64 * _GIGABYTE


@dataclass(frozen=True, slots=True)
class RestoreBackup:
    """Put the proven backup in the place of the database, which is kept."""

    params: RestoreBackupParams
    clients: Clients

    def precheck(self, target: Target) -> Ready | Refused | NotYet:
        address = address_of(target)
        status = read_status(backup_of(target))
        if status is None:
            return Refused(f"{target.key}: no backup was proven yet; verify the backup first")
        against = self._against(address)
        if against is not None:
            return Refused(f"{target.key}: {against}")
        _file(target, status)
        with (
            translated("look at its work", address),
            connected(address, login=_maintenance(address)) as control,
        ):
            row = control.execute(_SAVES).fetchone()
        return Ready() if row is None else NotYet(f"{target.key}: {row[0]}")

    def run(self, target: Target, *, timeout_seconds: float) -> Done:
        """1. restore beside it  2. compare with the proof  3. change names  4. ask it."""
        began = self.clients.clock()
        deadline = Deadline.after(self.clients.clock, timeout_seconds - _CLEAN_UP_SECONDS)
        if deadline.is_over():
            raise Permanent(
                f"{target.key}: a restore needs a step timeout of more than "
                f"{_CLEAN_UP_SECONDS:.0f} s, to be able to undo it"
            )
        address, status = address_of(target), read_status(backup_of(target))
        if status is None:
            raise Permanent(f"{target.key}: no backup was proven yet; verify the backup first")
        kept = f"{address.database}_before_{began.strftime(_DATE)}"
        with (
            translated(f"restore {status.file}", address),
            connected(address, timeout_seconds, _maintenance(address)) as control,
        ):
            twin.drop_leftovers(control, address.database)
            name = twin.name_of(address.database, secrets.token_hex(4))
            try:
                twin.make(control, address, name)
                restored = self._restored(target, control, name, status, deadline)
                twin.copy_settings(address, name)
                ended = _swap(control, address, name, kept)
            finally:
                if not control.broken:
                    twin.drop_leftovers(control, address.database)
            _ask(target, address, kept)
        return Done(
            f"restored {status.file} as {address.database}; what it was is kept as {kept}",
            {
                "file": status.file,
                "backup_verified_at": status.verified_at.isoformat(),
                "kept_as": kept,
                "tables": status.tables,
                "rows": restored.replayed.rows,
                "sessions_ended": ended,
                "seconds": round((self.clients.clock() - began).total_seconds(), 1),
            },
        )

    def probe(self, target: Target, *, intended_at: datetime) -> Effect:
        """The renames are one transaction: the dated name tells."""
        address = address_of(target)
        try:
            with (
                translated("look", address),
                connected(address, login=_maintenance(address)) as control,
            ):
                names = [name for (name,) in control.execute(_NAMES).fetchall()]
        except RemediationError:
            return Effect.UNKNOWN
        if address.database not in names:
            return Effect.UNKNOWN
        since = intended_at.astimezone(UTC).replace(microsecond=0)
        kept = [_kept_at(name, address.database) for name in names]
        return Effect.DONE if any(at and at >= since for at in kept) else Effect.NOT_DONE

    def _against(self, address: PostgresAddress) -> str | None:
        if len(address.database) > _LONGEST_NAME:
            return f"the name of the database is longer than {_LONGEST_NAME} letters"
        try:
            with connected(address, login=_maintenance(address)) as control:
                row = control.execute(_IN_THE_WAY, {"name": address.database}).fetchone()
                against = None if row is None else str(row[0])
                against = against or twin.against(control, address.database)
                against = against or self._against_room(address, control)
                return against or self._not_broken(address, control)
        except psycopg.OperationalError as error:
            return f"the server does not answer ({one_line(error)}); {_BY_HAND}"
        except psycopg.Error as error:
            return f"it does not let us look: {one_line(error)}"

    def _not_broken(self, address: PostgresAddress, control: Connection) -> str | None:
        """Why this database needs no restore; None when it is broken, or a human insists."""
        row = control.execute(_FAILURES, [address.database]).fetchone()
        if self.params.force or (row is not None and (row[0] or 0) > 0):
            return None
        try:
            with connected(address) as connection:
                connection.execute("SELECT 1")
        except psycopg.Error as error:
            if _BROKEN.search(str(error)):
                return None
            return (
                "it cannot be told whether the database is broken "
                f"({one_line(error)}); `force: true` in the step insists"
            )
        return (
            "the database answers and no page of it had a wrong checksum: what was written "
            "after the backup would be lost for nothing; `force: true` in the step insists"
        )

    def _against_room(self, address: PostgresAddress, control: Connection) -> str | None:
        known = disk(self.clients.exporter_url, address.mountpoint)
        row = control.execute(_SIZE, [address.database]).fetchone()
        needed = int(_ROOM * (row[0] if row else 0))
        if known is None or known.free_bytes >= needed:
            return None
        return f"{known.free_bytes} bytes are free and {needed} may be needed; free space first"

    def _restored(
        self, target: Target, control: Connection, name: str, status: Status, deadline: Deadline
    ) -> Restored:
        """The new database is whole and is what was proven, or this raises."""
        address, file = address_of(target), _file(target, status)
        job = Job(
            server=address,
            control=control,
            login=Login(name),
            file=file,
            member=backup_of(target).member,
            limits=Limits(self.params.max_bytes, deadline),
            max_database=self.params.max_database,
            strict=True,
        )
        try:
            restored = restore(job)
        except BadDump as error:
            raise Permanent(f"{target.key}: {status.file} {error}; nothing was changed") from error
        with connected(address, deadline.at_most(3600.0), job.login) as connection:
            connection.execute("ANALYZE")  # without statistics it would crawl under its users
            row = connection.execute(_COUNT).fetchone()
        tables = 0 if row is None else row[0]
        found = (restored.sha256, tables, restored.replayed.rows)
        if found != (status.sha256, status.tables, status.rows):
            raise Permanent(
                f"{target.key}: {status.file} is not what was proven at {status.verified_at}; "
                "nothing was changed; verify the backup again"
            )
        return restored


def _swap(control: Connection, address: PostgresAddress, name: str, kept: str) -> int:
    """Both renames or none; how many sessions had to end for it.

    The rename locks newcomers out first and then waits for who is in, so those are ended
    while it waits. A crash in between leaves the names as they were.
    """
    ended = 0
    with (
        ThreadPoolExecutor(max_workers=1) as pool,
        connected(address, 60.0, _maintenance(address)) as killer,
    ):
        for number in range(_RENAMES):
            renaming = pool.submit(_rename, control, address.database, name, kept)
            while not wait([renaming], timeout=_KILL_EVERY_SECONDS).done:
                ended += end_sessions(killer, address.database)
            try:
                renaming.result()
            except psycopg.errors.ObjectInUse:
                if number == _RENAMES - 1:
                    raise
            else:
                break
    return ended


def _rename(control: Connection, database: str, name: str, kept: str) -> None:
    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    with control.transaction():
        control.execute(rename.format(sql.Identifier(database), sql.Identifier(kept)))
        control.execute(rename.format(sql.Identifier(name), sql.Identifier(database)))


def _ask(target: Target, address: PostgresAddress, kept: str) -> None:
    try:
        with connected(address) as connection:
            connection.execute("SELECT 1")
    except psycopg.Error as error:
        raise Permanent(
            f"{target.key}: restored, and it does not answer: {one_line(error)}; "
            f"what it was is kept as {kept}",
            {"kept_as": kept},
        ) from error


def _file(target: Target, status: Status) -> BackupFile:
    folder = Path(backup_of(target).folder)
    if Path(status.file).name != status.file:
        raise Permanent(f"{target.key}: the status names no plain file: {status.file[:100]!r}")
    try:
        state = (folder / status.file).stat()
    except OSError as error:
        raise Permanent(
            f"{target.key}: the proven backup {status.file} is not there: {error}; "
            "verify the newest one, then restore"
        ) from error
    return BackupFile(folder / status.file, state.st_size, state.st_mtime)


def _maintenance(address: PostgresAddress) -> Login:
    """The database to stand in while another one gets a new name."""
    return Login("template1" if address.database == "postgres" else "postgres")


def _kept_at(name: str, database: str) -> datetime | None:
    prefix = f"{database}_before_"
    if not name.startswith(prefix):
        return None
    try:
        return datetime.strptime(name.removeprefix(prefix), _DATE).replace(tzinfo=UTC)
    except ValueError:
        return None

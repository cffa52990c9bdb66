"""Proves a backup by restoring it into a scratch database and counting what came.

Rule: the status file is written only after the whole file was read, restored and counted;
it names the file by its sha256, for a restore that wants a proven one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from psycopg import sql
from pydantic import Field

from remediator.actions.clients import Clients, Deadline, Params
from remediator.actions.database.archive import BackupFile, Limits, newest
from remediator.actions.database.disk import disk
from remediator.actions.database.restore import Job, Restored, restore
from remediator.actions.database.scratch import grant_schema, rights, scratch
from remediator.actions.database.session import (
    Connection,
    Login,
    address_of,
    connected,
    translated,
)
from remediator.actions.database.sqldump import BadDump, TooMuch
from remediator.actions.database.status import (
    Status,
    backup_of,
    read_status,
    writable,
    write_status,
)
from remediator.ports import Done, Effect, Permanent, Ready, Refused, RemediationError
from remediator.topology import PostgresAddress, Target

_CLEAN_UP_SECONDS = 15.0
_GIGABYTE = 1024**3
_ROOM = 1.5  # of the size of the database under care

_TABLES = """
SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
"""


class VerifyBackupParams(Params):
    """What the backup must hold at least, with `min_rows` by `schema.table`.

    `min_file`, `max_bytes` and `max_database` are bytes: of the file, of what it unpacks to,
    of what it becomes in the server.
    """

    min_file: Annotated[int, Field(ge=1)] = 1
    min_tables: Annotated[int, Field(ge=1)] = 1
    min_rows: Mapping[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    max_bytes: Annotated[int, Field(ge=1024)] = 256 * _GIGABYTE
    max_database: Annotated[int, Field(ge=1024)] = 64 * _GIGABYTE


@dataclass(frozen=True, slots=True)
class VerifyBackup:
    """Restore the newest backup for a trial, and say what it holds."""

    params: VerifyBackupParams
    clients: Clients

    def precheck(self, target: Target) -> Ready | Refused:
        backup, server = backup_of(target), _server(target)
        if newest(backup, self.clients.clock()) is None:
            return Refused(f"{target.key}: no file {backup.pattern} in {backup.folder} to try")
        if not writable(backup):
            return Refused(
                f"{target.key}: the folder of {backup.status_file} is not mounted for writing"
            )
        with translated("look at the scratch server", server), connected(server) as control:
            against = rights(control).against or self._against_room(target, control)
        return Ready() if against is None else Refused(f"{target.key}: {against}")

    def run(self, target: Target, *, timeout_seconds: float) -> Done:
        """1. restore into a scratch database  2. count  3. drop it  4. write the status."""
        began = self.clients.clock()
        deadline = Deadline.after(self.clients.clock, timeout_seconds - _CLEAN_UP_SECONDS)
        if deadline.is_over():
            raise Permanent(
                f"{target.key}: a trial needs a step timeout of more than "
                f"{_CLEAN_UP_SECONDS:.0f} s, to be able to clean up"
            )
        backup = backup_of(target)
        file = newest(backup, began)
        if file is None:
            raise Permanent(f"{target.key}: no file {backup.pattern} in {backup.folder} to try")
        evidence: dict[str, object] = {"file": file.path.name, "file_bytes": file.size}
        try:
            restored, tables = self._tried(target, file, Limits(self.params.max_bytes, deadline))
            evidence |= _evidence(restored, tables)
            self._compare(file, tables)
        except TooMuch as error:
            raise Permanent(
                f"{target.key}: {file.path.name} {error}; give the step more time or room",
                evidence,
            ) from error
        except BadDump as error:
            raise Permanent(
                f"{target.key}: {file.path.name} {error}; it is no backup: "
                "make a new one now, and see why this one is bad",
                evidence,
            ) from error
        ended = self.clients.clock()
        evidence["seconds"] = round((ended - began).total_seconds(), 1)
        status = Status(file.path.name, restored.sha256, ended, len(tables), restored.replayed.rows)
        write_status(backup, status, evidence)
        return Done(
            f"restored {file.path.name} for a trial: {status.tables} tables, {status.rows} rows",
            evidence,
        )

    def probe(self, target: Target, *, intended_at: datetime) -> Effect:
        """The status file is the last thing that is written."""
        try:
            status = read_status(backup_of(target))
        except RemediationError:
            return Effect.UNKNOWN
        is_new = status is not None and status.verified_at > intended_at
        return Effect.DONE if is_new else Effect.NOT_DONE

    def _tried(
        self, target: Target, file: BackupFile, limits: Limits
    ) -> tuple[Restored, dict[str, int | None]]:
        """What came, and each table with its rows, None where nobody wants to know."""
        server = _server(target)
        seconds = limits.deadline.left_seconds() + _CLEAN_UP_SECONDS
        with (
            translated(f"try {file.path.name}", server),
            connected(server, seconds) as control,
            scratch(control, limits.deadline) as login,
        ):
            with connected(server, login=Login(login.database)) as owner:
                grant_schema(owner, login)
            restored = restore(
                Job(
                    server=server,
                    control=control,
                    login=login,
                    file=file,
                    member=backup_of(target).member,
                    limits=limits,
                    max_database=self.params.max_database,
                    strict=False,
                )
            )
            left = limits.deadline.at_most(seconds)
            with connected(server, left, login) as connection:
                return restored, self._counted(connection)

    def _counted(self, connection: Connection) -> dict[str, int | None]:
        tables: dict[str, int | None] = {}
        for (name,) in connection.execute(_TABLES).fetchall():
            tables[name] = None
            if name in self.params.min_rows:
                table = sql.Identifier(*name.split(".", 1))
                row = connection.execute(
                    sql.SQL("SELECT count(*) FROM {}").format(table)
                ).fetchone()
                tables[name] = None if row is None else row[0]
        return tables

    def _compare(self, file: BackupFile, tables: Mapping[str, int | None]) -> None:
        """Errors: BadDump, with everything that is too little."""
        little = []
        if file.size < self.params.min_file:
            little.append(f"is {file.size} bytes, at least {self.params.min_file} are expected")
        if len(tables) < self.params.min_tables:
            little.append(f"holds {len(tables)} tables, {self.params.min_tables} are expected")
        for name, wanted in self.params.min_rows.items():
            rows = tables.get(name)
            if name not in tables:
                little.append(f"holds no table {name}")
            elif rows is None or rows < wanted:
                little.append(f"holds {rows} rows in {name}, {wanted} are expected")
        if little:
            raise BadDump(", ".join(little))

    def _against_room(self, target: Target, control: Connection) -> str | None:
        """Beside the database under care a trial needs as much room as that, and more."""
        address = address_of(target)
        known = disk(self.clients.exporter_url, address.mountpoint)
        if _server(target) != address or known is None:
            return None
        row = control.execute("SELECT pg_database_size(%s)", [address.database]).fetchone()
        needed = int(_ROOM * (row[0] if row else 0))
        if known.free_bytes >= needed:
            return None
        return (
            f"a trial may need {needed} bytes and {known.free_bytes} are free on the disk of "
            "its data; free space, or name a scratch server"
        )


def _server(target: Target) -> PostgresAddress:
    return backup_of(target).scratch or address_of(target)


def _evidence(restored: Restored, tables: Mapping[str, int | None]) -> dict[str, object]:
    replayed = restored.replayed
    return {
        "sha256": restored.sha256,
        "tables": len(tables),
        "rows": replayed.rows,
        "rows_of": {name: rows for name, rows in tables.items() if rows is not None},
        "statements": replayed.statements,
        "passed_over": replayed.skipped_count,
        "passed_over_first": replayed.skipped,
    }

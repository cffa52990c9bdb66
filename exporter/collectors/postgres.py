"""One Postgres server through one kept connection.

Rule: the exporter is never the outage. One connection a database, never more; every
statement has the scrape's remaining time as statement_timeout and gives up on a lock after
100 ms; a part that cannot be read is absent and reported, the other parts are not.
"""

import os
import re
import socket
from contextlib import suppress
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import errors

from exporter.collectors.port import Clock
from exporter.collectors.statements import Key, TopStatements
from exporter.readings import Cause, Postgres, StatementCounts, Unreachable
from exporter.targets import Database

if TYPE_CHECKING:
    from collections.abc import Callable

_OPTIONS = (
    "-c lock_timeout=100ms -c idle_in_transaction_session_timeout=10s "
    "-c default_transaction_read_only=on -c jit=off"
)
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")

BEGIN_SQL = "select set_config('statement_timeout', %s, false), current_setting('server_version')"
SETTINGS_SQL = """
select name, setting::float8 from pg_settings
where name in ('max_connections', 'superuser_reserved_connections', 'max_wal_senders')
"""
# Client sessions only, and not our own.
SESSIONS_SQL = """
select datname, state, count(*) from pg_stat_activity
where datname is not null and state is not null and pid <> pg_backend_pid()
group by 1, 2
"""
DATABASE_COLUMNS = (
    "numbackends",
    "xact_commit",
    "xact_rollback",
    "blks_read",
    "blks_hit",
    "tup_returned",
    "tup_fetched",
    "tup_inserted",
    "tup_updated",
    "tup_deleted",
    "conflicts",
    "temp_files",
    "temp_bytes",
    "deadlocks",
    "blk_read_time",
    "blk_write_time",
)
DATABASES_SQL = f"""
select s.datid::text, s.datname, {", ".join(f"s.{column}::float8" for column in DATABASE_COLUMNS)}
from pg_stat_database s join pg_database d on d.oid = s.datid where not d.datistemplate
"""  # noqa: S608  the columns are the constant above
SIZES_SQL = """
select datname, pg_database_size(oid)::float8 from pg_database
where not datistemplate and datallowconn and has_database_privilege(oid, 'CONNECT')
"""
EXTENSION_SQL = """
select e.extversion, n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace
where e.extname = 'pg_stat_statements'
"""
# (false): without query texts, which the server would read from a file of any size.
STATEMENTS_SQL = """
select coalesce(r.rolname, ''), coalesce(d.datname, ''), coalesce(s.queryid::text, 'hidden'),
  sum(s.calls)::float8, sum(s.{time})::float8 / 1000, sum(s.rows)::float8
from {schema}.pg_stat_statements(false) s
left join pg_roles r on r.oid = s.userid left join pg_database d on d.oid = s.dbid
group by 1, 2, 3
"""

Row = tuple[Any, ...]


class PostgresCollector:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._where = f"{database.host}:{database.port}/{database.database}"
        self._connection: psycopg.Connection[Row] | None = None
        self._top = TopStatements(database.top_statements)
        self._statements_sql: str | None = None

    def collect(self, deadline: float) -> Postgres | Unreachable:
        try:
            version = self._begin(deadline)
            return self._parts(version, deadline)
        except psycopg.Error as error:
            self.close()
            return unreachable(self._where, error)
        except (OSError, UnicodeDecodeError) as error:
            return Unreachable(Cause.AUTH, f"{self._where}: password file: {error}")

    def cancel(self) -> None:
        # The server ends the statement by its timeout; this ends the wait for a server that
        # no longer answers at all.
        connection = self._connection
        if connection is not None:
            with (
                suppress(OSError, psycopg.Error),
                socket.socket(fileno=os.dup(connection.fileno())) as sock,
            ):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _begin(self, deadline: float) -> str:
        """Connect if need be, limit this scrape's statements, and prove the server answers."""
        kept = self._connection is not None
        try:
            return self._hello(deadline)
        except psycopg.OperationalError:
            # A kept connection may have died with a restart: once more on a fresh one.
            if not kept or self._clock() >= deadline:
                raise
            self.close()
            return self._hello(deadline)

    def _hello(self, deadline: float) -> str:
        if self._connection is None:
            self._connection = self._connect(deadline)
        milliseconds = max(1, int((deadline - self._clock()) * 1000))
        row = self._connection.execute(BEGIN_SQL, (f"{milliseconds}ms",)).fetchone()
        return str(row[1]) if row else ""

    def _connect(self, deadline: float) -> psycopg.Connection[Row]:
        target = self._database
        password = None
        if target.password_file:
            password = Path(target.password_file).read_text(encoding="utf-8").strip()
        return psycopg.connect(
            host=target.host,
            port=target.port,
            dbname=target.database,
            user=target.user,
            password=password,
            autocommit=True,
            application_name="stackmedic-exporter",
            connect_timeout=max(1, ceil(deadline - self._clock())),
            tcp_user_timeout=5000,
            keepalives_idle=10,
            options=_OPTIONS,
        )

    def _parts(self, version: str, deadline: float) -> Postgres:
        parts: dict[str, Any] = {}
        problems: list[str] = []
        readers: tuple[tuple[str, Callable[[], Any]], ...] = (
            ("settings", self._settings),
            ("sessions", self._sessions),
            ("databases", self._databases),
            ("sizes", self._sizes),
            ("statements", self._statements),
        )
        for name, read in readers:
            if self._clock() >= deadline:
                problems.append(f"{name}: no time left")
                continue
            try:
                parts[name] = read()
            except psycopg.Error as error:
                if self._connection is None or self._connection.closed:
                    raise
                problems.append(f"{name}: {_first_line(error)}")
        tracked, parts["statements"] = parts.get("statements") or (None, {})
        return Postgres(
            version=version, statements_tracked=tracked, problems=tuple(problems), **parts
        )

    def _rows(self, sql: str) -> list[Row]:
        if self._connection is None:
            raise psycopg.OperationalError("not connected")
        return self._connection.execute(sql).fetchall()

    def _settings(self) -> dict[str, float]:
        return {row[0]: row[1] for row in self._rows(SETTINGS_SQL)}

    def _sessions(self) -> dict[tuple[str, str], int]:
        return {(row[0], row[1]): row[2] for row in self._rows(SESSIONS_SQL)}

    def _databases(self) -> dict[tuple[str, str], dict[str, float]]:
        return {
            (row[0], row[1]): {
                column: value
                for column, value in zip(DATABASE_COLUMNS, row[2:], strict=True)
                if value is not None
            }
            for row in self._rows(DATABASES_SQL)
        }

    def _sizes(self) -> dict[str, float]:
        return {row[0]: row[1] for row in self._rows(SIZES_SQL)}

    def _statements(self) -> tuple[int, dict[Key, StatementCounts]] | None:
        """None when the extension is not in this database."""
        if self._statements_sql is None:
            found = self._rows(EXTENSION_SQL)
            if not found:
                return None
            self._statements_sql = statements_sql(*found[0])
        try:
            rows = self._rows(self._statements_sql)
        except psycopg.Error:
            self._statements_sql = None  # upgraded, moved or dropped: look again next time
            raise
        counts = {(row[0], row[1], row[2]): StatementCounts(row[3], row[4], row[5]) for row in rows}
        return len(counts), self._top.update(counts, self._clock())


def statements_sql(extension_version: str, schema: str) -> str:
    """The query for this version of the extension, which may be older than the server. Pure."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", extension_version)[:2])
    time = "total_exec_time" if numbers >= (1, 8) else "total_time"
    quoted = schema if _IDENTIFIER.fullmatch(schema) else '"' + schema.replace('"', '""') + '"'
    return STATEMENTS_SQL.format(time=time, schema=quoted)


def unreachable(where: str, error: psycopg.Error) -> Unreachable:
    text = f"{where}: {_first_line(error)}"
    if isinstance(error, errors.QueryCanceled | errors.ConnectionTimeout):
        return Unreachable(Cause.TIMEOUT, text)
    if (error.sqlstate or "").startswith("28") or "authentication failed" in text:
        return Unreachable(Cause.AUTH, text)
    if error.sqlstate or "FATAL:" in text:
        return Unreachable(Cause.REFUSED, text)
    if "resolve" in text:
        return Unreachable(Cause.DNS, text)
    return Unreachable(Cause.CONNECT, text)


def _first_line(error: psycopg.Error) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]

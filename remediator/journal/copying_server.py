"""A server's side of a copy: what PostgreSQL calls the same things.

Rule: as in `copying.py`. One transaction that may take long, so none of a session's limits on
time is on it; it holds the lock of all writers.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

import psycopg
from psycopg.rows import DictRow, tuple_row
from psycopg.sql import SQL, Identifier
from typing_extensions import override

from remediator.journal.copying import CopyRefused, Place, Side
from remediator.journal.database import JournalUnavailable
from remediator.journal.postgres import WRITERS, make_schema
from remediator.journal.session import NAMES, SCHEMA, Address, connect, with_advice

UNHURRIED = """
SET statement_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
"""
AT_WORK = """
SELECT count(*) AS total FROM pg_locks
WHERE locktype = 'advisory' AND granted AND classid = %s
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@dataclass(frozen=True, slots=True)
class Server(Place):
    address: Address

    @override
    @contextmanager
    def source(self) -> Iterator[Side]:
        with self._transaction() as connection:
            found = connection.execute("SELECT to_regclass('schema_version') AS name").fetchone()
            if found is None or found["name"] is None:
                raise CopyRefused(f"{self.address.url} holds no journal")
            make_schema(connection)  # of an older version
            yield _ServerSide(connection)

    @override
    @contextmanager
    def target(self) -> Iterator[Side]:
        with self._transaction() as connection:
            make_schema(connection)
            yield _ServerSide(connection)

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Connection[DictRow]]:
        """Errors: CopyRefused, JournalUnavailable."""
        try:
            with closing(connect(self.address)) as connection, connection.transaction():
                connection.execute(UNHURRIED)
                connection.execute(f"SELECT pg_advisory_xact_lock({WRITERS})")
                found = connection.execute(AT_WORK, (NAMES,)).fetchone()
                if found is None or found["total"]:
                    raise CopyRefused(f"a remediator works on {self.address.url}; stop all first")
                yield connection
        except psycopg.Error as error:
            raise JournalUnavailable(
                f"the journal cannot be copied: {with_advice(error)}"
            ) from error


@dataclass(frozen=True, slots=True)
class _ServerSide(Side):
    connection: psycopg.Connection[DictRow]

    @override
    def count(self, table: str) -> int:
        asked = SQL("SELECT count(*) AS total FROM {}").format(Identifier(table))
        (row,) = self.connection.execute(asked).fetchall()
        return int(row["total"])

    @override
    def read(self, table: str) -> tuple[Sequence[str], Iterator[Sequence[object]]]:
        cursor = self.connection.cursor("copying", row_factory=tuple_row)
        cursor.execute(SQL("SELECT * FROM {}").format(Identifier(table)))
        columns = [column.name for column in cursor.description or ()]
        return columns, _rows(cursor)

    @override
    def fill(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        names = SQL(", ").join(map(Identifier, columns))
        into = SQL("COPY {} ({}) FROM STDIN").format(Identifier(table), names)
        with self.connection.cursor() as cursor, cursor.copy(into) as copy:
            for row in rows:
                copy.write_row(row)
        if "id" in columns:
            self._go_on_counting(table)

    @override
    def do(self, statement: str) -> None:
        self.connection.execute(statement.encode())

    def _go_on_counting(self, table: str) -> None:
        """The next row is the next in number, as in a file."""
        after = SQL(
            "SELECT setval(pg_get_serial_sequence({}, 'id'), max(id)) FROM {} HAVING max(id) > 0"
        )
        self.connection.execute(after.format(f"{SCHEMA}.{table}", Identifier(table)))


def _rows(cursor: psycopg.ServerCursor[tuple[object, ...]]) -> Iterator[Sequence[object]]:
    with cursor:
        yield from cursor

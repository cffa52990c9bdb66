"""Takes a journal from a file to a server or back, whole or not at all.

Rule: nobody works on either side meanwhile, the target was empty, and what cannot be read back
in the same numbers is not committed. It knows tables by their names only, so that none is left
out. Whoever worked on the source is gone on the target; what they had paused stays paused.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection

from typing_extensions import override

from remediator.journal.database import JournalUnavailable, sql
from remediator.journal.sqlite import SqliteDatabase

TABLES = tuple(re.findall(r"^CREATE TABLE (\w+)", sql("schema.sql"), re.MULTILINE))
"""In an order in which each refers only to those before it."""
OF_EVERY_JOURNAL = "journal"
"""Holds its one row from the beginning: which journal it is. The copy is the same one."""
SETTLED = (
    "UPDATE remediators SET ended_at = beaten_at WHERE ended_at IS NULL",
    # Its file or environment is not here to be taken away; `resume` ends it.
    "UPDATE pauses SET remediator = 'before the copy' WHERE source != 'api' AND remediator = ''",
)


class CopyRefused(Exception):
    """The sentence says why, and what to do. Nothing was written."""


class Side(ABC):
    """A journal within one transaction. Errors: JournalUnavailable where it is used."""

    @abstractmethod
    def count(self, table: str) -> int: ...

    @abstractmethod
    def read(self, table: str) -> tuple[Sequence[str], Iterator[Sequence[object]]]:
        """Its columns, and its rows one after another."""

    @abstractmethod
    def fill(
        self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]
    ) -> None: ...

    @abstractmethod
    def do(self, statement: str) -> None: ...

    def settle(self) -> None:
        """After the last row."""
        for statement in SETTLED:
            self.do(statement)


@dataclass(frozen=True, slots=True)
class Place(ABC):
    """Where a journal is, or will be."""

    @abstractmethod
    def source(self) -> AbstractContextManager[Side]:
        """Errors: CopyRefused, JournalLocked, JournalUnavailable."""

    @abstractmethod
    def target(self) -> AbstractContextManager[Side]:
        """Made if need be; committed at the end, forgotten with an error. Errors: as `source`."""


class _TriedOnly(Exception):
    """Undoes what was written."""


def copy(source: Place, target: Place, *, dry_run: bool) -> Mapping[str, int]:
    """The rows of each table. A dry run does all of it and commits nothing.

    Errors: CopyRefused, JournalLocked, JournalUnavailable.
    """
    counts: dict[str, int] = {}
    with suppress(_TriedOnly), source.source() as old, target.target() as new:
        _refuse_unless_empty(new)
        new.do(f"DELETE FROM {OF_EVERY_JOURNAL}")  # noqa: S608 - a constant
        for table in TABLES:
            columns, rows = old.read(table)
            new.fill(table, columns, rows)
            counts[table] = old.count(table)
            found = new.count(table)
            if found != counts[table]:
                raise JournalUnavailable(f"{table}: {counts[table]} rows became {found}")
        new.settle()
        if dry_run:
            raise _TriedOnly
    return counts


def _refuse_unless_empty(side: Side) -> None:
    held = {table: side.count(table) for table in TABLES if table != OF_EVERY_JOURNAL}
    told = ", ".join(f"{table}: {count} rows" for table, count in held.items() if count)
    if told:
        raise CopyRefused(f"the target holds a journal already ({told}); take an empty one")


# -- a file -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class File(Place):
    path: Path

    @override
    @contextmanager
    def source(self) -> Iterator[Side]:
        if not self.path.is_file():
            raise CopyRefused(f"{self.path} is not a file")
        with closing(SqliteDatabase(self.path)) as database, database.transaction():
            yield _FileSide(database.connection)

    @override
    @contextmanager
    def target(self) -> Iterator[Side]:
        """Beside its place, and moved there when it is whole."""
        if self.path.exists():
            raise CopyRefused(f"{self.path} is there already; move it away")
        made = self.path.with_name(f"{self.path.name}.copy")
        try:
            with closing(SqliteDatabase(made)) as database, database.transaction():
                yield _FileSide(database.connection)
            made.rename(self.path)
        finally:
            for name in (made.name, f"{made.name}-wal", f"{made.name}-shm", f"{made.name}.lock"):
                made.with_name(name).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _FileSide(Side):
    """Each name is one of schema.sql's, in quotes because one is a reserved word."""

    connection: Connection

    @override
    def count(self, table: str) -> int:
        found = self.connection.execute(f'SELECT count(*) FROM "{table}"')  # noqa: S608
        return int(found.fetchone()[0])

    @override
    def read(self, table: str) -> tuple[Sequence[str], Iterator[Sequence[object]]]:
        rows = self.connection.execute(f'SELECT * FROM "{table}"')  # noqa: S608
        return [column[0] for column in rows.description], map(tuple, rows)

    @override
    def fill(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        names = ", ".join(f'"{column}"' for column in columns)
        marks = ", ".join("?" * len(columns))
        self.connection.executemany(
            f'INSERT INTO "{table}" ({names}) VALUES ({marks})',  # noqa: S608
            rows,
        )

    @override
    def do(self, statement: str) -> None:
        self.connection.execute(statement)

"""The journal in a SQLite file: opened once, locked against a second process, durable.

Rule: as in `database.py`; one connection, one thread at a time, and no transaction waits for
a network.
"""

import fcntl
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

from typing_extensions import override

from remediator.journal.database import (
    SCHEMA_VERSION,
    Database,
    JournalLocked,
    JournalUnavailable,
    named_statements,
    sql,
)

BUSY_SECONDS = 2.0
CACHE_KIB = 8_000  # the indexes of 50,000 signals
AT_MOST_PAGES = 8_000
"""Of the log beside the file, 32 MB: `checkpoint` empties it before it stops a webhook."""


# What to do, by the beginning of SQLite's name of the error.
ADVICE = {
    "SQLITE_FULL": "make room on its disk; it goes on by itself then",
    "SQLITE_READONLY": "make it writable for this user; it goes on by itself then",
    "SQLITE_BUSY": "another program holds it locked, a backup perhaps; end that",
    "SQLITE_CORRUPT": "stop the remediator, move the file away and keep it, start with a new one",
    "SQLITE_NOTADB": "stop the remediator, move the file away and keep it, start with a new one",
    "SQLITE_IOERR": "look at its disk",
    "SQLITE_CANTOPEN": "see that its folder exists and is writable for this user",
}


class SqliteDatabase(Database):
    def __init__(self, path: Path) -> None:
        """Errors: JournalLocked, JournalUnavailable."""
        self._path = path
        self._lock = threading.RLock()
        self._statements = named_statements()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock_file = _lock(path.with_name(path.name + ".lock"))
        except OSError as error:
            raise JournalUnavailable(f"the state file {path} cannot be locked: {error}") from error
        try:
            self._connection = _connect(path)
        except (OSError, sqlite3.Error) as error:
            self._lock_file.close()
            raise JournalUnavailable(
                f"the state file {path} cannot be opened: {_with_advice(error)}"
            ) from error

    @property
    def connection(self) -> sqlite3.Connection:
        """Inside a transaction."""
        return self._connection

    @override
    def close(self) -> None:
        with self._lock:
            self._connection.close()
            self._lock_file.close()

    @override
    @contextmanager
    def transaction(self) -> Iterator[Database]:
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self
                    self._connection.execute("COMMIT")
                finally:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                said = _with_advice(error)
                raise JournalUnavailable(f"the journal cannot be written: {said}") from error

    @override
    def all(self, name: str, /, **values: object) -> list[sqlite3.Row]:
        with self._lock:
            try:
                return self._connection.execute(self._statements[name], values).fetchall()
            except sqlite3.Error as error:
                said = _with_advice(error)
                raise JournalUnavailable(f"the journal cannot be read: {said}") from error

    @override
    def do(self, name: str, /, **values: object) -> int | None:
        cursor = self._connection.execute(self._statements[name], values)
        if cursor.description is None:
            return cursor.rowcount or None
        rows = cursor.fetchall()
        return int(rows[0][0]) if rows else None

    @override
    def many(
        self, name: str, rows: Sequence[Mapping[str, Any]] | Sequence[Sequence[object]]
    ) -> None:
        self._connection.executemany(self._statements[name], rows)

    @override
    def checkpoint(self) -> None:
        """Move what is committed from the log into the file."""
        try:
            with closing(sqlite3.connect(self._path, timeout=BUSY_SECONDS)) as beside:
                beside.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            raise JournalUnavailable(f"the journal cannot be tidied: {error}") from error


def _with_advice(error: Exception) -> str:
    name = getattr(error, "sqlite_errorname", "")
    advice = next((words for start, words in ADVICE.items() if name.startswith(start)), None)
    return f"{error}; {advice}" if advice else str(error)


def _lock(path: Path) -> IO[str]:
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise JournalLocked(
            f"another remediator works on this state file: {path} is locked; stop it first"
        ) from None
    return file


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {AT_MOST_PAGES}")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute("PRAGMA foreign_keys = ON")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            connection.executescript("BEGIN IMMEDIATE;" + sql("schema.sql") + "COMMIT;")
        elif not 0 < version <= SCHEMA_VERSION:
            raise sqlite3.DatabaseError(f"its schema is version {version}, not {SCHEMA_VERSION}")
        for step in range(version + 1, SCHEMA_VERSION + 1) if version else ():
            migration = sql(f"migration_{step}.sql")
            connection.executescript(f"BEGIN IMMEDIATE;{migration}COMMIT;")
        damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if damage != "ok":
            raise sqlite3.DatabaseError(damage)
    except sqlite3.Error:
        connection.close()
        raise
    return connection

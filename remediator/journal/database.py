"""The SQLite file: opened once, locked against a second process, durable at each commit.

Rule: SQL stands in schema.sql and statements.sql only; every sqlite3 error leaves here as
JournalUnavailable.
"""

import fcntl
import re
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

SCHEMA_VERSION = 7
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


class JournalUnavailable(Exception):
    """Nothing can be stored now. Nothing may be acknowledged or acted on until it can."""


class JournalLocked(Exception):
    """Another process works on the same state file."""


class Database:
    """One connection, one thread at a time: transactions are short and never wait for a network."""

    def __init__(self, path: Path) -> None:
        """Errors: JournalLocked, JournalUnavailable."""
        self._path = path
        self._lock = threading.RLock()
        self._statements = _named(_text("statements.sql"))
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

    def close(self) -> None:
        with self._lock:
            self._connection.close()
            self._lock_file.close()

    @contextmanager
    def transaction(self) -> Iterator["Database"]:
        """All or nothing, on disk when it ends. Errors: JournalUnavailable."""
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

    def all(self, name: str, /, **values: object) -> list[sqlite3.Row]:
        """Errors: JournalUnavailable."""
        with self._lock:
            try:
                return self._connection.execute(self._statements[name], values).fetchall()
            except sqlite3.Error as error:
                said = _with_advice(error)
                raise JournalUnavailable(f"the journal cannot be read: {said}") from error

    def one(self, name: str, /, **values: object) -> sqlite3.Row | None:
        rows = self.all(name, **values)
        return rows[0] if rows else None

    def do(self, name: str, /, **values: object) -> int | None:
        """Inside a transaction. The new row's id, or None when nothing was changed."""
        cursor = self._connection.execute(self._statements[name], values)
        return cursor.lastrowid if cursor.rowcount > 0 else None

    def changed(self, name: str, /, **values: object) -> int:
        """Inside a transaction. How many rows it changed."""
        return self._connection.execute(self._statements[name], values).rowcount

    def many(
        self, name: str, rows: Sequence[Mapping[str, Any]] | Sequence[Sequence[object]]
    ) -> None:
        """Inside a transaction."""
        self._connection.executemany(self._statements[name], rows)

    def prove(self, now: datetime) -> None:
        """Write something, to the disk. Errors: JournalUnavailable."""
        with self.transaction():
            self.do("prove", at=to_text(now))

    def checkpoint(self) -> None:
        """Move what is committed from the log into the file; nobody waits for it meanwhile.

        Errors: JournalUnavailable.
        """
        try:
            with closing(sqlite3.connect(self._path, timeout=BUSY_SECONDS)) as beside:
                beside.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            raise JournalUnavailable(f"the journal cannot be tidied: {error}") from error


def to_text(moment: datetime) -> str:
    """Aware time -> the one form in the file; of one width, so that text sorts like time."""
    return f"{moment.astimezone(UTC).isoformat(timespec='microseconds')[:-6]}Z"


def to_time(text: str) -> datetime:
    return datetime.fromisoformat(text)


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
            connection.executescript("BEGIN IMMEDIATE;" + _text("schema.sql") + "COMMIT;")
        elif not 0 < version <= SCHEMA_VERSION:
            raise sqlite3.DatabaseError(f"its schema is version {version}, not {SCHEMA_VERSION}")
        for step in range(version + 1, SCHEMA_VERSION + 1) if version else ():
            migration = _text(f"migration_{step}.sql")
            connection.executescript(f"BEGIN IMMEDIATE;{migration}COMMIT;")
        damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if damage != "ok":
            raise sqlite3.DatabaseError(damage)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _text(name: str) -> str:
    return files("remediator.journal").joinpath(name).read_text(encoding="utf-8")


def _named(text: str) -> dict[str, str]:
    parts = re.split(r"^-- name: (\w+)$", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], (part.strip() for part in parts[1::2]), strict=True))

"""The port to the database that holds the journal, and what every kind of it shares.

Rule: SQL stands in schema.sql, its migrations and statements.sql only, but for what copies whole
tables; every error of a client leaves here as JournalUnavailable.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Protocol

SCHEMA_VERSION = 8


class JournalUnavailable(Exception):
    """Nothing can be stored now. Nothing may be acknowledged or acted on until it can."""


class JournalLocked(Exception):
    """Another process works on the same state file, or has the same name in a shared journal."""


class Row(Protocol):
    """A row by the names of its columns."""

    def __getitem__(self, column: str, /) -> Any: ...  # noqa: ANN401 - whatever is stored

    def keys(self) -> Iterable[str]: ...


class Database(ABC):
    """Named statements in transactions: short ones, of which one goes at a time.

    `is_shared`: other processes may work on it too.
    """

    is_shared = False

    @abstractmethod
    def transaction(self) -> AbstractContextManager["Database"]:
        """All or nothing, on disk when it ends; no other writes meanwhile.

        Errors: JournalUnavailable.
        """

    def reading(self) -> AbstractContextManager["Database"]:
        """What is read within was so at one moment. Errors: JournalUnavailable."""
        return self.transaction()

    @abstractmethod
    def all(self, name: str, /, **values: object) -> Sequence[Row]:
        """Errors: JournalUnavailable."""

    def one(self, name: str, /, **values: object) -> Row | None:
        rows = self.all(name, **values)
        return rows[0] if rows else None

    @abstractmethod
    def do(self, name: str, /, **values: object) -> int | None:
        """Inside a transaction. None when nothing was changed.

        The new row's id where the statement returns it, else how many rows it changed.
        """

    def changed(self, name: str, /, **values: object) -> int:
        """Inside a transaction. How many rows it changed."""
        return self.do(name, **values) or 0

    @abstractmethod
    def many(
        self, name: str, rows: Sequence[Mapping[str, Any]] | Sequence[Sequence[object]]
    ) -> None:
        """Inside a transaction."""

    def prove(self, now: datetime) -> None:
        """Write something, to the disk. Errors: JournalUnavailable."""
        with self.transaction():
            self.do("prove", at=to_text(now))

    @abstractmethod
    def checkpoint(self) -> None:
        """Tidy up; nobody waits for it meanwhile. Errors: JournalUnavailable."""

    @abstractmethod
    def close(self) -> None: ...


def to_text(moment: datetime) -> str:
    """Aware time -> the one form in the journal; of one width, so that text sorts like time."""
    return f"{moment.astimezone(UTC).isoformat(timespec='microseconds')[:-6]}Z"


def to_time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def sql(name: str) -> str:
    """A file of this package."""
    return files("remediator.journal").joinpath(name).read_text(encoding="utf-8")


def named_statements() -> dict[str, str]:
    parts = re.split(r"^-- name: (\w+)$", sql("statements.sql"), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], (part.strip() for part in parts[1::2]), strict=True))

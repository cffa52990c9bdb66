"""A plugin of pytest: the unit tests of the journal, each with a database of its own on a server.

`pytest -p tests.integration.journals_on_postgres`; STACKMEDIC_TEST_SERVER is the URL of a server
that is there for tests only, without a database.
"""

import inspect
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from remediator.journal.postgres import PostgresDatabase
from remediator.journal.session import SCHEMA, Address
from tests import builders

OF_A_FILE = ("_connection", "sqlite3", "SqliteDatabase", "SCENES", "HOSTILE", "\\0")
"""Whoever names one looks into a file, breaks or writes one, or stores what only a file takes."""


class Server:
    """Databases for loops, by the path that each would have in a file; used again when free."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._made = 0
        self._free: list[str] = []
        self._names: dict[Path, str] = {}
        self._open: list[PostgresDatabase] = []

    def connect(self, path: Path) -> PostgresDatabase:
        if path not in self._names:
            self._names[path] = self._free.pop() if self._free else self._make()
        database = PostgresDatabase(Address(self._place(self._names[path]), "a"))
        self._open.append(database)
        return database

    def forget(self) -> None:
        """What a test has left."""
        while self._open:
            self._open.pop().close()
        for name in self._names.values():
            with psycopg.connect(self._place(name), autocommit=True) as connection:
                connection.execute(SQL("DROP SCHEMA {} CASCADE").format(Identifier(SCHEMA)))
        self._free += self._names.values()
        self._names = {}

    def _make(self) -> str:
        self._made += 1
        name = f"journal_{self._made}"
        with psycopg.connect(self._place("postgres"), autocommit=True) as connection:
            connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        return name

    def _place(self, database: str) -> str:
        return f"{self._url}/{database}"


@pytest.fixture(autouse=True)
def journals(request: pytest.FixtureRequest) -> Iterator[None]:
    server: Server = request.config.stash[SERVER]
    token = builders.JOURNAL.set(server.connect)
    yield
    builders.JOURNAL.reset(token)
    server.forget()


SERVER = pytest.StashKey[Server]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SERVER] = Server(os.environ["STACKMEDIC_TEST_SERVER"])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left = [item for item in items if is_of_a_file(item)]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]


def is_of_a_file(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function):
        return True
    given = getattr(item, "callspec", None)
    values = [item.function, *(given.params.values() if given else ())]
    return any(
        word in text
        for value in values
        if isinstance(value, FunctionType)
        for text in texts_of(value, set())
        for word in OF_A_FILE
    )


def texts_of(function: FunctionType, seen: set[Callable[..., object]]) -> Iterator[str]:
    """Of the function, and of the tests' own that it calls."""
    if function in seen or not function.__module__.startswith("tests.unit"):
        return
    seen.add(function)
    yield inspect.getsource(function)
    for name in names_in(function.__code__):
        other = function.__globals__.get(name)
        if isinstance(other, FunctionType):
            yield from texts_of(other, seen)
        elif isinstance(other, type) and other.__module__.startswith("tests.unit"):
            yield inspect.getsource(other)


def names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from names_in(part)

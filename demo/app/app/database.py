"""The pool of connections to Postgres.

Rule: the application starts without its database and finds it again by itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import Connection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool

from app import settings

POOL_SIZE = 8
WAIT_SECONDS = 1.0


def _arguments() -> dict[str, Any]:
    return {
        "row_factory": dict_row,
        "password": settings.secret("postgres_password") or None,
        "connect_timeout": 2,
        "application_name": f"{settings.ROLE}-{settings.COLOUR}",
        "options": "-c statement_timeout=5000",
    }


class Database:
    """`connection()` lends one that works, or raises psycopg.Error within two seconds."""

    def __init__(self) -> None:
        self.pool: ConnectionPool[Connection[DictRow]] = ConnectionPool(
            settings.DATABASE_URL,
            kwargs=_arguments(),
            min_size=1,
            max_size=POOL_SIZE,
            timeout=WAIT_SECONDS,
            # The pool doubles its pauses up to this long. Short, so that the next request
            # tries again and the database is found within a second of its return.
            reconnect_timeout=1.0,
            check=ConnectionPool.check_connection,
            open=False,
        )

    def open(self) -> None:
        self.pool.open(wait=False)

    def close(self) -> None:
        self.pool.close()

    @contextmanager
    def connection(self) -> Iterator[Connection[DictRow]]:
        with self.pool.connection() as lent:
            yield lent

    def ping(self) -> None:
        with self.connection() as lent:
            lent.execute("SELECT 1")


@contextmanager
def single_connection() -> Iterator[Connection[DictRow]]:
    """One for a task: a pool does not live through the worker's fork."""
    with Connection.connect(settings.DATABASE_URL, **_arguments()) as own:
        yield own

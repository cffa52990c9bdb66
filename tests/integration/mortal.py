"""The remediator, dying by SIGKILL right before or after one of its writes.

`python mortal.py <kind> <before|after> <target> ...`: dies at the commit of the first
transaction that writes an event of that kind about the target; the rest is the remediator's
own command line.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from remediator.journal import Database, SqliteDatabase
from remediator.journal.postgres import PostgresDatabase
from remediator.main import main

KIND, WHEN, TARGET = sys.argv[1:4]
LAST = "SELECT coalesce(max(id), 0) AS id FROM events"
FATAL = """
SELECT events.id FROM events JOIN incidents ON incidents.id = events.incident_id
WHERE events.id > {} AND kind = '{}' AND target = '{}'
"""


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def ids(database: Database, query: str) -> list[int]:
    """In its transaction."""
    if isinstance(database, SqliteDatabase):
        return [row["id"] for row in database._connection.execute(query)]
    assert isinstance(database, PostgresDatabase)
    return [row["id"] for row in database._writer.open.execute(query)]


def mortal(
    transaction: Callable[[Database], AbstractContextManager[Database]],
) -> Callable[[Database], AbstractContextManager[Database]]:
    @contextmanager
    def until_then(self: Database) -> Iterator[Database]:
        fatal = False
        with transaction(self) as database:
            (last,) = ids(database, LAST)
            yield database
            fatal = bool(ids(database, FATAL.format(last, KIND, TARGET)))
            if fatal and WHEN == "before":
                die()
        if fatal:
            die()

    return until_then


if __name__ == "__main__":
    del sys.argv[1:4]
    for kind in (SqliteDatabase, PostgresDatabase):
        kind.transaction = mortal(kind.transaction)  # type: ignore[method-assign, type-var]
    main()

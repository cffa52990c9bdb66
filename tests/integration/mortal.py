"""The remediator, dying by SIGKILL right before or after one of its writes.

`python mortal.py <kind> <before|after> <target> ...`: dies at the commit of the first
transaction that writes an event of that kind about the target; the rest is the remediator's
own command line.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from remediator.journal import Database, SqliteDatabase
from remediator.main import main

KIND, WHEN, TARGET = sys.argv[1:4]
FATAL = """
SELECT 1 FROM events JOIN incidents ON incidents.id = events.incident_id
WHERE events.id > ? AND kind = ? AND target = ?
"""

commits = SqliteDatabase.transaction


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def mortal(self: SqliteDatabase) -> Iterator[Database]:
    fatal = False
    with commits(self) as database:
        connection = self._connection
        last = connection.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()[0]
        yield database
        fatal = connection.execute(FATAL, (last, KIND, TARGET)).fetchone() is not None
        if fatal and WHEN == "before":
            die()
    if fatal:
        die()


if __name__ == "__main__":
    del sys.argv[1:4]
    SqliteDatabase.transaction = mortal  # type: ignore[method-assign]
    main()

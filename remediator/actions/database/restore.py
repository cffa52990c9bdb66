"""Puts a backup file into a database that was just made, and watches over it.

Rule: the file is read to its very end; only then is there an answer.
"""

from dataclasses import dataclass

import psycopg

from remediator.actions.database.archive import BackupFile, Limits, opened
from remediator.actions.database.replay import Replayed, replay
from remediator.actions.database.scratch import Watch
from remediator.actions.database.session import Connection, Login, connected
from remediator.actions.database.sqldump import Dump, TooMuch
from remediator.ports import Permanent
from remediator.topology import PostgresAddress


@dataclass(frozen=True, slots=True)
class Job:
    """What goes where. `control` watches from outside; `strict`: owners and grants, too."""

    server: PostgresAddress
    control: Connection
    login: Login
    file: BackupFile
    member: str
    limits: Limits
    max_database: int
    strict: bool


@dataclass(frozen=True, slots=True)
class Restored:
    replayed: Replayed
    sha256: str


def restore(job: Job) -> Restored:
    """Errors: BadDump; psycopg.Error when the server goes away; Permanent: unreadable file."""
    replayed, deadline = Replayed(), job.limits.deadline
    seconds = max(1.0, deadline.left_seconds())
    watch = Watch(job.control, job.login.database, max_bytes=job.max_database, deadline=deadline)
    try:
        with (
            watch,
            opened(job.file.path, job.member, job.limits) as dump,
            connected(job.server, seconds, job.login) as connection,
        ):
            replay(connection, Dump(dump.stream), replayed, strict=job.strict)
            return Restored(replayed, dump.drain())
    except psycopg.Error as error:
        if watch.why is not None:
            raise TooMuch(f"was not restored: {watch.why}") from error
        raise
    except OSError as error:
        raise Permanent(
            f"cannot read the backup {job.file.path}: {error}; see that our user may read it"
        ) from error

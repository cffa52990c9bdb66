"""A database for a trial: made, watched, dropped, also the one that a crash left behind.

Rule: only a name of our own form is ever dropped. A dump is foreign text, so it is run by a
role that has no rights anywhere else, and on a server that a full disk does not take down.
"""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

import psycopg
from psycopg import sql

from remediator.actions.clients import Deadline
from remediator.actions.database.session import Connection, Login
from remediator.ports import Transient

PREFIX = "stackmedic_verify_"
_FORM = f"^{PREFIX}[0-9a-f]{{16}}$"
_LOCK = 0x5741_7CA7_0DB5  # one trial at a time on a server
_LOOK_EVERY_SECONDS = 1.0
_CONNECTIONS = 3

_SELF = """
SELECT rolsuper, rolcreatedb, rolcreaterole,
  EXISTS (SELECT 1 FROM pg_database d WHERE NOT d.datistemplate AND d.datname !~ %s
          AND d.datname <> 'postgres' AND pg_has_role(r.oid, d.datdba, 'MEMBER')),
  pg_is_in_recovery()
FROM pg_roles r WHERE rolname = current_user
"""


@dataclass(frozen=True, slots=True)
class Rights:
    """What our role may do on the scratch server."""

    creates_databases: bool
    creates_roles: bool
    owns_others: bool
    in_recovery: bool

    @property
    def against(self) -> str | None:
        """Why no trial can be made there, for a human."""
        if self.in_recovery:
            return "it is in recovery, where nothing can be made"
        if not self.creates_databases:
            return "our role may not create databases; give it CREATEDB"
        if not self.creates_roles and self.owns_others:
            return (
                "a dump is foreign text, and our role owns other databases there; give it "
                "CREATEROLE, for a role of the trial's own, or name a scratch server"
            )
        return None


def rights(connection: Connection) -> Rights:
    row = connection.execute(_SELF, [_FORM]).fetchone()
    if row is None:
        return Rights(False, False, False, False)  # noqa: FBT003 - nothing at all
    is_super, databases, roles, owns, recovery = row
    return Rights(is_super or databases, is_super or roles, owns, recovery)


@contextmanager
def scratch(control: Connection, deadline: Deadline) -> Iterator[Login]:
    """Where and as whom a trial is made. One at a time on a server; gone at the end."""
    row = control.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK]).fetchone()
    if row is None or not row[0]:
        raise Transient("another trial restore runs on this server; let it end first")
    drop_leftovers(control)
    name = f"{PREFIX}{secrets.token_hex(8)}"
    try:
        yield _made(control, name, deadline)
    finally:
        if not control.broken:  # else the next trial finds it
            drop_leftovers(control)


def drop_leftovers(control: Connection) -> None:
    """Whatever has our form: the lock says that no trial needs it."""
    for (name,) in control.execute(
        "SELECT datname FROM pg_database WHERE datname ~ %s", [_FORM]
    ).fetchall():
        control.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )
    for (name,) in control.execute(
        "SELECT rolname FROM pg_roles WHERE rolname ~ %s", [_FORM]
    ).fetchall():
        control.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))


def _made(control: Connection, name: str, deadline: Deadline) -> Login:
    identifier = sql.Identifier(name)
    control.execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE template0 CONNECTION LIMIT {}").format(
            identifier, sql.Literal(_CONNECTIONS)
        )
    )
    if not rights(control).creates_roles:
        return Login(name)
    password = secrets.token_urlsafe(32)
    until = deadline.at + timedelta(minutes=1)
    # Only the verifier goes over the line and into the server's log, never the password.
    verifier = control.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256")
    control.execute(
        sql.SQL(
            "CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION "
            "CONNECTION LIMIT {} PASSWORD {} VALID UNTIL {}"
        ).format(
            identifier,
            sql.Literal(_CONNECTIONS),
            sql.Literal(verifier.decode()),
            sql.Literal(until.isoformat()),
        )
    )
    control.execute(sql.SQL("GRANT ALL ON DATABASE {0} TO {0}").format(identifier))
    return Login(name, name, password)


def grant_schema(owner: Connection, login: Login) -> None:
    """In the scratch database: its role may use the schema that is there already."""
    if login.user is not None:
        owner.execute(
            sql.SQL("GRANT ALL ON SCHEMA public TO {}").format(sql.Identifier(login.user))
        )


class Watch:
    """Ends the sessions of a database that grows too large or takes too long.

    The server's own timeouts do not do: the first lines of every dump switch them off.
    """

    def __init__(
        self, control: Connection, database: str, *, max_bytes: int, deadline: Deadline
    ) -> None:
        self._control, self._database = control, database
        self._max_bytes, self._deadline = max_bytes, deadline
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="restore-watch", daemon=True)
        self.why: str | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _loop(self) -> None:
        while not self._ended.wait(_LOOK_EVERY_SECONDS):
            try:
                self.why = self._look()
                if self.why is not None:
                    end_sessions(self._control, self._database)
                    return
            except psycopg.Error as error:
                self.why = f"the server could not be watched any more: {error}"
                return

    def _look(self) -> str | None:
        if self._deadline.is_over():
            return "it was not restored in the time of the step"
        row = self._control.execute("SELECT pg_database_size(%s)", [self._database]).fetchone()
        size = 0 if row is None else row[0]
        if size > self._max_bytes:
            return f"it grew to {size} bytes, at most {self._max_bytes} are allowed"
        return None


def end_sessions(control: Connection, database: str) -> int:
    """Terminate every session in it; how many there were."""
    rows = control.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = %s AND pid <> pg_backend_pid()",
        [database],
    ).fetchall()
    return len(rows)

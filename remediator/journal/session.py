"""A connection to the PostgreSQL that holds a journal: made when needed, given up when silent.

Rule: every error of psycopg leaves a turn as JournalUnavailable, with what to do. Nothing that
the server does, or does not do, holds a thread for long.
"""

import socket
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from select import POLLIN, poll
from typing import LiteralString

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow, dict_row
from psycopg.types.string import StrDumperUnknown
from typing_extensions import override

from remediator.journal.database import JournalLocked, JournalUnavailable

SCHEMA = "stackmedic"
NAMES = 7_261_002
"""What our advisory locks of names are known by: one process by each."""
WAITS_SECONDS = 10.0
"""For a turn at the connection; a webhook is answered 503 then."""
SILENT_SECONDS = 20.0
"""After which a server that says nothing is not waited for: more than its own timeouts."""

# A process that is frozen in a transaction loses it before others stop waiting for its lock.
SETTINGS = f"""
SET synchronous_commit = on;
SET search_path = {SCHEMA};
SET client_encoding = 'UTF8';
SET client_min_messages = warning;
SET idle_in_transaction_session_timeout = '4s';
SET lock_timeout = '8s';
SET statement_timeout = '15s';
SET tcp_keepalives_idle = 5;
SET tcp_keepalives_interval = 2;
SET tcp_keepalives_count = 3;
SET tcp_user_timeout = '10s';
"""
# Unless the URL says something else.
CLIENT = {
    "connect_timeout": "3",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "target_session_attrs": "read-write",
}

# What to do, by the SQLSTATE's beginning.
ADVICE = {
    "08": "see that the server runs, can be reached and takes writes; it goes on by itself then",
    "25006": "make it writable, or name the server that is; it goes on by itself then",
    "28": "look at the user in journal.url and at journal.password_file",
    "3D000": "create the database",
    "42501": "give its user the right to create a schema in the database",
    "53100": "make room on the server's disk; it goes on by itself then",
    "53300": "the server has no connection left; it goes on by itself when it has",
    "55P03": "another program holds it locked; end that",
    "57P": "the server stops or starts; it goes on by itself then",
}


@dataclass(frozen=True, slots=True)
class Address:
    """`name`: this process's in the journal. The password is read again for each connection."""

    url: str
    name: str
    password_file: Path | None = None

    def conninfo(self) -> str:
        """Errors: JournalUnavailable."""
        try:
            known = conninfo_to_dict(self.url)
        except psycopg.ProgrammingError as error:
            raise JournalUnavailable(f"journal.url cannot be read: {error}") from None
        words = {"application_name": f"stackmedic-remediator {self.name}", **CLIENT, **known}
        if self.password_file is not None:
            try:
                words["password"] = self.password_file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise JournalUnavailable(
                    f"the journal's password cannot be read: {error}"
                ) from error
        return make_conninfo(**words)  # type: ignore[arg-type]


class Session:
    """For one thread at a time. `owns_name`: no other process may have a session of that name."""

    def __init__(self, address: Address, *, owns_name: bool) -> None:
        self._address = address
        self._owns_name = owns_name
        self._lock = threading.RLock()
        self._connection: psycopg.Connection[DictRow] | None = None
        self._asked_at: float | None = None  # while a thread has its turn
        self.was_open = False
        _Impatience(self).start()

    @property
    def open(self) -> psycopg.Connection[DictRow]:
        """Inside a turn."""
        if self._connection is None:
            raise AssertionError("outside of a transaction")
        return self._connection

    @contextmanager
    def turn(self, begin: LiteralString | None = None) -> Iterator[psycopg.Connection[DictRow]]:
        """Errors: JournalUnavailable."""
        if not self._lock.acquire(timeout=WAITS_SECONDS):
            raise JournalUnavailable(f"the journal has not answered for {WAITS_SECONDS:.0f} s")
        self._asked_at = time.monotonic()
        try:
            yield self._ready(begin)
        except JournalLocked as error:
            if not self.was_open:
                raise
            raise JournalUnavailable(str(error)) from error
        except psycopg.Error as error:
            said = with_advice(error)
            raise JournalUnavailable(f"the journal cannot be used: {said}") from error
        finally:
            if begin is not None:
                self._leave()
            self._asked_at = None
            self._lock.release()

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def give_up(self) -> None:
        """From another thread: whoever waits for the server for too long waits no more."""
        asked_at, connection = self._asked_at, self._connection
        if asked_at is None or time.monotonic() - asked_at < SILENT_SECONDS or connection is None:
            return
        with suppress(OSError, psycopg.Error):  # it is closed already
            beside = socket.socket(fileno=socket.dup(connection.fileno()))
            with beside:
                beside.shutdown(socket.SHUT_RDWR)

    def _ready(self, begin: LiteralString | None) -> psycopg.Connection[DictRow]:
        """With `begin` said, on a new connection if the old one was lost: nothing is done yet."""
        connection = self._connection
        if connection is not None and not _is_lost(connection):
            if begin is None:
                return connection
            try:
                connection.execute(begin, prepare=False)
            except psycopg.OperationalError:
                if not connection.closed:
                    raise
            else:
                return connection
        self.close()
        self._connection = connection = self._connect()
        if begin is not None:
            connection.execute(begin, prepare=False)
        return connection

    def _leave(self) -> None:
        """Nothing stays open; what cannot be rolled back is a connection to throw away."""
        if self._connection is None:
            return
        status = self._connection.info.transaction_status
        try:
            if status in {TransactionStatus.INTRANS, TransactionStatus.INERROR}:
                self._connection.execute("ROLLBACK")
            elif status is not TransactionStatus.IDLE:
                self.close()
        except psycopg.Error:
            self.close()

    def _connect(self) -> psycopg.Connection[DictRow]:
        with ExitStack() as unless_good:
            connection = unless_good.enter_context(closing(connect(self._address)))
            if self._owns_name:
                _take_name(connection, self._address.name)
            unless_good.pop_all()
        return connection


def connect(address: Address) -> psycopg.Connection[DictRow]:
    """With what every connection to a journal has. Errors: JournalUnavailable, psycopg.Error."""
    conninfo = address.conninfo()
    with ExitStack() as unless_good:
        connection = psycopg.connect(conninfo, autocommit=True, row_factory=dict_row)
        unless_good.enter_context(closing(connection))
        connection.adapters.register_dumper(str, _StorableText)
        connection.execute(SETTINGS)
        unless_good.pop_all()
    return connection


class _Impatience(threading.Thread):
    """Ends what a silent server keeps waiting, for libpq waits for ever. Lives as its session."""

    def __init__(self, session: Session) -> None:
        super().__init__(name="journal-impatience", daemon=True)
        self._session = weakref.ref(session)

    @override
    def run(self) -> None:
        while (session := self._session()) is not None:
            session.give_up()
            del session
            time.sleep(1.0)


def _is_lost(connection: psycopg.Connection[DictRow]) -> bool:
    """Between transactions a server says nothing, unless it is that it goes."""
    if connection.closed:
        return True
    if connection.info.transaction_status is not TransactionStatus.IDLE:
        return False
    said = poll()
    said.register(connection.fileno(), POLLIN)
    return bool(said.poll(0))


class _StorableText(StrDumperUnknown):
    """A server takes neither a NUL nor half a surrogate pair; what a file takes is marked here."""

    @override
    def dump(self, obj: str) -> bytes:
        return obj.replace("\0", "\ufffd").encode("utf-8", "replace")


def _take_name(connection: psycopg.Connection[DictRow], name: str) -> None:
    """For as long as the connection lives. Errors: JournalLocked."""
    try:
        connection.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", (NAMES, name))
    except psycopg.errors.LockNotAvailable:
        raise JournalLocked(
            f"another remediator named {name} works on this journal; give each a journal.name of "
            "its own, or stop it first"
        ) from None


def with_advice(error: psycopg.Error) -> str:
    words = " ".join(str(error).split()) or type(error).__name__
    state = error.sqlstate or ("08" if isinstance(error, psycopg.OperationalError) else "")
    advice = next((advice for start, advice in ADVICE.items() if state.startswith(start)), None)
    return f"{words}; {advice}" if advice else words

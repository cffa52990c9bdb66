"""One kept connection to one database.

Rule: the exporter is never the outage. One connection, never more; every statement has the
scrape's remaining time as statement_timeout and gives up on a lock after 100 ms; what is still
running at the deadline is cancelled in the server, and a server that does not hear that is
hung up on.
"""

import os
import select
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import psycopg
from psycopg import errors, pq
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.conninfo import make_conninfo
from psycopg.pq.abc import PGconn
from typing_extensions import override

from exporter.collectors.port import Clock
from exporter.readings import Cause, Unreachable
from exporter.targets import Database

Row = tuple[Any, ...]
_OPTIONS = (
    "-c lock_timeout=100ms -c idle_in_transaction_session_timeout=10s "
    "-c default_transaction_read_only=on -c jit=off"
)
_CANCEL_SECONDS = 1.0
_INT8_ARRAY_OID = 1016


class Int8Array:
    """An int8[] already in the server's binary form."""

    def __init__(self, data: bytes | bytearray) -> None:
        self.data = data


class _Int8ArrayDumper(Dumper):
    format = pq.Format.BINARY
    oid = _INT8_ARRAY_OID

    @override
    def dump(self, obj: Int8Array) -> Buffer:
        return obj.data


class Session:
    def __init__(self, target: Database, database: str, clock: Clock) -> None:
        self.database = database
        self._target = target
        self._clock = clock
        self._connection: psycopg.Connection[Row] | None = None
        self._cursor: psycopg.Cursor[Row] | None = None

    @property
    def is_open(self) -> bool:
        return self._connection is not None and not self._connection.closed

    def open(self, deadline: float) -> None:
        connection = psycopg.Connection[Row](self.login(deadline))
        connection.autocommit = True
        connection.prepare_threshold = 0
        connection.adapters.register_dumper(Int8Array, _Int8ArrayDumper)
        self._connection, self._cursor = connection, connection.cursor()

    def login(self, deadline: float) -> PGconn:
        """A new login, done or failed by the deadline. The caller finishes it.

        Errors: psycopg.Error; OSError or UnicodeDecodeError for the password file.
        """
        link = pq.PGconn.connect_start(self._conninfo().encode())
        try:
            self._finish_login(link, deadline)
        except psycopg.Error:
            link.finish()
            raise
        link.nonblocking = 1
        return link

    def _finish_login(self, link: PGconn, deadline: float) -> None:
        while link.status != pq.ConnStatus.BAD:
            status = link.connect_poll()
            if status == pq.PollingStatus.OK:
                return
            if status == pq.PollingStatus.FAILED:
                break
            waiting = select.poll()
            reads = status == pq.PollingStatus.READING
            waiting.register(link.socket, select.POLLIN if reads else select.POLLOUT)
            if not waiting.poll(max(0.0, deadline - self._clock()) * 1000):
                raise errors.ConnectionTimeout("no login in the time there was")
        raise psycopg.OperationalError(link.get_error_message())

    def _conninfo(self) -> str:
        target = self._target
        password = None
        if target.password_file:
            password = Path(target.password_file).read_text(encoding="utf-8").strip()
        return make_conninfo(
            host=target.host,
            port=target.port,
            dbname=self.database,
            user=target.user,
            password=password,
            application_name="stackmedic-exporter",
            tcp_user_timeout=5000,
            keepalives_idle=10,
            client_encoding="utf8",
            options=_OPTIONS,
        )

    def execute(
        self, sql: str, parameters: tuple[object, ...] = (), *, prepare: bool = True
    ) -> psycopg.Cursor[Row]:
        """The session's one cursor: read it before the next call.

        prepare: False for a statement whose plan depends on its parameters.
        """
        if self._cursor is None:
            raise psycopg.OperationalError("not connected")
        # Named constants only; psycopg wants literal text.
        return self._cursor.execute(cast("Any", sql), parameters or None, prepare=prepare)

    def cancel(self) -> None:
        """Make execute() return soon. Does not block."""
        connection = self._connection
        if connection is not None and not connection.closed:
            threading.Thread(target=_cancel, args=(connection,), daemon=True).start()

    def close(self) -> None:
        connection, self._connection, self._cursor = self._connection, None, None
        if connection is not None:
            connection.close()


def _cancel(connection: "psycopg.Connection[Row]") -> None:
    try:
        connection.cancel_safe(timeout=_CANCEL_SECONDS)
    except (psycopg.Error, OSError):
        with (
            suppress(OSError, psycopg.Error),
            socket.socket(fileno=os.dup(connection.fileno())) as sock,
        ):
            sock.shutdown(socket.SHUT_RDWR)


def unreachable(where: str, error: psycopg.Error) -> Unreachable:
    text = f"{where}: {first_line(error)}"
    if isinstance(error, errors.QueryCanceled | errors.ConnectionTimeout):
        return Unreachable(Cause.TIMEOUT, text)
    if (error.sqlstate or "").startswith("28") or "authentication failed" in text:
        return Unreachable(Cause.AUTH, text)
    if error.sqlstate or "FATAL:" in text:
        return Unreachable(Cause.REFUSED, text)
    if "resolve" in text or "translate host name" in text:
        return Unreachable(Cause.DNS, text)
    return Unreachable(Cause.CONNECT, text)


def first_line(error: psycopg.Error) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]

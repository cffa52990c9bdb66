"""Connections to a postgres whose every wait has an end, and its errors in our words.

Rule: the server's timeouts bound a statement; a watchdog cuts the line when the server
itself keeps no time.
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from remediator.actions.passwords import read_password
from remediator.ports import Permanent, Transient
from remediator.topology import PostgresAddress, Target

CONNECT_SECONDS = 2  # the least that libpq takes
QUERY_SECONDS = 3.0
APPLICATION = "stackmedic-remediator"

Connection = psycopg.Connection[tuple[Any, ...]]

# The server goes away or has no place for us now; every other code is its word on the statement.
_AWAY = ("08", "57P01", "57P02", "57P03", "53300")


@dataclass(frozen=True, slots=True)
class Login:
    """Where it differs from the address: another database, or another role with its password."""

    database: str
    user: str | None = None
    password: str | None = None


@contextmanager
def connected(
    address: PostgresAddress, seconds: float = QUERY_SECONDS, login: Login | None = None
) -> Iterator[Connection]:
    """An autocommit connection of which no statement takes `seconds`; a second later it is cut.

    Errors: psycopg.Error; Permanent for a password that cannot be read.
    """
    login = login or Login(address.database)
    password = login.password
    if login.user is None:
        password = read_password(address.password_file, f"postgres at {address.host}")
    connection: Connection = psycopg.connect(
        host=address.host,
        port=address.port,
        dbname=login.database,
        user=login.user or address.user,
        password=password,
        connect_timeout=CONNECT_SECONDS,
        application_name=APPLICATION,
        options=f"-c statement_timeout={int(seconds * 1000)}",
        autocommit=True,
    )
    watchdog = threading.Timer(seconds + 1, _cut, [connection])
    watchdog.daemon = True
    watchdog.start()
    try:
        yield connection
    finally:
        watchdog.cancel()
        watchdog.join()
        connection.close()


def _cut(connection: Connection) -> None:
    try:
        with socket.socket(fileno=os.dup(connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)
    except (OSError, psycopg.Error):
        return  # it is closed already


@contextmanager
def translated(what: str, address: PostgresAddress) -> Iterator[None]:
    """Errors of psycopg leave as Transient or Permanent: what, where, the server's words."""
    where = f"postgres at {address.host}:{address.port}"
    try:
        yield
    except psycopg.errors.QueryCanceled as error:
        raise Transient(f"cannot {what}: {where} did not end it in time") from error
    except psycopg.Error as error:
        state, words = error.sqlstate, one_line(error)
        if state is None and isinstance(error, psycopg.OperationalError):
            raise Transient(f"cannot {what}: cannot reach {where}: {words}") from error
        if state is not None and state.startswith(_AWAY):
            raise Transient(f"cannot {what}: {where} goes away: {words}") from error
        raise Permanent(f"cannot {what}: {where} refuses: {words}") from error


def address_of(target: Target) -> PostgresAddress:
    if target.postgres is None:
        raise Permanent(f"{target.key} has no postgres address; give it one in the topology")
    return target.postgres


def one_line(error: psycopg.Error) -> str:
    return " ".join(str(error).split())

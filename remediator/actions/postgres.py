"""What a restart must know of a postgres: may it be restarted now, and does it answer.

Rule: reads only, on a connection of its own, and never longer than a few seconds: a hung
server is what brings us here.
"""

import psycopg

from remediator.actions.database.session import connected, one_line
from remediator.topology import PostgresAddress

__all__ = ["connected", "error_of_a_query", "reason_not_to_restart"]

# pg_stat_progress_cluster holds VACUUM FULL as well as CLUSTER.
_WORK_IN_THE_WAY = """
SELECT 'it is in recovery' WHERE pg_is_in_recovery()
UNION ALL
SELECT 'a base backup runs (pid ' || pid || ')' FROM pg_stat_progress_basebackup
UNION ALL
SELECT 'CREATE INDEX or REINDEX runs (pid ' || pid || ')' FROM pg_stat_progress_create_index
UNION ALL
SELECT 'VACUUM FULL or CLUSTER runs (pid ' || pid || ')' FROM pg_stat_progress_cluster
UNION ALL
SELECT application_name || ' runs (pid ' || pid || ')' FROM pg_stat_activity
WHERE application_name IN ('pg_restore', 'pg_dump', 'pg_dumpall', 'pg_basebackup')
LIMIT 1
"""

# libpq gives no SQLSTATE when it cannot connect, only the server's words.
_RECOVERING = ("starting up", "in recovery mode", "not yet accepting connections")
_MENDED_BY_A_RESTART = (
    "too many clients",
    "remaining connection slots",
    "too many connections",
    "shutting down",
)


def reason_not_to_restart(address: PostgresAddress) -> str | None:
    """Why a restart would do harm now, for a human; None when nothing speaks against it.

    A server that cannot be reached is no reason. One that answers but does not let us look
    is: nobody can tell what a restart would interrupt.
    """
    try:
        with connected(address) as connection:
            row = connection.execute(_WORK_IN_THE_WAY).fetchone()
    except psycopg.Error as error:
        return _reading_of(error)
    return None if row is None else f"{row[0]}; let it end first"


def error_of_a_query(address: PostgresAddress) -> str | None:
    """Ask `SELECT 1`. None: it was answered; else the client's words."""
    try:
        with connected(address) as connection:
            connection.execute("SELECT 1")
    except psycopg.Error as error:
        return one_line(error)
    return None


def _reading_of(error: psycopg.Error) -> str | None:
    words = one_line(error)
    if any(sign in words for sign in _RECOVERING):
        return "it is starting up or recovering, and a restart would begin that anew; wait"
    # With an SQLSTATE the server answered a query; without, "FATAL:" is its word at connect.
    unreachable = error.sqlstate is None and "FATAL:" not in words
    if unreachable or any(sign in words for sign in _MENDED_BY_A_RESTART):
        return None
    return f"it answers, but does not let us see what a restart would interrupt: {words}"

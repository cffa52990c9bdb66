"""VACUUM (ANALYZE) of the tables that need it, one after another and in nobody's way.

Rule: never FULL, never a lock that stops a reader. A table that somebody else holds or
vacuums is left for the next time, and named.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple

import psycopg
from psycopg import sql
from pydantic import Field

from remediator.actions.clients import Clients, Deadline, Params
from remediator.actions.database import in_the_way
from remediator.actions.database.session import (
    Connection,
    address_of,
    connected,
    one_line,
    translated,
)
from remediator.durations import Seconds
from remediator.ports import Done, Effect, NotYet, Permanent, Ready, Refused, RemediationError
from remediator.topology import Target

_SPARE_SECONDS = 2.0
_SHOWN = 20

# A table that was never vacuumed is due when it holds anything.
_DUE = """
SELECT relid, schemaname, relname, n_dead_tup, n_live_tup
FROM pg_stat_user_tables
WHERE NOT starts_with(schemaname, 'pg_temp')
AND (%(all)s
  OR (n_dead_tup >= %(dead)s AND n_dead_tup >= %(share)s * (n_dead_tup + n_live_tup))
  OR coalesce(greatest(last_vacuum, last_autovacuum) < now() - %(age)s * interval '1 second',
              n_dead_tup + n_live_tup > 0))
AND (%(since)s::timestamptz IS NULL OR last_vacuum IS NULL OR last_vacuum < %(since)s)
ORDER BY n_dead_tup DESC, relid
"""
_VACUUMED_BY = "SELECT pid FROM pg_stat_progress_vacuum WHERE relid = %s"
_DEAD = "SELECT relid, n_dead_tup FROM pg_stat_user_tables WHERE relid = ANY(%s)"
# Rows that an old transaction may still want to see stay dead.
_OLDEST = """
SELECT coalesce(max(extract(epoch FROM now() - xact_start)), 0)::float8
FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()
"""


class VacuumAnalyzeParams(Params):
    """Which tables, and how long to wait for the lock of one.

    `due`: at least `min_dead` dead rows that are `min_share` of the table, or no vacuum
    within `max_age`. `all`: every table of users.
    """

    tables: Literal["due", "all"] = "due"
    min_dead: Annotated[int, Field(ge=0)] = 1000
    min_share: Annotated[float, Field(ge=0, le=1)] = 0.1
    max_age: Annotated[Seconds, Field(gt=0)] = 7 * 86400.0
    lock_timeout: Annotated[Seconds, Field(ge=0.1, le=60)] = 2.0


class _Table(NamedTuple):
    relid: int
    schema: str
    name: str
    dead: int
    live: int

    @property
    def shown(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class VacuumAnalyze:
    """Vacuum and analyze the tables that need it, those with the most dead rows first."""

    params: VacuumAnalyzeParams
    clients: Clients

    def precheck(self, target: Target) -> Ready | Refused | NotYet:
        address = address_of(target)
        with translated("look at its work", address), connected(address) as connection:
            return in_the_way.ready(connection, target, builds=False)

    def run(self, target: Target, *, timeout_seconds: float) -> Done:
        """Stops at the timeout; the evidence's `left` says what was not reached."""
        address = address_of(target)
        deadline = Deadline.after(self.clients.clock, timeout_seconds - _SPARE_SECONDS)
        if deadline.is_over():
            raise Permanent(f"{target.key}: a vacuum needs a step timeout of more than 2 s")
        with (
            translated("vacuum", address),
            connected(address, deadline.left_seconds()) as connection,
        ):
            tables = self._due(connection)
            oldest = _one(connection, _OLDEST)
            _be_gentle(connection, self.params.lock_timeout)
            done, skipped = self._vacuum_all(connection, tables, deadline)
            after = dict(connection.execute(_DEAD, [[t.relid for t in tables]]).fetchall())
        evidence = _evidence(tables, done, skipped, after)
        evidence["oldest_transaction_seconds"] = round(oldest)
        if tables and not done:
            raise Permanent(
                f"{target.key}: none of {len(tables)} tables could be vacuumed: "
                f"{'; '.join(skipped.values()) or 'the time was up'}",
                evidence,
            )
        summary = f"vacuumed and analyzed {len(done)} of {len(tables)} tables that need it"
        return Done(summary, evidence)

    def probe(self, target: Target, *, intended_at: datetime) -> Effect:
        """DONE when no table is due that was not vacuumed since."""
        address = address_of(target)
        try:
            with translated("look", address), connected(address) as connection:
                return Effect.NOT_DONE if self._due(connection, intended_at) else Effect.DONE
        except RemediationError:
            return Effect.UNKNOWN

    def _due(self, connection: Connection, since: datetime | None = None) -> list[_Table]:
        wanted = {
            "all": self.params.tables == "all",
            "dead": self.params.min_dead,
            "share": self.params.min_share,
            "age": self.params.max_age,
            "since": since,
        }
        return [_Table(*row) for row in connection.execute(_DUE, wanted).fetchall()]

    def _vacuum_all(
        self, connection: Connection, tables: Sequence[_Table], deadline: Deadline
    ) -> tuple[list[_Table], dict[_Table, str]]:
        """What was vacuumed, and why what was not. What is in neither was not reached."""
        done: list[_Table] = []
        skipped: dict[_Table, str] = {}
        for table in tables:
            if deadline.is_over():
                break
            why = _vacuum(connection, table, deadline.left_seconds())
            if why is None:
                done.append(table)
            else:
                skipped[table] = f"{table.shown}: {why}"
        return done, skipped


def _vacuum(connection: Connection, table: _Table, seconds: float) -> str | None:
    """None, or why it was not vacuumed. The server only warns of what it skips by itself."""
    busy = connection.execute(_VACUUMED_BY, [table.relid]).fetchone()
    if busy is not None:
        return f"is vacuumed already (pid {busy[0]})"
    warnings: list[str] = []

    def listen(notice: psycopg.errors.Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            warnings.append(notice.message_primary or "the server warned")

    connection.execute("SELECT set_config('statement_timeout', %s, false)", [_ms(seconds)])
    connection.add_notice_handler(listen)
    try:
        # Without TRUNCATE, for giving pages back to the disk takes an exclusive lock;
        # without PARALLEL, for the other cores serve users.
        connection.execute(
            sql.SQL("VACUUM (ANALYZE, TRUNCATE false, PARALLEL 0) {}").format(
                sql.Identifier(table.schema, table.name)
            )
        )
    except psycopg.errors.LockNotAvailable:
        return "somebody holds its lock"
    except psycopg.errors.UndefinedTable:
        return "is gone"
    except psycopg.errors.InsufficientPrivilege as error:
        return one_line(error)
    except psycopg.errors.QueryCanceled:
        return "the time was up, or a human stopped it"
    finally:
        connection.remove_notice_handler(listen)
    return warnings[0] if warnings else None


def _be_gentle(connection: Connection, lock_seconds: float) -> None:
    """As autovacuum works: with pauses, and with no long wait that others would queue behind."""
    connection.execute("SELECT set_config('lock_timeout', %s, false)", [_ms(lock_seconds)])
    connection.execute("SET vacuum_cost_delay = '2ms'")


def _ms(seconds: float) -> str:
    return str(max(1, int(seconds * 1000)))


def _one(connection: Connection, query: str) -> Any:  # noqa: ANN401 - the type is the query's
    row = connection.execute(query.encode()).fetchone()
    return None if row is None else row[0]


def _evidence(
    tables: Sequence[_Table],
    done: Sequence[_Table],
    skipped: dict[_Table, str],
    after: dict[int, int],
) -> dict[str, object]:
    return {
        "done": [table.shown for table in done[:_SHOWN]],
        "skipped": list(skipped.values())[:_SHOWN],
        "left": len(tables) - len(done) - len(skipped),
        "dead_rows": {
            t.shown: {"before": t.dead, "after": after.get(t.relid)} for t in tables[:_SHOWN]
        },
    }

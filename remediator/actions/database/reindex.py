"""REINDEX (CONCURRENTLY) of bloated and invalid indexes, one at a time and few in a run.

Rule: never a system catalog, never without room for the new index beside the old one. An
interrupted rebuild leaves an invalid `_ccnew` or `_ccold`: that is dropped first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, LiteralString, NamedTuple

import psycopg
from psycopg import sql
from pydantic import Field

from remediator.actions.clients import Clients, Deadline, Params
from remediator.actions.database import in_the_way
from remediator.actions.database.disk import disk
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
_ROOM = 1.2  # the new index beside the old one, and its WAL

_RUNS = "SELECT 1 FROM pg_stat_progress_create_index WHERE datname = current_database()"

# How many pages a fresh B-tree of so many rows would take: per row a line pointer, a header
# and the aligned key; of a page what the fill factor leaves. Equal keys are stored once
# since PostgreSQL 13, so the guess is rather too large, and the bloat rather too small.
_INDEXES = """
WITH keys AS (
  SELECT i.indexrelid, sum(coalesce(s.avg_width * (1 - s.null_frac), 8)) AS width
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid
  JOIN pg_class t ON t.oid = i.indrelid
  JOIN pg_namespace n ON n.oid = t.relnamespace
  CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (attnum, position)
  LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.attnum > 0
  LEFT JOIN pg_attribute e ON e.attrelid = i.indexrelid AND e.attnum = k.position
  LEFT JOIN pg_stats s ON s.schemaname = n.nspname
    AND s.tablename = CASE WHEN k.attnum > 0 THEN t.relname ELSE c.relname END
    AND s.attname = CASE WHEN k.attnum > 0 THEN a.attname ELSE e.attname END
  GROUP BY i.indexrelid
), guessed AS (
  SELECT i.indexrelid, n.nspname, c.relname, i.indisvalid, pg_relation_size(c.oid) AS bytes,
    CASE WHEN am.amname = 'btree' AND c.reltuples >= 0 AND c.relpages > 0 THEN
      1 + ceil(1.01 * c.reltuples * (12 + 8 * ceil(keys.width / 8.0))
        / ((current_setting('block_size')::int - 40)
          * coalesce((SELECT option_value::int FROM pg_options_to_table(c.reloptions)
                      WHERE option_name = 'fillfactor'), 90) / 100.0))
    END * current_setting('block_size')::int AS fresh_bytes
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i' AND c.relpersistence = 'p'
  JOIN pg_am am ON am.oid = c.relam
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN keys ON keys.indexrelid = i.indexrelid
  WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
    AND NOT i.indisexclusion
)
SELECT nspname, relname, indisvalid, bytes,
  coalesce(greatest(0, 1 - fresh_bytes / nullif(bytes, 0)), 0)::float8 AS bloat
FROM guessed
WHERE NOT indisvalid
  OR (bytes >= %(bytes)s AND 1 - fresh_bytes / nullif(bytes, 0) >= %(bloat)s)
ORDER BY indisvalid, bytes * (1 - fresh_bytes / nullif(bytes, 0)) DESC NULLS LAST, relname
"""


class ReindexConcurrentlyParams(Params):
    """Bloated is an index of `min_bytes` of which at least `min_bloat` is estimated to be empty.

    At most `max_indexes` are rebuilt in one step.
    """

    min_bloat: Annotated[float, Field(gt=0, lt=1)] = 0.4
    min_bytes: Annotated[int, Field(ge=0)] = 16 * 1024 * 1024
    max_indexes: Annotated[int, Field(ge=1, le=100)] = 5
    lock_timeout: Annotated[Seconds, Field(ge=0.1, le=60)] = 2.0


class _Index(NamedTuple):
    schema: str
    name: str
    is_valid: bool
    size: int
    bloat: float

    @property
    def shown(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def is_leftover(self) -> bool:
        """Made by a rebuild that did not end. A human's index of that name would be valid."""
        stem, found, number = self.name.rpartition("_cc")
        return bool(
            not self.is_valid and stem and found and number.rstrip("0123456789") in {"new", "old"}
        )


@dataclass(frozen=True, slots=True)
class ReindexConcurrently:
    """Rebuild what is invalid, then what is bloated, the most to gain first."""

    params: ReindexConcurrentlyParams
    clients: Clients

    def precheck(self, target: Target) -> Ready | Refused | NotYet:
        address = address_of(target)
        with translated("look at its work", address), connected(address) as connection:
            return in_the_way.ready(connection, target, builds=True)

    def run(self, target: Target, *, timeout_seconds: float) -> Done:
        """1. drop leftovers  2. rebuild, while there is time and room."""
        address = address_of(target)
        deadline = Deadline.after(self.clients.clock, timeout_seconds - _SPARE_SECONDS)
        if deadline.is_over():
            raise Permanent(f"{target.key}: a rebuild needs a step timeout of more than 2 s")
        with (
            translated("rebuild indexes", address),
            connected(address, deadline.left_seconds()) as connection,
        ):
            _prepare(connection, self.params.lock_timeout)
            found = self._found(connection)
            report = _Report()
            report.drop(connection, [index for index in found if index.is_leftover])
            wanted = [index for index in found if not index.is_leftover]
            for index in wanted[: self.params.max_indexes]:
                if deadline.is_over():
                    break
                known = disk(self.clients.exporter_url, address.mountpoint)
                if known is not None and known.free_bytes < index.size * _ROOM:
                    report.failed.append(
                        f"{index.shown}: {known.free_bytes} bytes free, {index.size} needed"
                    )
                    continue
                report.rebuild(connection, index, deadline)
        evidence = report.evidence(len(wanted), room_known=address.mountpoint is not None)
        if report.failed and not report.rebuilt:
            raise Permanent(
                f"{target.key}: no index could be rebuilt: {'; '.join(report.failed[:5])}",
                evidence,
            )
        summary = f"rebuilt {len(report.rebuilt)} of {len(wanted)} indexes"
        return Done(f"{summary}, dropped {len(report.dropped)} leftovers", evidence)

    def probe(self, target: Target, *, intended_at: datetime) -> Effect:  # noqa: ARG002 - the indexes tell
        """A rebuild that lost its client goes on in the server until it ends: UNKNOWN then."""
        address = address_of(target)
        try:
            with translated("look", address), connected(address) as connection:
                if connection.execute(_RUNS).fetchone() is not None:
                    return Effect.UNKNOWN
                return Effect.NOT_DONE if self._found(connection) else Effect.DONE
        except RemediationError:
            return Effect.UNKNOWN

    def _found(self, connection: Connection) -> list[_Index]:
        wanted = {"bytes": self.params.min_bytes, "bloat": self.params.min_bloat}
        return [_Index(*row) for row in connection.execute(_INDEXES, wanted).fetchall()]


class _Report:
    """What a run did, as it does it. What was only busy is skipped, and no failure."""

    def __init__(self) -> None:
        self.rebuilt: dict[str, Mapping[str, object]] = {}
        self.dropped: list[str] = []
        self.skipped: list[str] = []
        self.failed: list[str] = []

    def drop(self, connection: Connection, leftovers: Sequence[_Index]) -> None:
        for index in leftovers:
            if self._did(connection, "DROP INDEX CONCURRENTLY IF EXISTS {}", index):
                self.dropped.append(index.shown)

    def rebuild(self, connection: Connection, index: _Index, deadline: Deadline) -> None:
        timeout = str(max(1, int(deadline.left_seconds() * 1000)))
        connection.execute("SELECT set_config('statement_timeout', %s, false)", [timeout])
        if not self._did(connection, "REINDEX INDEX CONCURRENTLY {}", index):
            connection.execute("SET statement_timeout = '2s'")
            self.drop(connection, _leftovers_of(connection, index))
            return
        row = connection.execute(
            "SELECT pg_relation_size(%s::regclass)", [_quoted(connection, index)]
        ).fetchone()
        after = None if row is None else row[0]
        self.rebuilt[index.shown] = {
            "bytes_before": index.size,
            "bytes_after": after,
            "bloat_guessed": round(index.bloat, 2),
            "was_invalid": not index.is_valid,
        }

    def _did(self, connection: Connection, statement: LiteralString, index: _Index) -> bool:
        name = sql.Identifier(index.schema, index.name)
        try:
            connection.execute(sql.SQL(statement).format(name))
        except psycopg.errors.LockNotAvailable:
            self.skipped.append(
                f"{index.shown}: somebody holds its lock, or an old transaction is open"
            )
        except psycopg.errors.QueryCanceled:
            self.skipped.append(f"{index.shown}: the time was up, or a human stopped it")
        except psycopg.Error as error:
            if connection.broken:
                raise
            self.failed.append(f"{index.shown}: {one_line(error)}")
        else:
            return True
        return False

    def evidence(self, wanted: int, *, room_known: bool) -> dict[str, object]:
        return {
            "rebuilt": dict(list(self.rebuilt.items())[:_SHOWN]),
            "dropped": self.dropped[:_SHOWN],
            "skipped": self.skipped[:_SHOWN],
            "failed": self.failed[:_SHOWN],
            "left": max(0, wanted - len(self.rebuilt)),
            "room_known": room_known,
        }


def _prepare(connection: Connection, lock_seconds: float) -> None:
    """Short waits only, one core, and the server stops when our process is gone."""
    connection.execute(
        "SELECT set_config('lock_timeout', %s, false)", [str(int(lock_seconds * 1000))]
    )
    connection.execute("SET max_parallel_maintenance_workers = 0")
    connection.execute(
        "SELECT set_config('client_connection_check_interval', '5s', false) "
        "WHERE current_setting('server_version_num')::int >= 140000"
    )


def _leftovers_of(connection: Connection, index: _Index) -> list[_Index]:
    # Names are cut to fit: the stem of a leftover may be shorter than the name.
    rows = connection.execute(
        "SELECT n.nspname, c.relname, i.indisvalid, 0, 0.0 FROM pg_index i "
        "JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = %s AND NOT i.indisvalid AND starts_with(c.relname, left(%s, 50)) "
        "AND c.relname ~ '_cc(new|old)[0-9]*$'",
        [index.schema, index.name],
    ).fetchall()
    return [_Index(*row) for row in rows]


def _quoted(connection: Connection, index: _Index) -> str:
    return sql.Identifier(index.schema, index.name).as_string(connection)

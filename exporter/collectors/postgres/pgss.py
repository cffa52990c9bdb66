"""pg_stat_statements: only what changed is sent, only what is new is named.

Rule: one scan a scrape, without the texts, which the server would read from a file of any
size. The server gets a signature of every row as last seen and sends the rows that differ;
all are asked for again when statements were evicted or the counters reset. The columns follow
the version of the extension, which may be older than the server.
"""

import operator
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from psycopg import Error

from exporter.collectors.port import Clock
from exporter.collectors.postgres.session import Int8Array, Row, Session
from exporter.collectors.statements import TopStatements
from exporter.readings import Counts, StatementKey, Statements
from exporter.targets import Database

OTHER: StatementKey = ("", "", "other")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
_WHOLE_AFTER_SECONDS = 300.0  # a single statement's reset is told by nothing
_ARRAY_HEAD = struct.Struct(">iiIii")
_ELEMENT = struct.Struct(">iq")
_INT8_OID = 20

EXTENSION_SQL = """
select e.extversion, n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace
where e.extname = 'pg_stat_statements'
"""
INFO_SQL = """
select dealloc::float8, extract(epoch from stats_reset)::float8
from {schema}.pg_stat_statements_info
"""
# %b: signatures of the rows as last seen. A row without queryid has none, and is always sent.
STATEMENTS_SQL = """
select s.userid, s.dbid, s.queryid, {toplevel}, {signature}, pg_get_userbyid(s.userid)::text,
  {columns}
from {schema}.pg_stat_statements(false) s
where {unknown}
"""
# From the server of 1.9 on a list is hashed once for all rows. That wants a list that is known
# when the statement is planned, and a case, or the planner would look at each of its elements.
UNKNOWN = "case when {signature} = any(%b::int8[]) then false else true end"
UNKNOWN_BEFORE_1_9 = (
    "not exists (select from unnest(%b::int8[]) known(g) where known.g = {signature})"
)
TEXTS_SQL = """
select distinct on (queryid) queryid::text, left(regexp_replace(query, '\\s+', ' ', 'g'), %s)
from {schema}.pg_stat_statements(true) where queryid = any(%s)
"""

StatementId = tuple[int, int, int | None]  # user, database, queryid


@dataclass(frozen=True, slots=True)
class Wording:
    """How to ask one version of the extension. columns: the names of the numbers."""

    columns: tuple[str, ...]
    statements: str
    info: str | None
    texts: str


def wording(extension_version: str, schema: str) -> Wording:
    numbers = tuple(int(part) for part in re.findall(r"\d+", extension_version)[:2])
    columns = _columns(numbers)
    toplevel = "s.toplevel::int" if numbers >= (1, 9) else "1"
    unknown = UNKNOWN if numbers >= (1, 9) else UNKNOWN_BEFORE_1_9
    # The hash spreads over all bits, so what never changes need not be hashed.
    signature = "hashint8extended(s.calls, s.queryid) # (s.userid::int8 << 32) # s.dbid::int8"
    if numbers >= (1, 9):
        signature += " # s.toplevel::int4::int8"
    quoted = schema if _IDENTIFIER.fullmatch(schema) else '"' + schema.replace('"', '""') + '"'
    # A schema's name may hold what is a placeholder to the client library.
    quoted = quoted.replace("%", "%%")
    return Wording(
        tuple(columns),
        STATEMENTS_SQL.format(
            toplevel=toplevel,
            signature=signature,
            unknown=unknown.format(signature=signature),
            columns=", ".join(columns.values()),
            schema=quoted,
        ),
        INFO_SQL.format(schema=quoted) if numbers >= (1, 9) else None,
        TEXTS_SQL.format(schema=quoted),
    )


def _columns(version: tuple[int, ...]) -> dict[str, str]:
    """Name -> expression. Times are in seconds."""
    total = "total_exec_time" if version >= (1, 8) else "total_time"
    block = "shared_blk" if version >= (1, 11) else "blk"
    columns = {
        "calls": "s.calls",
        "seconds": f"s.{total} / 1000",
        "rows": "s.rows",
        "block_read_seconds": f"s.{block}_read_time / 1000",
        "block_write_seconds": f"s.{block}_write_time / 1000",
        "shared_blks_hit": "s.shared_blks_hit",
        "shared_blks_read": "s.shared_blks_read",
        "temp_blks_read": "s.temp_blks_read",
        "temp_blks_written": "s.temp_blks_written",
    }
    if version >= (1, 8):
        columns["plan_seconds"] = "s.total_plan_time / 1000"
        columns["wal_bytes"] = "s.wal_bytes::float8"
    return columns


class Signatures:
    """The rows known to this side, as an int8[] in the form the wire wants."""

    def __init__(self) -> None:
        self._place: dict[tuple[object, ...], int] = {}
        self._buffer = bytearray(_ARRAY_HEAD.pack(0, 0, _INT8_OID, 0, 1)[:12])

    def __len__(self) -> int:
        return len(self._place)

    @property
    def array(self) -> Int8Array:
        return Int8Array(self._buffer)

    def note(self, rows: Iterable[tuple[tuple[object, ...], int]]) -> None:
        if not self._place:
            self._buffer = bytearray(_ARRAY_HEAD.size)
        for key, signature in rows:
            place = self._place.get(key)
            if place is None:
                self._place[key] = len(self._buffer)
                self._buffer += _ELEMENT.pack(8, signature)
            else:
                _ELEMENT.pack_into(self._buffer, place, 8, signature)
        if self._place:
            _ARRAY_HEAD.pack_into(self._buffer, 0, 1, 0, _INT8_OID, len(self._place), 1)
        else:
            self._buffer = bytearray(_ARRAY_HEAD.pack(0, 0, _INT8_OID, 0, 1)[:12])


class StatementReader:
    def __init__(self, target: Database, clock: Clock) -> None:
        self._target = target
        self._clock = clock
        self._top = TopStatements[StatementId](target.top_statements)
        self._wording: Wording | None = None
        self._worded_at = float("-inf")
        self._texts: dict[str, str] = {}
        self._forget()

    def _forget(self) -> None:
        self._signatures = Signatures()
        self._raw: dict[tuple[int, int, int | None, int], Counts] = {}
        self._users: dict[int, str] = {}
        self._epoch: tuple[float | None, ...] | None = None
        self._whole_at = float("-inf")

    def read(self, session: Session, databases: Mapping[str, str]) -> Statements | None:
        """None when the extension is not in this database. databases: oid -> name."""
        now = self._clock()
        # An update of the extension breaks nothing of the older words, so it is looked for.
        if self._wording is None or now - self._worded_at >= _WHOLE_AFTER_SECONDS:
            found = session.execute(EXTENSION_SQL).fetchone()
            if found is None:
                self._wording = None
                return None
            words = wording(*found)
            if words != self._wording:
                self._forget()
            self._wording, self._worded_at = words, now
        try:
            return self._read(session, self._wording, databases)
        except Error:
            self._wording = None  # upgraded, moved or dropped: look again next time
            raise

    def _read(self, session: Session, words: Wording, databases: Mapping[str, str]) -> Statements:
        now = self._clock()
        info = session.execute(words.info).fetchone() if words.info else None
        # Without the info view nothing tells of evictions: everything is asked for each time.
        known = info is not None and info == self._epoch
        whole = not known or now - self._whole_at >= _WHOLE_AFTER_SECONDS
        if whole:
            self._forget()
            self._epoch, self._whole_at = info, now
        try:
            array = self._signatures.array
            rows = session.execute(words.statements, (array,), prepare=False).fetchall()
        except Error:
            self._forget()
            raise
        chosen = self._top.update(self._take(rows), now, whole=whole)
        top = {self._named(key, databases): counts for key, counts in chosen.top.items()}
        if self._target.statement_texts:
            self._learn_texts(session, words, [key[2] for key in top])
        return Statements(
            columns=words.columns,
            rows=top | {OTHER: chosen.other},
            tracked=len(self._raw),
            dealloc=info[0] if info else None,
            stats_reset_at=info[1] if info else None,
            texts=dict(self._texts),
        )

    def _take(self, rows: list[Row]) -> dict[StatementId, Counts]:
        """The changed statements, summed over toplevel and over rows with a hidden queryid."""
        fresh: dict[tuple[int, int, int | None, int], Counts] = {}
        for row in rows:
            key, numbers = row[:4], row[6:]
            before = fresh.get(key)
            fresh[key] = numbers if before is None else _sum(before, numbers)
            self._users[row[0]] = row[5]
        self._raw |= fresh
        self._signatures.note([(row[:4], row[4]) for row in rows if row[4] is not None])
        changed: dict[StatementId, Counts] = {}
        for (user, database, queryid, toplevel), counts in fresh.items():
            sibling = self._raw.get((user, database, queryid, 1 - toplevel))
            total = counts if sibling is None else _sum(counts, sibling)
            changed[user, database, queryid] = total
        return changed

    def _named(self, key: StatementId, databases: Mapping[str, str]) -> StatementKey:
        user, database, queryid = key
        shown = "hidden" if queryid is None else str(queryid)
        return self._users.get(user, ""), databases.get(str(database), ""), shown

    def _learn_texts(self, session: Session, words: Wording, queryids: list[str]) -> None:
        self._texts = {id_: text for id_, text in self._texts.items() if id_ in queryids}
        new = [int(id_) for id_ in queryids if id_ != "hidden" and id_ not in self._texts]
        if new:
            length = self._target.statement_text_length
            self._texts |= dict(session.execute(words.texts, (length, new)).fetchall())


def _sum(a: Counts, b: Counts) -> Counts:
    return tuple(map(operator.add, a, b))

"""pg_stat_activity_*, pg_locks_*: who is connected, and who waits for whom.

Rule: every database has its zeros, so that the first wait is seen as an increase.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from exporter.families.metric import Family, Kind, Metric, Sample, gauge
from exporter.families.postgres.shape import SERVICE
from exporter.readings import Postgres, Table

_ACTIVITY = (
    *SERVICE,
    "datname",
    "state",
    "usename",
    "application_name",
    "backend_type",
    "wait_event_type",
    "wait_event",
)
_NAME = (*SERVICE, "datname")
COUNT = gauge("pg_stat_activity_count", "Sessions but our own, by state and wait.", _ACTIVITY)
MAX_TX = gauge(
    "pg_stat_activity_max_tx_duration", "Age of the oldest transaction, in seconds.", _ACTIVITY
)
LONG = gauge("pg_long_running_transactions", "Transactions open for more than a minute.", SERVICE)
OLDEST = gauge(
    "pg_long_running_transactions_oldest_timestamp_seconds",
    "Age of the oldest open transaction (an age: a name of old).",
    SERVICE,
)
BLOCKED = gauge("pg_blocked_sessions", "Sessions that wait for a lock.", _NAME)
IDLE_IN_TRANSACTION = gauge(
    "pg_idle_in_transaction_max_seconds", "Longest time idle in an open transaction.", _NAME
)
LOCKS = gauge("pg_locks_count", "Locks held and waited for.", (*_NAME, "mode"))
WAITING = gauge("pg_locks_waiting_count", "Locks waited for.", (*_NAME, "mode"))
WAIT = gauge("pg_lock_wait_max_seconds", "Longest wait for a lock; PostgreSQL 14 or later.", _NAME)
STATES = (
    "active",
    "idle",
    "idle in transaction",
    "idle in transaction (aborted)",
    "fastpath function call",
    "disabled",
)
MODES = (
    "accesssharelock",
    "rowsharelock",
    "rowexclusivelock",
    "shareupdateexclusivelock",
    "sharelock",
    "sharerowexclusivelock",
    "exclusivelock",
    "accessexclusivelock",
    "sireadlock",
)
_STATE, _WAIT_TYPE = 1, 5
BUCKETS = (1, 2, 5, 15, 30, 60, 90, 120, 300)
_IDLE = (*SERVICE, "state", "application_name")
_IDLE_HELP = "Time idle of idle sessions."
# The parts of one histogram; only the buckets have the label le.
IDLE = Metric("pg_process_idle_seconds", Kind.HISTOGRAM, _IDLE_HELP, (*_IDLE, "le"))

Row = tuple[tuple[str, ...], Mapping[str, float]]


def families(service: str, reading: Postgres) -> list[Family]:
    databases = [labels[1] for labels, _ in _rows(reading.tables.get("stat_database"))]
    found: list[Family] = []
    if "stat_activity" in reading.tables:
        found += _activity(service, databases, list(_rows(reading.tables["stat_activity"])))
    if "locks" in reading.tables:
        found += _locks(service, databases, list(_rows(reading.tables["locks"])))
    if "process_idle" in reading.tables:
        found += _idle(service, list(_rows(reading.tables["process_idle"])))
    return found


def _rows(table: Table | None) -> Iterable[Row]:
    for labels, numbers in table.rows if table else ():
        yield labels, {c: n for c, n in zip(table.columns, numbers, strict=True) if n is not None}  # type: ignore[union-attr]  # no rows without a table


def _activity(service: str, databases: list[str], rows: list[Row]) -> list[Family]:
    clients = [(labels, row) for labels, row in rows if labels[0] and labels[_STATE]]
    seen = {labels[:2] for labels, _ in clients}
    nobody: list[Sample] = [
        ((service, name, state, "", "", "", "", ""), 0)
        for name in databases
        for state in STATES
        if (name, state) not in seen
    ]
    counts: list[Sample] = [((service, *labels), row["count"]) for labels, row in clients]
    ages: list[Sample] = [((service, *labels), row["max_tx_duration"]) for labels, row in clients]
    blocked = [(labels, row) for labels, row in rows if labels[_WAIT_TYPE] == "Lock"]
    return [
        COUNT.family(counts + nobody),
        MAX_TX.family(ages + nobody),
        LONG.family([((service,), sum(row["long_transactions"] for _, row in rows))]),
        OLDEST.family(
            [((service,), max((row.get("oldest_transaction", 0) for _, row in rows), default=0))]
        ),
        BLOCKED.family(_by_name(service, databases, blocked, "count", sum)),
        IDLE_IN_TRANSACTION.family(_by_name(service, databases, rows, "idle_in_transaction", max)),
    ]


def _locks(service: str, databases: list[str], rows: list[Row]) -> list[Family]:
    found = {labels: row for labels, row in rows if labels[0]}
    # Every mode of every database, and what mode a later version may have besides.
    keys = {(name, mode) for name in databases for mode in MODES} | {k[:2] for k in found}
    ordered = sorted(keys)
    none: Mapping[str, float] = {}
    families = [
        LOCKS.family(((service, *k), found.get(k, none).get("count", 0)) for k in ordered),
        WAITING.family(
            ((service, *k), found.get(k, none).get("waiting_count", 0)) for k in ordered
        ),
    ]
    return [*families, WAIT.family(_by_name(service, databases, rows, "wait_seconds", max))]


def _by_name(
    service: str,
    databases: list[str],
    rows: list[Row],
    column: str,
    together: Callable[[list[float]], float],
) -> list[Sample]:
    found: defaultdict[str, list[float]] = defaultdict(list)
    for labels, row in rows:
        if column in row and labels[0]:
            found[labels[0]].append(row[column])
    names = dict.fromkeys([*databases, *found])
    return [((service, name), together(found[name]) if found[name] else 0) for name in names]


def _idle(service: str, rows: list[Row]) -> list[Family]:
    buckets = [
        ((service, *labels, f"{le:g}" if le else "+Inf"), row[f"le_{le}"] if le else row["count"])
        for labels, row in rows
        for le in (*BUCKETS, 0)
    ]
    return [
        IDLE.family(buckets, "_bucket"),
        IDLE.family((((service, *labels, ""), row["sum"]) for labels, row in rows), "_sum"),
        IDLE.family((((service, *labels, ""), row["count"]) for labels, row in rows), "_count"),
    ]

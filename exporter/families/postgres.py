"""pg_*: postgres_exporter's names and types, with the service as label.

Rule: pg_up is about this scrape; everything else is absent when it could not be read.
"""

from exporter.families.metric import Family, Metric, Sample, counter, gauge
from exporter.readings import Postgres, Unreachable
from exporter.targets import Database

_S = ("service",)
UP = gauge("pg_up", "1 if the server answered a query.", _S)
STATIC = gauge("pg_static", "1, with the server's version.", (*_S, "version", "short_version"))
SESSIONS = gauge(
    "pg_stat_activity_count", "Client sessions by database and state.", (*_S, "datname", "state")
)
SIZE = gauge("pg_database_size_bytes", "Size of the database on disk.", (*_S, "datname"))
SETTINGS = {
    name: gauge(f"pg_settings_{name}", f"Server parameter {name}.", _S)
    for name in ("max_connections", "superuser_reserved_connections", "max_wal_senders")
}
_STATEMENT = (*_S, "user", "datname", "queryid")
CALLS = counter("pg_stat_statements_calls_total", "Times the statement ran.", _STATEMENT)
SECONDS = counter("pg_stat_statements_seconds_total", "Time spent in the statement.", _STATEMENT)
ROWS = counter("pg_stat_statements_rows_total", "Rows it returned or changed.", _STATEMENT)
TRACKED = gauge("pg_stat_statements_tracked", "Statements the server keeps counters of.", _S)

_DATABASE = (*_S, "datid", "datname")
NUMBACKENDS = gauge("pg_stat_database_numbackends", "Sessions in the database.", _DATABASE)
# Legacy names: counters without _total, times in milliseconds, as everybody's rules expect.
_DATABASE_COUNTERS: dict[str, Metric] = {
    column: counter(f"pg_stat_database_{column}", text, _DATABASE)
    for column, text in (
        ("xact_commit", "Transactions committed."),
        ("xact_rollback", "Transactions rolled back."),
        ("blks_read", "Blocks read from disk."),
        ("blks_hit", "Blocks found in the buffer cache."),
        ("tup_returned", "Rows read."),
        ("tup_fetched", "Rows fetched by queries."),
        ("tup_inserted", "Rows inserted."),
        ("tup_updated", "Rows updated."),
        ("tup_deleted", "Rows deleted."),
        ("conflicts", "Queries cancelled by recovery."),
        ("temp_files", "Temporary files made."),
        ("temp_bytes", "Bytes written to temporary files."),
        ("deadlocks", "Deadlocks found."),
        ("blk_read_time", "Milliseconds spent reading blocks."),
        ("blk_write_time", "Milliseconds spent writing blocks."),
    )
}
STATES = (
    "active",
    "idle",
    "idle in transaction",
    "idle in transaction (aborted)",
    "fastpath function call",
    "disabled",
)


def families(database: Database, reading: Postgres | Unreachable) -> list[Family]:
    service = database.service
    if isinstance(reading, Unreachable):
        return [UP.family([((service,), 0)])]
    short = reading.version.partition(" ")[0]
    return [
        UP.family([((service,), 1)]),
        STATIC.family([((service, reading.version, short), 1)]),
        SESSIONS.family(_sessions(service, reading)),
        SIZE.family(((service, name), size) for name, size in reading.sizes.items()),
        *(
            SETTINGS[name].family([((service,), value)])
            for name, value in reading.settings.items()
            if name in SETTINGS
        ),
        *_databases(service, reading),
        *_statements(service, reading),
    ]


def _sessions(service: str, reading: Postgres) -> list[Sample]:
    """Every state of every database, so that a session's first sight is an increase from 0."""
    names = {name for name, _ in reading.sessions} | {name for _, name in reading.databases}
    return [
        ((service, name, state), reading.sessions.get((name, state), 0))
        for name in sorted(names)
        for state in STATES
    ]


def _databases(service: str, reading: Postgres) -> list[Family]:
    return [
        metric.family(
            ((service, *key), row[column])
            for key, row in reading.databases.items()
            if column in row
        )
        for column, metric in {"numbackends": NUMBACKENDS, **_DATABASE_COUNTERS}.items()
    ]


def _statements(service: str, reading: Postgres) -> list[Family]:
    if reading.statements_tracked is None:
        return []
    rows = reading.statements.items()
    return [
        CALLS.family(((service, *key), counts.calls) for key, counts in rows),
        SECONDS.family(((service, *key), counts.seconds) for key, counts in rows),
        ROWS.family(((service, *key), counts.rows) for key, counts in rows),
        TRACKED.family([((service,), reading.statements_tracked)]),
    ]

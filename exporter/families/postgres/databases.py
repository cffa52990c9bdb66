"""pg_stat_database_*, pg_database_* and the tables of each database.

Rule: as in server.py. A table that is not among the biggest has no series; how many those are
is a series of its own.
"""

from collections import Counter

from exporter.families.metric import Family, Row, gauge
from exporter.families.postgres.shape import SERVICE, Shape, counters, gauges, shaped
from exporter.readings import Postgres

_ID = ("datid", "datname")
STAT_DATABASE = Shape(
    "stat_database",
    gauges("pg_stat_database", _ID, {"numbackends": "Sessions in the database."})
    | counters(
        "pg_stat_database",
        _ID,
        {
            "xact_commit": "Transactions committed.",
            "xact_rollback": "Transactions rolled back.",
            "blks_read": "Blocks read from disk.",
            "blks_hit": "Blocks found in the buffer cache.",
            "tup_returned": "Rows read.",
            "tup_fetched": "Rows fetched by queries.",
            "tup_inserted": "Rows inserted.",
            "tup_updated": "Rows updated.",
            "tup_deleted": "Rows deleted.",
            "conflicts": "Queries cancelled by recovery.",
            "temp_files": "Temporary files made.",
            "temp_bytes": "Bytes written to temporary files.",
            "deadlocks": "Deadlocks found.",
            "blk_read_time": "Milliseconds spent reading blocks.",
            "blk_write_time": "Milliseconds spent writing blocks.",
            "stats_reset": "When these counters began, Unix seconds.",
            "checksum_failures": "Pages whose checksum was wrong; absent without checksums.",
            "sessions": "Sessions begun.",
            "sessions_abandoned": "Sessions whose client went away.",
            "sessions_fatal": "Sessions ended by a fatal error.",
            "sessions_killed": "Sessions ended by an operator.",
            "parallel_workers_to_launch": "Parallel workers planned.",
            "parallel_workers_launched": "Parallel workers launched.",
        },
    )
    | counters(
        "pg_stat_database",
        _ID,
        {
            "active_time": "Time spent running statements.",
            "session_time": "Time spent in sessions.",
            "idle_in_transaction_time": "Time spent idle in a transaction.",
        },
        suffix="_seconds_total",
    )
    | {
        "checksum_last_failure": gauge(
            "pg_stat_database_checksum_last_failure_timestamp_seconds",
            "When a page's checksum was last found wrong.",
            (*SERVICE, *_ID),
        )
    },
)
_NAME = (*SERVICE, "datname")
DATABASE = Shape(
    "database",
    {
        "connection_limit": gauge(
            "pg_database_connection_limit", "Connections it may have, -1 = any.", _NAME
        ),
        "age_datfrozenxid": gauge(
            "pg_database_wraparound_age_datfrozenxid_seconds",
            "Transactions since the oldest that is not frozen (not seconds: a name of old).",
            _NAME,
        ),
        "age_datminmxid": gauge(
            "pg_database_wraparound_age_datminmxid_seconds",
            "Multixacts since the oldest that is not replaced (not seconds: a name of old).",
            _NAME,
        ),
    },
)
SIZE = Shape(
    "database_size",
    {"size_bytes": gauge("pg_database_size_bytes", "Size on disk; read now and then.", _NAME)},
)
_TABLE = ("datname", "schemaname", "relname")
USER_TABLES = Shape(
    "stat_user_tables",
    counters(
        "pg_stat_user_tables",
        _TABLE,
        {
            "seq_scan": "Sequential scans.",
            "seq_tup_read": "Rows read by sequential scans.",
            "idx_scan": "Index scans.",
            "idx_tup_fetch": "Rows fetched by index scans.",
            "n_tup_ins": "Rows inserted.",
            "n_tup_upd": "Rows updated.",
            "n_tup_del": "Rows deleted.",
            "n_tup_hot_upd": "Rows updated without touching an index.",
            "vacuum_count": "Manual vacuums.",
            "autovacuum_count": "Vacuums by autovacuum.",
            "analyze_count": "Manual analyzes.",
            "autoanalyze_count": "Analyzes by autovacuum.",
        },
    )
    | gauges(
        "pg_stat_user_tables",
        _TABLE,
        {
            "n_live_tup": "Estimated live rows.",
            "n_dead_tup": "Estimated dead rows.",
            "n_mod_since_analyze": "Rows changed since the last analyze.",
            "n_ins_since_vacuum": "Rows inserted since the last vacuum.",
            "last_vacuum": "Last manual vacuum, Unix seconds, 0 = never.",
            "last_autovacuum": "Last vacuum by autovacuum, Unix seconds, 0 = never.",
            "last_analyze": "Last manual analyze, Unix seconds, 0 = never.",
            "last_autoanalyze": "Last analyze by autovacuum, Unix seconds, 0 = never.",
            "dead_tuple_ratio": "Dead rows of all rows; absent for an empty table.",
        },
    )
    | {
        "vacuum_age": gauge(
            "pg_stat_user_tables_vacuum_age_seconds",
            "Since the last vacuum of either kind; absent when there was none.",
            (*SERVICE, *_TABLE),
        ),
        "relation_size_estimate": gauge(
            "pg_stat_user_tables_relation_size_estimate_bytes",
            "Size without indexes as of the last vacuum or analyze; asks no lock.",
            (*SERVICE, *_TABLE),
        ),
    },
)
LEFT_OUT = gauge(
    "pg_stat_user_tables_left_out", "Tables without series: over the configured limit.", _NAME
)
_STATIO = counters(
    "pg_statio_user_tables",
    _TABLE,
    {
        "heap_blocks_read": "Blocks of the table read from disk.",
        "heap_blocks_hit": "Blocks of the table found in the buffer cache.",
        "idx_blocks_read": "Blocks of its indexes read from disk.",
        "idx_blocks_hit": "Blocks of its indexes found in the buffer cache.",
        "toast_blocks_read": "Blocks of its TOAST table read from disk.",
        "toast_blocks_hit": "Blocks of its TOAST table found in the buffer cache.",
        "tidx_blocks_read": "Blocks of its TOAST indexes read from disk.",
        "tidx_blocks_hit": "Blocks of its TOAST indexes found in the buffer cache.",
    },
)
STATIO = Shape(
    "statio_user_tables",
    {name.replace("blocks", "blks"): metric for name, metric in _STATIO.items()},
)
TABLE_SIZE = Shape(
    "table_size",
    gauges(
        "pg_stat_user_tables",
        _TABLE,
        {
            "table_size_bytes": "Size with TOAST, without indexes; read now and then, "
            "not while an exclusive lock is held or waited for.",
            "index_size_bytes": "Size of all its indexes; read like table_size_bytes.",
        },
    ),
)
BLOAT = Shape(
    "bloat",
    {
        "bloat_estimate": gauge(
            "pg_stat_user_tables_bloat_estimate_bytes",
            "Space beyond what the rows need, from the planner's statistics; read now and then.",
            (*SERVICE, *_TABLE),
        )
    },
)
_VACUUM = ("datname", "relname")
PHASES = (
    "initializing",
    "scanning heap",
    "vacuuming indexes",
    "vacuuming heap",
    "cleaning up indexes",
    "truncating heap",
    "performing final cleanup",
)
VACUUM_PHASE = gauge(
    "pg_stat_progress_vacuum_phase",
    "1 for the phase that a running vacuum is in.",
    (*SERVICE, *_VACUUM, "phase"),
)
VACUUM = gauges(
    "pg_stat_progress_vacuum",
    _VACUUM,
    {
        "heap_blks": "Blocks of the table.",
        "heap_blks_scanned": "Blocks scanned.",
        "heap_blks_vacuumed": "Blocks vacuumed.",
        "index_vacuums": "Rounds over the indexes done.",
        "max_dead_tuples": "Dead rows that fit in memory; bytes since PostgreSQL 17.",
        "num_dead_tuples": "Dead rows collected since the last round.",
    },
)
_SHAPES = (STAT_DATABASE, DATABASE, SIZE, USER_TABLES, STATIO, TABLE_SIZE, BLOAT)


def families(service: str, reading: Postgres) -> list[Family | Row]:
    found: list[Family | Row] = []
    for shape in _SHAPES:
        found += shaped(service, reading.tables, shape)
    return [*found, *_left_out(service, reading), *_vacuums(service, reading)]


def _left_out(service: str, reading: Postgres) -> list[Family]:
    table = reading.tables.get("stat_user_tables")
    if table is None:
        return []
    shown = Counter(labels[0] for labels, _ in table.rows)
    index = table.columns.index("tables")
    there = {labels[0]: numbers[index] or 0 for labels, numbers in table.rows}
    return [LEFT_OUT.family(((service, name), there[name] - shown[name]) for name in shown)]


def _vacuums(service: str, reading: Postgres) -> list[Family | Row]:
    table = reading.tables.get("stat_progress_vacuum")
    if table is None:
        return []
    plain = type(table)(table.columns, [(labels[:2], row) for labels, row in table.rows])
    phases = (
        ((service, *labels[:2], phase), 1 if phase == labels[2] else 0)
        for labels, _ in table.rows
        for phase in PHASES
    )
    return [
        VACUUM_PHASE.family(phases),
        *shaped(service, {"vacuum": plain}, Shape("vacuum", VACUUM)),
    ]

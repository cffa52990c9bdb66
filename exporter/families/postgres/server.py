"""pg_*: what belongs to the whole server, and how reading it went.

Rule: postgres_exporter's names, types and units, with the service as label. Legacy names keep
theirs: counters without _total, times in milliseconds where the server counts those.
"""

from exporter.families.metric import Family, Row, gauge
from exporter.families.postgres.shape import SERVICE, Shape, counters, gauges, shaped
from exporter.readings import Cause, Postgres, Unreachable

UP = gauge("pg_up", "1 if the server answered this scrape's query.", SERVICE)
STATIC = gauge("pg_static", "1, with the server's version.", (*SERVICE, "version", "short_version"))
LAST_ERROR = gauge(
    "pg_exporter_last_scrape_error", "1 if any part of the last scrape failed.", SERVICE
)
LAST_DURATION = gauge(
    "pg_exporter_last_scrape_duration_seconds", "How long the last scrape took.", SERVICE
)
_COLLECTOR = (*SERVICE, "collector")
PART_SUCCESS = gauge(
    "pg_scrape_collector_success", "1 if this part of the scrape was read.", _COLLECTOR
)
PART_DURATION = gauge(
    "pg_scrape_collector_duration_seconds", "How long reading this part took.", _COLLECTOR
)
PART_SUCCESS_AT = gauge(
    "pg_scrape_collector_last_success_timestamp_seconds",
    "When a part that is dear, and kept for a while, was last read from the server.",
    _COLLECTOR,
)
CONNECT_SUCCESS = gauge(
    "pg_connect_success", "1 if the last login on a new connection succeeded.", SERVICE
)
CONNECT_DURATION = gauge(
    "pg_connect_duration_seconds", "How long the last login on a new connection took.", SERVICE
)
SERVER = Shape(
    "server",
    {
        "start_time_seconds": gauge(
            "pg_postmaster_start_time_seconds", "When the server started.", SERVICE
        ),
        "is_replica": gauge("pg_replication_is_replica", "1 if the server is a replica.", SERVICE),
        "lag_seconds": gauge(
            "pg_replication_lag_seconds", "How far a replica is behind its primary.", SERVICE
        ),
        "last_replay": gauge(
            "pg_replication_last_replay_seconds", "Age of the last replayed transaction.", SERVICE
        ),
        "txid_current": gauge("pg_txid_current", "The next transaction id.", SERVICE),
    },
)
BGWRITER = Shape(
    "stat_bgwriter",
    counters(
        "pg_stat_bgwriter",
        (),
        {
            "checkpoints_timed": "Scheduled checkpoints done.",
            "checkpoints_req": "Requested checkpoints done.",
            "checkpoint_write_time": "Milliseconds checkpoints spent writing.",
            "checkpoint_sync_time": "Milliseconds checkpoints spent synchronising.",
            "buffers_checkpoint": "Buffers written by checkpoints.",
            "buffers_clean": "Buffers written by the background writer.",
            "maxwritten_clean": "Cleaning scans stopped for having written too much.",
            "buffers_backend": "Buffers written by backends themselves.",
            "buffers_backend_fsync": "fsync calls that backends had to make themselves.",
            "buffers_alloc": "Buffers allocated.",
            "stats_reset": "When these counters began, Unix seconds.",
        },
        suffix="_total",
    ),
)
CHECKPOINTER = Shape(
    "stat_checkpointer",
    counters(
        "pg_stat_checkpointer",
        (),
        {
            "num_timed": "Scheduled checkpoints.",
            "num_requested": "Requested checkpoints.",
            "restartpoints_timed": "Scheduled restartpoints.",
            "restartpoints_req": "Requested restartpoints.",
            "restartpoints_done": "Restartpoints done.",
            "write_time": "Milliseconds spent writing.",
            "sync_time": "Milliseconds spent synchronising.",
            "buffers_written": "Buffers written by checkpoints and restartpoints.",
            "stats_reset": "When these counters began, Unix seconds.",
        },
        suffix="_total",
    ),
)
ARCHIVER = Shape(
    "stat_archiver",
    counters(
        "pg_stat_archiver",
        (),
        {"archived_count": "WAL files archived.", "failed_count": "Archivings that failed."},
    )
    | gauges(
        "pg_stat_archiver", (), {"last_archive_age": "Seconds since a WAL file was archived."}
    ),
)
WAL = Shape(
    "wal",
    gauges("pg_wal", (), {"segments": "WAL files.", "size_bytes": "Size of all WAL files."}),
)
ROLES = Shape(
    "roles",
    gauges(
        "pg_roles", ("rolname",), {"connection_limit": "Connections the role may have, -1 = any."}
    ),
)
_IO = ("backend_type", "object", "context")
IO = Shape(
    "stat_io",
    counters(
        "pg_stat_io",
        _IO,
        {
            "reads": "Read operations.",
            "read_time": "Milliseconds spent reading.",
            "read_bytes": "Bytes read.",
            "writes": "Write operations.",
            "write_time": "Milliseconds spent writing.",
            "write_bytes": "Bytes written.",
            "writebacks": "Units asked to be written out.",
            "writeback_time": "Milliseconds spent in write-back.",
            "extends": "Extensions of relations.",
            "extend_time": "Milliseconds spent extending.",
            "extend_bytes": "Bytes by which relations were extended.",
            "hits": "Blocks found in shared buffers.",
            "evictions": "Blocks evicted to make room.",
            "reuses": "Buffers of a ring that were used again.",
            "fsyncs": "fsync calls.",
            "fsync_time": "Milliseconds spent in fsync.",
        },
        suffix="_total",
    ),
)
_SHAPES = (SERVER, BGWRITER, CHECKPOINTER, ARCHIVER, WAL, ROLES, IO)
# pg_stat_database's prefix of slots: two label sets, as postgres_exporter has them.
SLOT_ACTIVE = gauge(
    "pg_replication_slots_active", "1 if the slot is in use.", (*SERVICE, "slot_name", "database")
)
SLOT_DIFF = gauge(
    "pg_replication_slots_pg_wal_lsn_diff",
    "Bytes of WAL the slot keeps back.",
    (*SERVICE, "slot_name", "database"),
)
_SLOT = (*SERVICE, "slot_name", "slot_type")
SLOT_GAUGES = {
    "slot_current_wal_lsn": gauge(
        "pg_replication_slots_slot_current_wal_lsn", "The server's WAL position.", _SLOT
    ),
    "slot_confirmed_flush_lsn": gauge(
        "pg_replication_slots_slot_confirmed_flush_lsn", "Position flushed by the consumer.", _SLOT
    ),
    "active": gauge("pg_replication_slots_slot_is_active", "1 if the slot is in use.", _SLOT),
    "safe_wal_size": gauge(
        "pg_replication_slots_safe_wal_size_bytes",
        "Bytes that can be written before the slot is in danger of being lost.",
        _SLOT,
    ),
}
SLOT_STATUS = gauge(
    "pg_replication_slots_wal_status",
    "1, with the availability of the WAL that the slot needs.",
    (*_SLOT, "wal_status"),
)
STAT_REPLICATION = Shape(
    "stat_replication",
    gauges(
        "pg_stat_replication",
        ("application_name", "client_addr", "state", "slot_name", "pid"),
        {
            "pg_current_wal_lsn_bytes": "The server's WAL position.",
            "pg_wal_lsn_diff": "Bytes the standby is behind.",
        },
    ),
)
READ_FAILED = (Cause.DNS, Cause.CONNECT, Cause.AUTH, Cause.REFUSED)


def without(service: str, why: Unreachable) -> list[Family]:
    families = [UP.family([((service,), 0)]), LAST_ERROR.family([((service,), 1)])]
    if why.cause in READ_FAILED:
        families.append(CONNECT_SUCCESS.family([((service,), 0)]))
    return families


def families(service: str, reading: Postgres) -> list[Family | Row]:
    login, one = reading.login, (service,)
    parts = reading.parts.items()
    found: list[Family | Row] = [
        UP.family([(one, 1)]),
        STATIC.family([((service, reading.version, reading.short_version), 1)]),
        LAST_ERROR.family([(one, 1 if reading.problems else 0)]),
        LAST_DURATION.family([(one, reading.duration_seconds)]),
        PART_SUCCESS.family(((service, name), 0 if part.error else 1) for name, part in parts),
        PART_DURATION.family(((service, name), part.duration_seconds) for name, part in parts),
        PART_SUCCESS_AT.family(
            ((service, name), part.last_success_at) for name, part in parts if part.last_success_at
        ),
    ]
    if login:
        found += [
            CONNECT_SUCCESS.family([(one, 1 if login.success else 0)]),
            CONNECT_DURATION.family([(one, login.duration_seconds)]),
        ]
    for shape in (*_SHAPES, STAT_REPLICATION):
        found += shaped(service, reading.tables, shape)
    return [*found, *_slots(service, reading)]


def _slots(service: str, reading: Postgres) -> list[Family]:
    table = reading.tables.get("replication_slots")
    if table is None:
        return []
    rows = [(labels, dict(zip(table.columns, row, strict=True))) for labels, row in table.rows]
    plain = {"active": SLOT_ACTIVE, "pg_wal_lsn_diff": SLOT_DIFF}
    return [
        *(
            metric.family(
                ((service, name, database), number)
                for (name, _, database, _), row in rows
                if (number := row[column]) is not None
            )
            for column, metric in plain.items()
        ),
        *(
            metric.family(
                ((service, name, kind), number)
                for (name, kind, _, _), row in rows
                if (number := row[column]) is not None
            )
            for column, metric in SLOT_GAUGES.items()
        ),
        SLOT_STATUS.family(((service, name, kind, word), 1) for (name, kind, _, word), _ in rows),
    ]

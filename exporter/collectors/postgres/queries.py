"""The named queries: one part of the reading each, for one version of the server.

Rule: pure. A query selects its label columns first, as text, then numbers that need no
decimal type. No query takes a lock on a user's table, but sizes, which look for locks first.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

PG14, PG15, PG16, PG17, PG18 = 140000, 150000, 160000, 170000, 180000


class Scope(StrEnum):
    SERVER = "server"
    DATABASE = "database"  # asked on a connection to each database


class Keep(StrEnum):
    """How long an answer is good."""

    SCRAPE = "scrape"
    INTERVAL = "interval"  # the target's slow_interval
    LONG = "long"  # ten times as long


@dataclass(frozen=True, slots=True)
class Query:
    """sql: for a server_version_num, None where the server has nothing like it.

    by_datid: the first label is a database's oid, to be replaced by its name.
    takes: names of fields of the target that are the parameters.
    """

    part: str
    sql: Callable[[int], str | None]
    labels: int = 0
    scope: Scope = Scope.SERVER
    keep: Keep = Keep.SCRAPE
    by_datid: bool = False
    takes: tuple[str, ...] = ()
    optional: bool = False


# $1: the scrape's remaining time. One round trip proves that the server answers.
HELLO = """
select set_config('statement_timeout', %s, false), version(),
  current_setting('server_version_num')::int, pg_conf_load_time()::text,
  extract(epoch from pg_postmaster_start_time())::float8, pg_is_in_recovery()::int,
  case when not pg_is_in_recovery() or pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0
    else greatest(0, extract(epoch from now() - pg_last_xact_replay_timestamp())) end::float8,
  greatest(0, extract(epoch from now() - pg_last_xact_replay_timestamp()))::float8,
  pg_snapshot_xmax(pg_current_snapshot())::text::float8,
  exists (select from pg_get_replication_slots()), exists (select from pg_stat_get_wal_senders()),
  exists (select from pg_stat_get_progress_info('VACUUM'))
"""
HELLO_COLUMNS = ("start_time_seconds", "is_replica", "lag_seconds", "last_replay", "txid_current")
# What hello tells is empty, as it mostly is, is not asked for.
HELLO_FINDS = ("replication_slots", "stat_replication", "stat_progress_vacuum")
SETTINGS = """
select name, setting, coalesce(unit, ''), vartype from pg_settings
where vartype in ('bool', 'integer', 'real')
"""


def _stat_database(version: int) -> str:
    since_14 = """, session_time / 1000 as session_time, active_time / 1000 as active_time,
      idle_in_transaction_time / 1000 as idle_in_transaction_time, sessions,
      sessions_abandoned, sessions_fatal, sessions_killed"""
    since_18 = ", parallel_workers_to_launch, parallel_workers_launched"
    return f"""
    select datid::text, datname, numbackends, xact_commit, xact_rollback, blks_read, blks_hit,
      tup_returned, tup_fetched, tup_inserted, tup_updated, tup_deleted, conflicts, temp_files,
      temp_bytes, deadlocks, blk_read_time, blk_write_time, checksum_failures,
      extract(epoch from checksum_last_failure)::float8 as checksum_last_failure,
      coalesce(extract(epoch from stats_reset), 0)::float8 as stats_reset
      {since_14 if version >= PG14 else ""}{since_18 if version >= PG18 else ""}
    from pg_stat_database where datname is not null
    """  # noqa: S608  constants of this function


# The function under pg_stat_activity: the same rows, without joins that need catalogue locks.
# %s: the application names that may be labels.
_STAT_ACTIVITY = """
select coalesce(datid, 0)::text, coalesce(state, ''), coalesce(pg_get_userbyid(usesysid), ''),
  case when application_name = any(%s) or application_name = '' then application_name
    else 'other' end,
  coalesce(backend_type, ''), coalesce(wait_event_type, ''), coalesce(wait_event, ''),
  count(*) as count,
  coalesce(max(extract(epoch from now() - xact_start)), 0)::float8 as max_tx_duration,
  count(*) filter (where state <> 'idle' and now() - xact_start > interval '1 minute')
    as long_transactions,
  max(case when state <> 'idle' then extract(epoch from clock_timestamp() - xact_start) end)
    ::float8 as oldest_transaction,
  max(case when state like 'idle in transaction%%'
    then extract(epoch from clock_timestamp() - state_change) end)::float8 as idle_in_transaction
from pg_stat_get_activity(null) where application_name is distinct from 'stackmedic-exporter'
group by 1, 2, 3, 4, 5, 6, 7
"""


def _locks(version: int) -> str:
    waited = "extract(epoch from clock_timestamp() - waitstart)" if version >= PG14 else "null"
    # A wait for a row is a wait for its transaction, which belongs to no database: the
    # waiter's counts.
    return f"""
    select coalesce(case when granted then database
        else coalesce(nullif(database, 0), (select datid from pg_stat_get_activity(l.pid))) end,
      0)::text,
      lower(mode), count(*) filter (where database is not null) as count,
      count(*) filter (where not granted) as waiting_count, max({waited})::float8 as wait_seconds
    from pg_lock_status() l group by 1, 2
    """  # noqa: S608  constants of this function


def _stat_bgwriter(version: int) -> str:
    older = """checkpoints_timed, checkpoints_req, checkpoint_write_time, checkpoint_sync_time,
      buffers_checkpoint, buffers_backend, buffers_backend_fsync,"""
    return f"""
    select {older if version < PG17 else ""} buffers_clean, maxwritten_clean, buffers_alloc,
      coalesce(extract(epoch from stats_reset), 0)::float8 as stats_reset from pg_stat_bgwriter
    """  # noqa: S608  constants of this function


_STAT_CHECKPOINTER = """
select num_timed, num_requested, restartpoints_timed, restartpoints_req, restartpoints_done,
  write_time, sync_time, buffers_written,
  coalesce(extract(epoch from stats_reset), 0)::float8 as stats_reset from pg_stat_checkpointer
"""
_STAT_ARCHIVER = """
select archived_count, failed_count,
  extract(epoch from now() - last_archived_time)::float8 as last_archive_age from pg_stat_archiver
"""
_POSITION = "case when pg_is_in_recovery() then pg_last_wal_receive_lsn() \
else pg_current_wal_lsn() end"
_REPLICATION_SLOTS = f"""
select slot_name::text, coalesce(slot_type, ''), coalesce(database, ''), coalesce(wal_status, ''),
  active::int as active, (here - restart_lsn)::float8 as pg_wal_lsn_diff,
  (here - '0/0')::float8 as slot_current_wal_lsn,
  case when active then (coalesce(confirmed_flush_lsn, '0/0') - '0/0')::float8 end
    as slot_confirmed_flush_lsn, safe_wal_size::float8 as safe_wal_size
from pg_replication_slots, (select {_POSITION} as here) position
"""  # noqa: S608  the constant above
_STAT_REPLICATION = f"""
select coalesce(r.application_name, ''), coalesce(r.client_addr::text, ''), coalesce(r.state, ''),
  coalesce(s.slot_name::text, ''), r.pid::text,
  (here - '0/0')::float8 as pg_current_wal_lsn_bytes,
  (here - r.replay_lsn)::float8 as pg_wal_lsn_diff
from pg_stat_replication r left join pg_replication_slots s on s.active_pid = r.pid,
  (select {_POSITION} as here) position
"""  # noqa: S608  the constant above


def _stat_progress_vacuum(version: int) -> str:
    dead = (
        "max_dead_tuple_bytes as max_dead_tuples, num_dead_item_ids as num_dead_tuples"
        if version >= PG17
        else "max_dead_tuples, num_dead_tuples"
    )
    return f"""
    select datname, coalesce(case when datid = (select oid from pg_database
        where datname = current_database()) then (select relname::text from pg_class
        where oid = relid) end, relid::text), phase,
      heap_blks_total as heap_blks, heap_blks_scanned, heap_blks_vacuumed,
      index_vacuum_count as index_vacuums, {dead}
    from pg_stat_progress_vacuum
    """  # noqa: S608  constants of this function


def _stat_io(version: int) -> str | None:
    if version < PG16:
        return None
    bytes_of = "read_bytes, write_bytes, extend_bytes"
    if version < PG18:
        bytes_of = "reads * op_bytes as read_bytes, writes * op_bytes as write_bytes, \
extends * op_bytes as extend_bytes"
    sums = ", ".join(
        f"({part.partition(' as ')[0]})::float8 as {part.split()[-1]}"
        for part in bytes_of.split(", ")
    )
    return f"""
    select backend_type, object, context, reads, read_time, writes, write_time, writebacks,
      writeback_time, extends, extend_time, hits, evictions, reuses, fsyncs, fsync_time, {sums}
    from pg_stat_io
    """  # noqa: S608  constants of this function


_PROCESS_IDLE = """
select state, case when application_name = any(%s) or application_name = '' then application_name
    else 'other' end,
  count(*) as count, sum(idle)::float8 as sum, count(*) filter (where idle <= 1) as le_1,
  count(*) filter (where idle <= 2) as le_2, count(*) filter (where idle <= 5) as le_5,
  count(*) filter (where idle <= 15) as le_15, count(*) filter (where idle <= 30) as le_30,
  count(*) filter (where idle <= 60) as le_60, count(*) filter (where idle <= 90) as le_90,
  count(*) filter (where idle <= 120) as le_120, count(*) filter (where idle <= 300) as le_300
from (select state, application_name,
    extract(epoch from clock_timestamp() - state_change)::float8 as idle
  from pg_stat_get_activity(null)
  where state like 'idle%%' and application_name <> 'stackmedic-exporter') s
group by 1, 2
"""
# Also what discovery chooses from: reachable = 1 for a database that may be connected to.
_DATABASE = """
select datname, datconnlimit as connection_limit, age(datfrozenxid) as age_datfrozenxid,
  mxid_age(datminmxid) as age_datminmxid,
  (datallowconn and not datistemplate and has_database_privilege(oid, 'CONNECT'))::int as reachable
from pg_database
"""
_ROLES = "select rolname, rolconnlimit as connection_limit from pg_roles"
_WAL = """
select count(*) as segments, coalesce(sum(size), 0)::float8 as size_bytes from pg_ls_waldir()
where name ~ '^[0-9A-F]{24}$'
"""
_DATABASE_SIZE = """
select datname, pg_database_size(oid) as size_bytes from pg_database
where datallowconn and has_database_privilege(oid, 'CONNECT')
"""
_STAT_USER_TABLES = """
select current_database()::text, s.schemaname, s.relname, seq_scan, seq_tup_read, idx_scan,
  idx_tup_fetch, n_tup_ins, n_tup_upd, n_tup_del, n_tup_hot_upd, n_live_tup, n_dead_tup,
  n_mod_since_analyze, n_ins_since_vacuum,
  coalesce(extract(epoch from last_vacuum), 0)::float8 as last_vacuum,
  coalesce(extract(epoch from last_autovacuum), 0)::float8 as last_autovacuum,
  coalesce(extract(epoch from last_analyze), 0)::float8 as last_analyze,
  coalesce(extract(epoch from last_autoanalyze), 0)::float8 as last_autoanalyze,
  vacuum_count, autovacuum_count, analyze_count, autoanalyze_count,
  extract(epoch from now() - greatest(last_vacuum, last_autovacuum))::float8 as vacuum_age,
  n_dead_tup::float8 / nullif(n_live_tup + n_dead_tup, 0) as dead_tuple_ratio,
  c.relpages::float8 * current_setting('block_size')::int as relation_size_estimate,
  count(*) over () as tables
from pg_stat_user_tables s join pg_class c on c.oid = s.relid
order by c.relpages desc, c.oid limit %s
"""
_STATIO_USER_TABLES = """
select current_database()::text, s.schemaname, s.relname, heap_blks_read, heap_blks_hit,
  idx_blks_read, idx_blks_hit, toast_blks_read, toast_blks_hit, tidx_blks_read, tidx_blks_hit
from pg_statio_user_tables s join pg_class c on c.oid = s.relid
order by c.relpages desc, c.oid limit %s
"""
# Sizing waits behind an AccessExclusiveLock, also behind one that is itself still waiting: a
# table that has one on itself, its TOAST table or an index is left out.
_TABLE_SIZE = """
with locked as materialized (select relation from pg_lock_status() l
  where mode = 'AccessExclusiveLock' and locktype = 'relation'
    and database = (select oid from pg_database where datname = current_database())),
biggest as materialized (select c.oid, n.nspname, c.relname
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'm') and n.nspname not in ('pg_catalog', 'information_schema')
    and n.nspname !~ '^pg_(toast|temp)' and c.oid not in (select relation from locked)
    and c.reltoastrelid not in (select relation from locked)
    and not exists (select from pg_index i
      where i.indrelid = c.oid and i.indexrelid in (select relation from locked))
  order by c.relpages desc, c.oid limit %s)
select current_database()::text, nspname, relname, pg_table_size(oid) as table_size_bytes,
  pg_indexes_size(oid) as index_size_bytes from biggest
"""
# Pages there are, less the pages that the rows would fill by the planner's statistics: 28 bytes
# a row for its header and its pointer, 24 a page.
_BLOAT = """
select current_database()::text, n.nspname, c.relname,
  greatest(0, c.relpages - ceil(c.reltuples * (28 + ceil(w.width / 8) * 8)
    / ((b.size - 24) * coalesce(substring(c.reloptions::text from 'fillfactor=(\\d+)')::float8, 100)
    / 100))) * b.size as bloat_estimate
from pg_class c join pg_namespace n on n.oid = c.relnamespace
join (select schemaname, tablename, sum((1 - null_frac) * avg_width)::float8 as width
  from pg_stats where not inherited and schemaname not in ('pg_catalog', 'information_schema')
  group by 1, 2) w on w.schemaname = n.nspname and w.tablename = c.relname,
(select current_setting('block_size')::float8 as size) b
where c.relkind in ('r', 'm') and c.reltuples > 0 order by c.relpages desc, c.oid limit %s
"""


def _always(sql: str) -> Callable[[int], str]:
    return lambda _: sql


# In this order: what alerts need first, what is dear last.
QUERIES = (
    Query("stat_database", _stat_database, labels=2),
    Query(
        "stat_activity",
        _always(_STAT_ACTIVITY),
        labels=7,
        by_datid=True,
        takes=("application_names",),
    ),
    Query("locks", _locks, labels=2, by_datid=True),
    Query("stat_bgwriter", _stat_bgwriter),
    Query("stat_checkpointer", lambda v: _STAT_CHECKPOINTER if v >= PG17 else None),
    Query("stat_archiver", _always(_STAT_ARCHIVER)),
    Query("replication_slots", _always(_REPLICATION_SLOTS), labels=4),
    Query("stat_replication", _always(_STAT_REPLICATION), labels=5),
    Query("stat_progress_vacuum", _stat_progress_vacuum, labels=3),
    Query("stat_io", _stat_io, labels=3, optional=True),
    Query(
        "process_idle",
        _always(_PROCESS_IDLE),
        labels=2,
        takes=("application_names",),
        optional=True,
    ),
    Query("database", _always(_DATABASE), labels=1, keep=Keep.INTERVAL),
    Query("roles", _always(_ROLES), labels=1, keep=Keep.INTERVAL),
    Query("wal", _always(_WAL), keep=Keep.INTERVAL),
    Query("database_size", _always(_DATABASE_SIZE), labels=1, keep=Keep.INTERVAL),
    Query(
        "stat_user_tables",
        _always(_STAT_USER_TABLES),
        labels=3,
        scope=Scope.DATABASE,
        takes=("tables_limit",),
    ),
    Query(
        "statio_user_tables",
        _always(_STATIO_USER_TABLES),
        labels=3,
        scope=Scope.DATABASE,
        takes=("tables_limit",),
    ),
    Query(
        "table_size",
        _always(_TABLE_SIZE),
        labels=3,
        scope=Scope.DATABASE,
        keep=Keep.LONG,
        takes=("tables_limit",),
    ),
    Query(
        "bloat",
        _always(_BLOAT),
        labels=3,
        scope=Scope.DATABASE,
        keep=Keep.LONG,
        takes=("tables_limit",),
    ),
)

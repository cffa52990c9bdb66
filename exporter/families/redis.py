"""redis_*: INFO under redis_exporter's names, with the service as label.

Rule: a field that this server does not have, or that is no number, is absent.
"""

import re
from collections.abc import Iterator, Mapping

from exporter.families.metric import Family, Metric, Sample, counter, gauge
from exporter.readings import Redis, Unreachable
from exporter.targets import RedisServer

_S = ("service",)
UP = gauge("redis_up", "1 if the server answered.", _S)
INSTANCE = gauge(
    "redis_instance_info",
    "1, with what the server says of itself.",
    (*_S, "role", "redis_version", "redis_mode", "maxmemory_policy"),
)
DB_KEYS = gauge("redis_db_keys", "Keys in the database.", (*_S, "db"))
DB_EXPIRING = gauge("redis_db_keys_expiring", "Keys that will expire.", (*_S, "db"))
DB_TTL = gauge("redis_db_avg_ttl_seconds", "Average time to live of expiring keys.", (*_S, "db"))
COMMANDS = counter("redis_commands_total", "Calls by command.", (*_S, "cmd"))
COMMAND_SECONDS = counter(
    "redis_commands_duration_seconds_total", "Time spent by command.", (*_S, "cmd")
)
COMMANDS_REJECTED = counter(
    "redis_commands_rejected_calls_total", "Calls refused before they ran.", (*_S, "cmd")
)
COMMANDS_FAILED = counter("redis_commands_failed_calls_total", "Calls that failed.", (*_S, "cmd"))
ERRORS = counter("redis_errors_total", "Error replies by kind.", (*_S, "err"))
START = gauge("redis_start_time_seconds", "Start of the server, Unix time.", _S)

# name without redis_ <- INFO field
_GAUGES = """
active_defrag_running<-active_defrag_running aof_base_size_bytes<-aof_base_size
aof_current_size_bytes<-aof_current_size aof_enabled<-aof_enabled
aof_last_bgrewrite_status<-aof_last_bgrewrite_status
aof_last_rewrite_duration_sec<-aof_last_rewrite_time_sec
aof_last_write_status<-aof_last_write_status aof_rewrite_in_progress<-aof_rewrite_in_progress
allocator_active_bytes<-allocator_active allocator_allocated_bytes<-allocator_allocated
allocator_frag_bytes<-allocator_frag_bytes allocator_frag_ratio<-allocator_frag_ratio
allocator_resident_bytes<-allocator_resident allocator_rss_bytes<-allocator_rss_bytes
allocator_rss_ratio<-allocator_rss_ratio blocked_clients<-blocked_clients
client_recent_max_input_buffer_bytes<-client_recent_max_input_buffer
client_recent_max_output_buffer_bytes<-client_recent_max_output_buffer
connected_clients<-connected_clients connected_slaves<-connected_slaves
config_maxclients<-maxclients config_maxmemory<-maxmemory
latest_fork_usec<-latest_fork_usec lazyfree_pending_objects<-lazyfree_pending_objects
loading_dump_file<-loading master_repl_offset<-master_repl_offset
mem_clients_normal<-mem_clients_normal mem_clients_slaves<-mem_clients_slaves
mem_fragmentation_bytes<-mem_fragmentation_bytes mem_fragmentation_ratio<-mem_fragmentation_ratio
mem_not_counted_for_eviction_bytes<-mem_not_counted_for_evict memory_max_bytes<-maxmemory
memory_used_bytes<-used_memory memory_used_dataset_bytes<-used_memory_dataset
memory_used_lua_bytes<-used_memory_lua memory_used_overhead_bytes<-used_memory_overhead
memory_used_peak_bytes<-used_memory_peak memory_used_rss_bytes<-used_memory_rss
memory_used_scripts_bytes<-used_memory_scripts memory_used_startup_bytes<-used_memory_startup
process_id<-process_id pubsub_channels<-pubsub_channels pubsub_patterns<-pubsub_patterns
rdb_bgsave_in_progress<-rdb_bgsave_in_progress
rdb_changes_since_last_save<-rdb_changes_since_last_save
rdb_current_bgsave_duration_sec<-rdb_current_bgsave_time_sec
rdb_last_bgsave_duration_sec<-rdb_last_bgsave_time_sec
rdb_last_bgsave_status<-rdb_last_bgsave_status rdb_last_cow_size_bytes<-rdb_last_cow_size
rdb_last_save_timestamp_seconds<-rdb_last_save_time repl_backlog_is_active<-repl_backlog_active
replica_partial_resync_accepted<-sync_partial_ok replica_partial_resync_denied<-sync_partial_err
replica_resyncs_full<-sync_full replication_backlog_bytes<-repl_backlog_size
second_repl_offset<-second_repl_offset total_system_memory_bytes<-total_system_memory
tracking_clients<-tracking_clients uptime_in_seconds<-uptime_in_seconds
"""
_COUNTERS = """
commands_processed_total<-total_commands_processed
connections_received_total<-total_connections_received
cpu_sys_children_seconds_total<-used_cpu_sys_children cpu_sys_seconds_total<-used_cpu_sys
cpu_user_children_seconds_total<-used_cpu_user_children cpu_user_seconds_total<-used_cpu_user
evicted_keys_total<-evicted_keys expired_keys_total<-expired_keys
expired_time_cap_reached_total<-expired_time_cap_reached_count
keyspace_hits_total<-keyspace_hits keyspace_misses_total<-keyspace_misses
net_input_bytes_total<-total_net_input_bytes net_output_bytes_total<-total_net_output_bytes
rejected_connections_total<-rejected_connections
"""


def _table() -> tuple[tuple[Metric, str], ...]:
    rows: list[tuple[Metric, str]] = []
    for declare, text in ((gauge, _GAUGES), (counter, _COUNTERS)):
        for pair in text.split():
            name, _, field = pair.partition("<-")
            rows.append((declare(f"redis_{name}", f"{field} of INFO.", _S), field))
    return tuple(rows)


FIELDS = _table()
_STATUS = {"ok": 1.0, "err": 0.0, "fail": 0.0}
_COMMAND = re.compile(r"[a-z0-9_|.\-]{1,64}")


def families(server: RedisServer, reading: Redis | Unreachable) -> list[Family]:
    service = server.service
    if isinstance(reading, Unreachable):
        return [UP.family([((service,), 0)])]
    info = reading.info
    found = [UP.family([((service,), 1)])]
    for metric, field in FIELDS:
        number = _number(info.get(field))
        if number is not None:
            found.append(metric.family([((service,), number)]))
    found.append(INSTANCE.family([((service, *_identity(info)), 1)]))
    now, up = _number(info.get("server_time_usec")), _number(info.get("uptime_in_seconds"))
    if now is not None and up is not None:
        found.append(START.family([((service,), round(now / 1e6 - up))]))
    return [*found, *_keyspace(service, reading), *_commands(service, info)]


def _identity(info: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(info.get(key, "") for key in INSTANCE.labels[1:])


def _keyspace(service: str, reading: Redis) -> list[Family]:
    # An empty database has no line of its own, and a flushed one must not vanish.
    rows: dict[str, dict[str, float]] = {
        f"db{number}": {} for number in range(reading.databases)
    } | {
        db: numbers
        for db, numbers in _lines(reading.info, "db")
        if db.removeprefix("db").isdecimal()
    }
    return [
        DB_KEYS.family(((service, db), row.get("keys", 0)) for db, row in rows.items()),
        DB_EXPIRING.family(((service, db), row.get("expires", 0)) for db, row in rows.items()),
        DB_TTL.family(
            ((service, db), row["avg_ttl"] / 1000) for db, row in rows.items() if "avg_ttl" in row
        ),
    ]


def _commands(service: str, info: Mapping[str, str]) -> list[Family]:
    rows = {
        key.removeprefix("cmdstat_"): numbers
        for key, numbers in _lines(info, "cmdstat_")
        if _COMMAND.fullmatch(key.removeprefix("cmdstat_"))
    }

    def samples(field: str, scale: float = 1) -> Iterator[Sample]:
        return (((service, cmd), row[field] / scale) for cmd, row in rows.items() if field in row)

    errors = (
        ((service, key.removeprefix("errorstat_")), row["count"])
        for key, row in _lines(info, "errorstat_")
        if "count" in row
    )
    return [
        COMMANDS.family(samples("calls")),
        COMMAND_SECONDS.family(samples("usec", 1e6)),
        COMMANDS_REJECTED.family(samples("rejected_calls")),
        COMMANDS_FAILED.family(samples("failed_calls")),
        ERRORS.family(errors),
    ]


def _lines(info: Mapping[str, str], prefix: str) -> Iterator[tuple[str, dict[str, float]]]:
    """Fields like `db0:keys=1,expires=0` -> (db0, {keys: 1.0, expires: 0.0})."""
    for key, text in info.items():
        if key.startswith(prefix) and "=" in text:
            parts = (part.partition("=") for part in text.split(","))
            numbers = ((name, _number(value)) for name, _, value in parts)
            yield key, {name: number for name, number in numbers if number is not None}


def _number(text: str | None) -> float | None:
    if text is None:
        return None
    if text in _STATUS:
        return _STATUS[text]
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError:
        return None

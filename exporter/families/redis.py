"""redis_*: INFO under redis_exporter's names, with the service as label, and what else is asked.

Rule: a field that this server does not have, or that is no number, is absent. Whatever the
server names (commands, errors, events) is a label only up to a cap; the rest is `other`.
"""

import re
from collections.abc import Iterator, Mapping

from exporter.families import redis_commands
from exporter.families.metric import Family, Metric, Row, counter, gauge
from exporter.families.redis_info import FIELDS, number_of, numbers
from exporter.readings import Redis, Unreachable
from exporter.targets import RedisServer

_S = ("service",)
_MASTER = (*_S, "master_host", "master_port")
_SLAVE = (*_S, "slave_ip", "slave_port", "slave_state")
_OTHERS_KEPT = 64
_SLAVES_KEPT = 32

UP = gauge("redis_up", "1 if the server answered.", _S)
LAST_ERROR = gauge(
    "redis_exporter_last_scrape_error",
    "1 if the last scrape failed, with its cause from a closed list; 0 and no cause if not.",
    (*_S, "err"),
)
LAST_SECONDS = gauge(
    "redis_exporter_last_scrape_duration_seconds", "How long the server was read.", _S
)
CONNECT_SECONDS = gauge(
    "redis_exporter_last_scrape_connect_time_seconds",
    "How long it took to connect; 0 while the kept connection is good.",
    _S,
)
INSTANCE = gauge(
    "redis_instance_info",
    "1, with what the server says of itself.",
    (
        *_S,
        *("role", "redis_version", "redis_build_id", "redis_mode", "os", "maxmemory_policy"),
        *("tcp_port", "run_id", "process_id", "master_replid"),
        *("valkey_version", "valkey_release_stage"),
    ),
)
START = gauge("redis_start_time_seconds", "Start of the server, Unix time.", _S)
FORK = gauge("redis_latest_fork_seconds", "latest_fork_usec of INFO.", _S)
IO_THREADS = counter(
    "redis_active_time_io_thread_seconds_total", "Active time of an I/O thread.", (*_S, "thread")
)
DB_KEYS = gauge("redis_db_keys", "Keys in the database.", (*_S, "db"))
DB_EXPIRING = gauge("redis_db_keys_expiring", "Keys that will expire.", (*_S, "db"))
DB_CACHED = gauge("redis_db_keys_cached", "Keys that are cached, of KeyDB.", (*_S, "db"))
DB_TTL = gauge("redis_db_avg_ttl_seconds", "Average time to live of expiring keys.", (*_S, "db"))
SPIKE_AT = gauge(
    "redis_latency_spike_last", "When the event was last slow, Unix time.", (*_S, "event_name")
)
SPIKE_SECONDS = gauge(
    "redis_latency_spike_duration_seconds", "How long it took then.", (*_S, "event_name")
)
SLOWLOG_LENGTH = gauge("redis_slowlog_length", "Entries in the slow log.", _S)
SLOWLOG_ID = gauge("redis_slowlog_last_id", "Number of the slow log's last entry.", _S)
SLOWLOG_SECONDS = gauge(
    "redis_last_slow_execution_duration_seconds", "Time of the slow log's last entry.", _S
)
SLAVE_OFFSET = gauge("redis_connected_slave_offset_bytes", "Offset of a replica.", _SLAVE)
SLAVE_LAG = gauge("redis_connected_slave_lag_seconds", "Lag of a replica.", _SLAVE)
SLAVE_INFO = gauge("redis_slave_info", "1 on a replica.", (*_MASTER, "read_only"))
LINK_UP = gauge("redis_master_link_up", "1 if the replica's link to its master is up.", _MASTER)
KEY_COUNT = gauge(
    "redis_key_group_count",
    "Keys of the group, counted in the background; see the time of the scan.",
    (*_S, "db", "key_group"),
)
KEY_MEMORY = gauge(
    "redis_key_group_memory_usage_bytes",
    "Memory of the group's keys, estimated from a sample.",
    (*_S, "db", "key_group"),
)
KEY_SCAN_AT = gauge(
    "redis_key_group_scan_timestamp_seconds", "When the keys were last counted, Unix time.", _S
)
KEY_SCAN_SECONDS = gauge(
    "redis_key_group_scan_duration_seconds", "How long that count took, most of it resting.", _S
)
_FOLLOWING = {
    "master_last_io_seconds_ago": gauge(
        "redis_master_last_io_seconds_ago", "Seconds since the master was heard.", _MASTER
    ),
    "master_sync_in_progress": gauge(
        "redis_master_sync_in_progress", "1 while the replica is being filled.", _MASTER
    ),
    "slave_repl_offset": gauge("redis_slave_repl_offset", "How far the replica has come.", _MASTER),
}

_EVENT = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
_DATABASE = re.compile(r"db\d+")
_SLAVE_FIELD = re.compile(r"slave\d+")
_THREAD = "used_active_time_io_thread_"


def families(server: RedisServer, reading: Redis | Unreachable) -> list[Family | Row]:
    key = (server.service,)
    if isinstance(reading, Unreachable):
        return [
            UP.family([(key, 0)]),
            LAST_ERROR.family([((*key, str(reading.cause)), 1)]),
        ]
    info = reading.info
    found: list[Family | Row] = [
        UP.family([(key, 1)]),
        LAST_ERROR.family([((*key, ""), 0)]),
        LAST_SECONDS.family([(key, reading.duration_seconds)]),
        CONNECT_SECONDS.family([(key, reading.connect_seconds)]),
    ]
    commands: dict[str, str] = {}
    rest: dict[str, str] = {}
    metrics: list[Metric] = []
    figures: list[float] = []
    for field, text in info.items():
        named = FIELDS.get(field)
        if named is None:
            if field.startswith(redis_commands.FIELD):
                commands[field[len(redis_commands.FIELD) :]] = text
            else:
                rest[field] = text
            continue
        number = int(text) if text.isdigit() else number_of(text)
        if number is not None:
            metrics += named
            figures += [number] * len(named)
    found.append(Row(tuple(metrics), key, tuple(figures)))
    found += _server(key, info)
    found += _threads(key, rest)
    found += _keyspace(key, rest, reading.databases)
    found += redis_commands.calls(key, commands)
    found += redis_commands.errors(key, rest)
    if server.latency_percentiles:
        found += redis_commands.percentiles(key, rest, commands)
    found += redis_commands.histograms(key, reading, commands)
    found += _slow(key, reading)
    return [*found, *_replication(key, info, rest), *_key_groups(key, reading)]


def _server(key: tuple[str], info: Mapping[str, str]) -> Iterator[Family]:
    identity = tuple(info.get(label, "") for label in INSTANCE.labels[1:])
    yield INSTANCE.family([((*key, *identity), 1)])
    now, up = number_of(info.get("server_time_usec")), number_of(info.get("uptime_in_seconds"))
    if now is not None and up is not None:
        yield START.family([(key, round(now / 1e6 - up))])
    fork = number_of(info.get("latest_fork_usec"))
    if fork is not None:
        yield FORK.family([(key, fork / 1e6)])


def _threads(key: tuple[str], rest: Mapping[str, str]) -> Iterator[Family]:
    threads = (
        ((*key, field.removeprefix(_THREAD)), number_of(text))
        for field, text in rest.items()
        if field.startswith(_THREAD)
    )
    yield IO_THREADS.family((labels, seconds) for labels, seconds in threads if seconds is not None)


def _keyspace(key: tuple[str], rest: Mapping[str, str], databases: int) -> list[Family]:
    # An empty database has no line of its own, and a flushed one must not vanish.
    rows: dict[str, Mapping[str, float]] = {
        f"db{number}": {} for number in range(min(databases, _OTHERS_KEPT))
    }
    for field, text in rest.items():
        if field.startswith("db") and _DATABASE.fullmatch(field):
            rows[field] = numbers(text)
    labelled = [((*key, db), row) for db, row in rows.items()]
    return [
        Family(DB_KEYS, [(labels, row.get("keys", 0)) for labels, row in labelled]),
        Family(DB_EXPIRING, [(labels, row.get("expires", 0)) for labels, row in labelled]),
        Family(
            DB_TTL,
            [(labels, row["avg_ttl"] / 1000) for labels, row in labelled if "avg_ttl" in row],
        ),
        Family(
            DB_CACHED,
            [(labels, row["cached_keys"]) for labels, row in labelled if "cached_keys" in row],
        ),
    ]


def _slow(key: tuple[str], reading: Redis) -> Iterator[Family]:
    for metric, number in (
        (SLOWLOG_LENGTH, reading.slowlog_length),
        (SLOWLOG_ID, reading.slowlog_last_id),
        (SLOWLOG_SECONDS, reading.slowlog_last_seconds),
    ):
        if number is not None:
            yield metric.family([(key, number)])
    spikes = [(e, s) for e, s in reading.latency_spikes.items() if _EVENT.fullmatch(e)]
    spikes = spikes[:_OTHERS_KEPT]
    yield SPIKE_AT.family(((*key, event), spike.at) for event, spike in spikes)
    yield SPIKE_SECONDS.family(((*key, event), spike.seconds) for event, spike in spikes)


def _replication(
    key: tuple[str], info: Mapping[str, str], rest: Mapping[str, str]
) -> Iterator[Family]:
    slaves: dict[tuple[str, ...], dict[str, str]] = {}
    for field, text in rest.items():
        if field.startswith("slave") and _SLAVE_FIELD.fullmatch(field):
            row = dict(part.partition("=")[::2] for part in text.split(","))
            labels = tuple(row.get(label, "") for label in ("ip", "port", "state"))
            slaves[*key, *labels] = row
    kept = list(slaves.items())[:_SLAVES_KEPT]
    for metric, word in ((SLAVE_OFFSET, "offset"), (SLAVE_LAG, "lag")):
        numbers = ((labels, number_of(row.get(word))) for labels, row in kept)
        yield metric.family((labels, n) for labels, n in numbers if n is not None)
    if info.get("role") != "slave":
        return
    master = (*key, info.get("master_host", ""), info.get("master_port", ""))
    yield SLAVE_INFO.family([((*master, info.get("slave_read_only", "")), 1)])
    if "master_link_status" in info:
        yield LINK_UP.family([(master, info["master_link_status"] == "up")])
    for field, metric in _FOLLOWING.items():
        number = number_of(info.get(field))
        if number is not None:
            yield metric.family([(master, number)])


def _key_groups(key: tuple[str], reading: Redis) -> Iterator[Family]:
    scan = reading.key_groups
    if scan is None:
        return
    rows = [((*key, f"db{db}", name), group) for (db, name), group in scan.groups.items()]
    yield KEY_COUNT.family((labels, group.keys) for labels, group in rows)
    yield KEY_MEMORY.family(
        (labels, group.memory_bytes) for labels, group in rows if group.memory_bytes is not None
    )
    yield KEY_SCAN_AT.family([(key, scan.finished_at)])
    yield KEY_SCAN_SECONDS.family([(key, scan.duration_seconds)])

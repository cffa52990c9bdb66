"""Fixed readings of Redis and Celery for the golden file."""

from typing import Any

from exporter.readings import (
    Cause,
    Celery,
    CeleryQueue,
    KeyGroup,
    KeyGroupScan,
    LatencyHistogram,
    LatencySpike,
    Redis,
    Unreachable,
    WorkerHeart,
)
from exporter.targets import CeleryBroker, RedisServer

INFO = {
    "redis_version": "7.0.15",
    "redis_build_id": "ae4d7c971a948f0",
    "run_id": "6f1ed002ab5595859014ebf0951522d9",
    "tcp_port": "6379",
    "os": "Linux 6.1 x86_64",
    "role": "master",
    "redis_mode": "standalone",
    "maxmemory_policy": "noeviction",
    "maxclients": "10000",
    "used_memory": "941176",
    "maxmemory": "67108864",
    "mem_fragmentation_ratio": "7.56",
    "total_system_memory": "25769803776",
    "connected_clients": "3",
    "rdb_last_bgsave_status": "ok",
    "aof_last_write_status": "err",
    "keyspace_hits": "10",
    "latest_fork_usec": "250",
    "server_time_usec": "1700000100000000",
    "uptime_in_seconds": "100",
    "used_cpu_sys": "0.25",
    "used_active_time_io_thread_1": "0.5",
    "connected_slaves": "1",
    "slave0": "ip=10.0.0.2,port=6379,state=online,offset=42,lag=1",
    "cmdstat_get": "calls=5,usec=100,usec_per_call=20.00,rejected_calls=0,failed_calls=1",
    "cmdstat_config|get": "calls=1,usec=8,usec_per_call=8.00,rejected_calls=0,failed_calls=0",
    "errorstat_WRONGTYPE": "count=1",
    "errorstat_bad\nname": "count=2",
    "latency_percentiles_usec_get": "p50=1.003,p99=9.023,p99.9=20.095",
    "db1": "keys=4,expires=1,avg_ttl=2500",
    "total_forks": "not mapped",
}
REPLICA = {
    "redis_version": "7.2.4",
    "valkey_version": "8.0.1",
    "valkey_release_stage": "ga",
    "role": "slave",
    "master_host": "10.0.0.1",
    "master_port": "6379",
    "master_link_status": "down",
    "master_last_io_seconds_ago": "7",
    "master_sync_in_progress": "0",
    "slave_repl_offset": "41",
    "slave_read_only": "1",
}
SERVER = RedisServer("redis", "redis", 6379, latency_percentiles=True)
BROKER = CeleryBroker("celery", SERVER, db=1)

READINGS: tuple[tuple[str, Any, Any], ...] = (
    (
        "redis",
        SERVER,
        Redis(
            INFO,
            databases=2,
            slowlog_length=2,
            slowlog_last_id=7,
            slowlog_last_seconds=0.25,
            latency_spikes={"command": LatencySpike(1700000050.0, 0.5)},
            latency_histograms={"get": LatencyHistogram(5, ((1, 3), (33, 5)))},
            key_groups=KeyGroupScan(
                {(0, "temp"): KeyGroup(10, 720.0), (0, "unclassified"): KeyGroup(2)},
                1700000040.0,
                3.5,
            ),
            connect_seconds=0.001953125,
            duration_seconds=0.00390625,
        ),
    ),
    ("redis", RedisServer("replica", "replica", 6379), Redis(REPLICA)),
    ("redis", RedisServer("cache", "cache", 6379), Unreachable(Cause.TIMEOUT)),
    (
        "celery",
        BROKER,
        Celery(
            queues={
                "celery": CeleryQueue({0: 2, 3: 0, 6: 0, 9: 1}, 1700000010.0),
                "mail": CeleryQueue({0: 0, 3: 0, 6: 0, 9: 0}, 1700000100.0),
            },
            unacked=3,
            unacked_oldest=1700000020.5,
            workers=(
                WorkerHeart(
                    "celery@blue", "celery-blue", up=True, last_heartbeat=1700000099.5, active=2
                ),
                WorkerHeart("celery@green", "celery-green", up=False, last_heartbeat=1700000001.5),
                WorkerHeart("celery@new", "celery-new"),
            ),
            heartbeats_folded=4,
        ),
    ),
    ("celery", CeleryBroker("away", SERVER), Unreachable(Cause.CONNECT)),
)

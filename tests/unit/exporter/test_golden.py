"""The whole of /metrics from fixed readings. Rewrite with: pytest --golden-update."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from exporter.collectors import COLLECTORS
from exporter.exposition import Encoder
from exporter.families import configuration, scrape
from exporter.families.metric import Family
from exporter.readings import (
    Backup,
    BackupFault,
    Backups,
    Cause,
    Certificate,
    CertificateFiles,
    Container,
    ContainerLog,
    Containers,
    ContainerState,
    Disks,
    Filesystem,
    FilesystemFault,
    Health,
    HealthDocument,
    HealthWord,
    Interface,
    LiveColour,
    Login,
    Logs,
    Networks,
    Nginx,
    PartState,
    Postgres,
    Probe,
    ProbeFailure,
    Process,
    Setting,
    Statements,
    Table,
    Textfile,
    Textfiles,
    TextSamples,
    Tls,
    Unreachable,
    Usage,
    Usages,
    VerifyError,
)
from exporter.readings.cgroups import DeviceIO
from exporter.readings.containers import Machine
from exporter.readings.logs import JSON_FILE
from exporter.readings.probes import Durations
from exporter.targets import (
    BackupFolder,
    CertificateFile,
    ColourSwitch,
    Database,
    Engine,
    LogFolder,
    NginxServer,
    ProbeTarget,
    Service,
    TextfileFolder,
)
from tests.unit.exporter import readings_redis

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "exporter" / "metrics.prom"

ENGINE = Engine(
    "tcp://engine:2375",
    projects=("core", "blue"),
    services=(
        Service("redis", "core", "redis"),
        Service("backend-blue", "blue", "backend"),
        Service("celery-blue", "blue", "celery-worker"),
    ),
)
REDIS = Container(
    id="1" * 64,
    name="redis-production",
    image="redis:7-alpine",
    state=ContainerState.RUNNING,
    project="core",
    compose_service="redis",
    health=Health.HEALTHY,
    image_id="sha256:12",
    restart_policy="unless-stopped",
    restarts=2,
    pid=42,
    created_at=1700000000.0,
    started_at=1700000000.5,
    memory_limit_bytes=67108864,
    cpu_quota=50000,
    cpu_period=100000,
)
BACKEND = Container(
    id="2" * 64,
    name="backend-blue",
    image='odd "image"\\',
    state=ContainerState.EXITED,
    project="blue",
    compose_service="backend",
    exit_code=137,
    oom_killed=True,
    started_at=1700000000.0,
    finished_at=1700000100.0,
)
USAGE = Usage(
    cpu_seconds=1.5,
    cpu_user_seconds=1.0,
    cpu_system_seconds=0.5,
    cfs_periods=7,
    cfs_throttled_periods=3,
    cfs_throttled_seconds=2.5,
    memory_bytes=1000,
    working_set_bytes=750,
    max_usage_bytes=2000,
    limit_hits=4,
    rss_bytes=600,
    cache_bytes=300,
    mapped_file_bytes=20,
    swap_bytes=5,
    page_faults=70,
    major_page_faults=2,
    processes=4,
    cpu_waiting_seconds=0.5,
    cpu_stalled_seconds=0.25,
    memory_waiting_seconds=0.125,
    memory_stalled_seconds=0.0625,
    io_waiting_seconds=8.0,
    io_stalled_seconds=4.0,
    devices=(DeviceIO("/dev/sda", 4096, 8192, 1, 2),),
)
FOREIGN = Container(id="3" * 64, name="foreign", image="x", state=ContainerState.RUNNING)

POSTGRES = Postgres(
    version="PostgreSQL 17.2 (Debian)",
    short_version="17.2.0",
    tables={
        "server": Table(
            ("start_time_seconds", "is_replica", "lag_seconds", "last_replay", "txid_current"),
            [((), (1700000000.5, 0, 0.0, None, 741.0))],
        ),
        "stat_database": Table(
            ("numbackends", "xact_commit", "blk_read_time", "active_time", "checksum_failures"),
            [(("16384", "app"), (3, 10, 0.5, 1.25, None)), (("5", "spare"), (0, 1, 0.0, 0.0, 2))],
        ),
        "stat_activity": Table(
            (
                "count",
                "max_tx_duration",
                "long_transactions",
                "oldest_transaction",
                "idle_in_transaction",
            ),
            [
                (
                    ("app", "active", "app", "", "client backend", "Lock", "relation"),
                    (2, 61.5, 1, 61.5, None),
                ),
                (
                    ("app", "idle in transaction", "app", "other", "client backend", "Client", "x"),
                    (1, 5.0, 0, 5.0, 4.5),
                ),
                (
                    ("", "", "", "", "checkpointer", "Activity", "CheckpointerMain"),
                    (1, 0, 0, None, None),
                ),
            ],
        ),
        "locks": Table(
            ("count", "waiting_count", "wait_seconds"),
            [
                (("app", "accesssharelock"), (3, 2, 61.25)),
                (("", "exclusivelock"), (5, 0, None)),
            ],
        ),
        "stat_bgwriter": Table(("buffers_clean", "stats_reset"), [((), (7, 1700000000.0))]),
        "stat_checkpointer": Table(("num_timed", "write_time"), [((), (4, 125.5))]),
        "stat_archiver": Table(
            ("archived_count", "failed_count", "last_archive_age"), [((), (2, 1, 30.5))]
        ),
        "replication_slots": Table(
            (
                "active",
                "pg_wal_lsn_diff",
                "slot_current_wal_lsn",
                "slot_confirmed_flush_lsn",
                "safe_wal_size",
            ),
            [(("s1", "physical", "", "reserved"), (0, 100.0, 5000.0, None, None))],
        ),
        "stat_replication": Table(
            ("pg_current_wal_lsn_bytes", "pg_wal_lsn_diff"),
            [(("walreceiver", "10.0.0.2", "streaming", "s1", "42"), (5000.0, 16.0))],
        ),
        "stat_progress_vacuum": Table(
            ("heap_blks", "heap_blks_scanned"), [(("app", "lessons", "scanning heap"), (100, 40))]
        ),
        "stat_io": Table(
            ("reads", "read_bytes"), [(("client backend", "relation", "normal"), (5, 40960.0))]
        ),
        "process_idle": Table(
            ("count", "sum", *(f"le_{n}" for n in (1, 2, 5, 15, 30, 60, 90, 120, 300))),
            [(("idle", "other"), (2, 12.5, 0, 0, 1, 2, 2, 2, 2, 2, 2))],
        ),
        "database": Table(
            ("connection_limit", "age_datfrozenxid", "age_datminmxid", "reachable"),
            [(("app",), (-1, 20, 1, 1))],
        ),
        "roles": Table(("connection_limit",), [(("app",), (-1,))]),
        "wal": Table(("segments", "size_bytes"), [((), (2, 33554432.0))]),
        "database_size": Table(("size_bytes",), [(("app",), (7757159,))]),
        "stat_user_tables": Table(
            ("seq_scan", "n_dead_tup", "dead_tuple_ratio", "vacuum_age", "tables"),
            [(("app", "public", "lessons"), (9, 5, 0.05, None, 3))],
        ),
        "statio_user_tables": Table(
            ("heap_blks_read", "tidx_blks_hit"), [(("app", "public", "lessons"), (9, None))]
        ),
        "table_size": Table(
            ("table_size_bytes", "index_size_bytes"), [(("app", "public", "lessons"), (8192, 0))]
        ),
        "bloat": Table(("bloat_estimate",), [(("app", "public", "lessons"), (0.0,))]),
    },
    parts={
        "locks": PartState("", 0.001, 1700000000.0),
        "wal": PartState("permission denied", 0.002, 0.0),
    },
    settings=(
        Setting("max_connections", "100", "", "integer"),
        Setting("shared_buffers", "16384", "8kB", "integer"),
        Setting("statement_timeout", "1500", "ms", "integer"),
        Setting("autovacuum_work_mem", "-1", "kB", "integer"),
        Setting("fsync", "on", "", "bool"),
        Setting("strange.one-setting", "0.5", "", "real"),
    ),
    statements=Statements(
        columns=("calls", "seconds", "rows", "wal_bytes"),
        rows={("app", "app", "-17"): (5, 0.25, 50, 10.0), ("", "", "other"): (1, 0.5, 0, 0.0)},
        tracked=12,
        dealloc=3.0,
        stats_reset_at=1700000000.0,
        texts={"-17": 'select "a" from b'},
    ),
    login=Login(success=True, duration_seconds=0.0078125),
    duration_seconds=0.015625,
    problems=("wal: permission denied",),
)

CERTIFICATE = Certificate("site", "Authority", 2748, 1.6e9, 1.7e9, ("site.example",))
BACKUPS = BackupFolder(
    "db", "postgres", "/b", "*.gz", 86400.0, 10, "gzip", "verified", 3e6, 60.0, 60.0
)

READINGS: tuple[tuple[str, Any, Any], ...] = (
    (
        "docker",
        ENGINE,
        Containers(
            seen_at=1700000200.0,
            containers=(BACKEND, FOREIGN, REDIS),
            exits={("backend-blue", "137"): 1, ("gone", "0"): 1},
            oom_events={"backend-blue": 1},
            machine=Machine(2, 4 << 30),
        ),
    ),
    (
        "cgroups",
        ENGINE,
        Usages(((REDIS, USAGE),)),
    ),
    (
        "network",
        ENGINE,
        Networks(((REDIS, (Interface("eth0", (100, 2, 0, 1), (50, 1, 0, 0)),)),)),
    ),
    (
        "postgres",
        Database("postgres", "db", 5432, "app", "app"),
        POSTGRES,
    ),
    ("postgres", Database("replica", "db2", 5432, "app", "app"), Unreachable(Cause.CONNECT)),
    *readings_redis.READINGS,
    (
        "logs",
        LogFolder("/logs", "/state", ENGINE),
        Logs(
            logs=(
                ContainerLog(
                    REDIS,
                    {("stderr", "error"): 1},
                    20,
                    JSON_FILE,
                    lag_bytes=5,
                    last_message_at=1_700_000_000.0,
                    matches={"oom": 1},
                    fingerprints={"0123456789ab": 1, "other": 0},
                ),
            ),
            rotations=1,
            lines_dropped={"nonsense": 2},
        ),
    ),
    (
        "probes",
        ProbeTarget("backend-blue-detailed", "http://b/", "backend-blue", "blue"),
        Probe(
            failure=None,
            duration_seconds=0.25,
            status_code=200,
            content_length=120,
            http_version=1.1,
            phases={"resolve": 0.125, "connect": 0.0625},
            health=HealthDocument(HealthWord.DEGRADED, {"database": True, "celery": False}),
        ),
    ),
    ("probes", ProbeTarget("site", "http://n/", "site"), Probe(ProbeFailure.CONNECT, 0.5)),
    (
        "probes",
        ProbeTarget("tls", "https://t/", "site"),
        Probe(
            ProbeFailure.TLS,
            0.5,
            timeout_seconds=2.0,
            ip="10.0.0.1",
            tls=Tls("TLS 1.3", "SUITE", False, VerifyError.EXPIRED, (CERTIFICATE,), "ab"),  # noqa: FBT003  the reading's word
            attempts=3,
            failures={ProbeFailure.TLS: 2},
            durations=Durations().with_one(0.5).with_one(0.03).with_one(12.0),
        ),
    ),
    (
        "probes",
        ProbeTarget("checked", "https://c/", "site"),
        Probe(
            None,
            0.5,
            status_code=200,
            over_tls=True,
            redirects=1,
            last_modified=1.6e9,
            failed_regex=False,
            tls=Tls("TLS 1.3", "SUITE", True, chain=(CERTIFICATE,)),  # noqa: FBT003  the reading's word
            json_values={"pool.size": 5.0},
            health=HealthDocument(
                HealthWord.HEALTHY, {"database": True}, {"database": 0.5}, {"database": "15.2"}
            ),
        ),
    ),
    ("nginx", NginxServer("nginx", "http://n/"), Nginx(2, 30, 29, 70, 6, 5, 4)),
    (
        "certificates",
        (CertificateFile("nginx", "/c.pem"), CertificateFile("nginx", "/gone.pem")),
        CertificateFiles(1.7e9, {"/c.pem": (CERTIFICATE,)}, {"/gone.pem": "not there"}),
    ),
    (
        "disks",
        (),
        Disks(
            (
                Filesystem("/", "/dev/sda1", "ext4", 1000, 600, 500, 100, 50),
                Filesystem("/nfs", "nas:/x", "nfs4", fault=FilesystemFault.STUCK),
            )
        ),
    ),
    ("backups", BACKUPS, Backups(1.7e9, Backup("db", "postgres", None, 1.6e9, 4096, 3, 1.5e9))),
    (
        "backups",
        replace(BACKUPS, name="never", verification=None),
        Backups(1.7e9, Backup("never", "postgres", BackupFault.MISSING)),
    ),
    (
        "textfiles",
        TextfileFolder("/t"),
        Textfiles(
            (
                Textfile(
                    "a.prom",
                    1.6e9,
                    (
                        TextSamples(
                            "job_runs_total", "Runs.", counter=True, samples=(({"job": "a"}, 3.0),)
                        ),
                    ),
                ),
                Textfile("b.prom", error="not the text format"),
            )
        ),
    ),
    ("probes", ProbeTarget("late", "http://l/", "late"), Unreachable(Cause.DEADLINE)),
    ("colours", ColourSwitch("backend", "http://n/live", ("blue", "green")), LiveColour("green")),
    ("process", None, Process(1.5, 1024, 2048, 1700000000.0, 12, 1024)),
)
UNTOLD = (
    "certificates",
    "disks",
    "celery",
    "docker",
    "cgroups",
    "network",
    "logs",
    "colours",
    "process",
)


def everything() -> list[Family]:
    by_name = {source.name: source for source in COLLECTORS}
    families = [f for name, target, seen in READINGS for f in by_name[name].families(target, seen)]
    outcomes = [scrape.Outcome("docker", "", 0.5), scrape.Outcome("redis", "timeout", 1.0)]
    return [
        *families,
        *scrape.collectors(outcomes, {"redis": 3}),
        *configuration.families(configuration.State(1.7e9, (), "web-1")),
        *scrape.exporter("1.2.3", dropped=0),
    ]


def test_the_whole_of_metrics_is_as_agreed(golden_update: bool) -> None:  # noqa: FBT001  a fixture
    done = Encoder().encode(everything())
    if golden_update:
        GOLDEN.write_bytes(done.body)

    assert done.dropped == 0
    assert done.body.decode() == GOLDEN.read_text()


def test_the_golden_file_is_good_exposition_text() -> None:
    families = list(text_string_to_metric_families(GOLDEN.read_text()))

    assert len(families) > 60
    assert all(family.documentation for family in families)


def test_every_source_has_a_reading_here() -> None:
    assert {name for name, _, _ in READINGS} == {source.name for source in COLLECTORS}


def test_what_was_not_read_is_absent_not_zero() -> None:
    by_name = {source.name: source for source in COLLECTORS}
    targets = {name: target for name, target, _ in READINGS}

    for name in UNTOLD:
        assert by_name[name].families(targets[name], Unreachable(Cause.DEADLINE)) == []

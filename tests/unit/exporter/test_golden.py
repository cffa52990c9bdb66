"""The whole of /metrics from fixed readings. Rewrite with: pytest --golden-update."""

from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from exporter.collectors import COLLECTORS
from exporter.exposition import Encoder
from exporter.families import scrape
from exporter.families.metric import Family
from exporter.readings import (
    Cause,
    Container,
    ContainerLog,
    Containers,
    ContainerState,
    Health,
    HealthDocument,
    HealthWord,
    Interface,
    LiveColour,
    Logs,
    Networks,
    Postgres,
    Probe,
    ProbeFailure,
    Process,
    StatementCounts,
    Unreachable,
    Usage,
    Usages,
)
from exporter.readings.cgroups import DeviceIO
from exporter.readings.containers import Machine
from exporter.targets import (
    ColourSwitch,
    Database,
    Engine,
    LogFolder,
    ProbeTarget,
    Service,
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
        Postgres(
            version="15.20 (Debian)",
            settings={"max_connections": 100.0},
            sessions={("app", "active"): 2},
            databases={("16384", "app"): {"numbackends": 3.0, "xact_commit": 10.0}},
            sizes={"app": 7757159},
            statements={
                ("app", "app", "-17"): StatementCounts(5, 0.25, 50),
                ("", "", "other"): StatementCounts(1, 0.5, 0),
            },
            statements_tracked=12,
        ),
    ),
    ("postgres", Database("replica", "db2", 5432, "app", "app"), Unreachable(Cause.CONNECT)),
    *readings_redis.READINGS,
    (
        "logs",
        LogFolder("/logs", "/state", ENGINE),
        Logs(
            logs=(ContainerLog(REDIS, {("stderr", "error"): 1}, {"stderr": 20}, lag_bytes=5),),
            rotations=1,
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
    ("probes", ProbeTarget("late", "http://l/", "late"), Unreachable(Cause.DEADLINE)),
    ("colours", ColourSwitch("backend", "http://n/live", ("blue", "green")), LiveColour("green")),
    ("process", None, Process(1.5, 1024, 2048, 1700000000.0, 12, 1024)),
)
UNTOLD = ("celery", "docker", "cgroups", "network", "logs", "colours", "process")


def everything() -> list[Family]:
    by_name = {source.name: source for source in COLLECTORS}
    families = [f for name, target, seen in READINGS for f in by_name[name].families(target, seen)]
    outcomes = [scrape.Outcome("docker", "", 0.5), scrape.Outcome("redis", "timeout", 1.0)]
    return [
        *families,
        *scrape.collectors(outcomes, {"redis": 3}),
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

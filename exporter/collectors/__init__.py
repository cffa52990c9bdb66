"""The one table of what can be collected.

Rule: one line per source. Importing this has no effect and pulls in no source's library: a
source is imported when it has a target, so an exporter without Postgres has no psycopg.
"""
# ruff: noqa: PLC0415  importing late is the rule above; a row's target and reading
# are its own types, which a table of different rows cannot name

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from exporter.collectors.port import Clocks, Collector, ContainerSet
from exporter.families import (
    backups,
    celery,
    certificates,
    cgroups,
    colours,
    containers,
    disks,
    logs,
    network,
    nginx,
    postgres,
    probes,
    process,
    redis,
    textfiles,
)
from exporter.families.metric import Families
from exporter.targets import (
    NEVER,
    BackupFolder,
    CeleryBroker,
    CertificateFile,
    ColourSwitch,
    Database,
    Disk,
    Engine,
    LogFolder,
    NginxServer,
    ProbeTarget,
    RedisServer,
    Targets,
    TextfileFolder,
)

if TYPE_CHECKING:
    from exporter.collectors.stats_api import EngineStats


@dataclass(frozen=True, slots=True)
class Wiring:
    """What collectors are given besides their target."""

    clocks: Clocks
    containers: ContainerSet | None
    stats: "EngineStats | None" = None  # None: never to be asked


@dataclass(frozen=True, slots=True)
class Source:
    """One row. targets: what it looks at in this configuration; none = not configured."""

    name: str
    targets: Callable[[Targets], Sequence[Any]]
    open: Callable[[Any, Wiring], Collector[Any]]
    families: Callable[[Any, Any], Families]


def _docker(_: Engine, wiring: Wiring) -> Collector[Any]:
    from exporter.collectors.docker import DockerCollector, EventedContainers

    return DockerCollector(cast("EventedContainers", wiring.containers))


def _cgroups(engine: Engine, wiring: Wiring) -> Collector[Any]:
    from exporter.collectors.cgroups import CgroupCollector

    return CgroupCollector(engine, cast("ContainerSet", wiring.containers), wiring.stats)


def _network(engine: Engine, wiring: Wiring) -> Collector[Any]:
    from exporter.collectors.network import NetworkCollector

    return NetworkCollector(engine, cast("ContainerSet", wiring.containers), wiring.stats)


def _postgres(database: Database, wiring: Wiring) -> Collector[Any]:
    from exporter.collectors.postgres.collector import PostgresCollector

    return PostgresCollector(database, wiring.clocks)


def _redis(server: RedisServer, wiring: Wiring) -> Collector[Any]:
    from exporter.collectors.redis import RedisCollector

    return RedisCollector(server, wiring.clocks)


def _celery(broker: CeleryBroker, wiring: Wiring) -> Collector[Any]:
    from exporter.collectors.celery import CeleryCollector

    return CeleryCollector(broker, wiring.clocks)


def _logs(folder: LogFolder, wiring: Wiring) -> Collector[Any]:
    from exporter.collectors.logs import LogCollector

    return LogCollector(folder, cast("ContainerSet", wiring.containers), wiring.clocks)


def _probe(target: ProbeTarget, wiring: Wiring) -> Collector[Any]:
    from exporter.collectors.probe_interval import IntervalProbe
    from exporter.collectors.probes import ProbeCollector

    if target.interval is None:
        return ProbeCollector(target, wiring.clocks)
    return IntervalProbe(target, target.interval, wiring.clocks)


def _colours(switch: ColourSwitch, wiring: Wiring) -> Collector[Any]:
    from exporter.collectors.colours import ColourCollector

    return ColourCollector(switch, wiring.clocks.monotonic)


def _nginx(server: NginxServer, wiring: Wiring) -> Collector[Any]:
    from exporter.collectors.nginx import NginxCollector

    return NginxCollector(server, wiring.clocks.monotonic)


def _certificates(files: Sequence[CertificateFile], wiring: Wiring) -> Collector[Any]:
    from exporter.collectors.certificates import CertificateCollector

    return CertificateCollector(files, wiring.clocks.wall)


def _disks(listed: Sequence[Disk], wiring: Wiring) -> Collector[Any]:
    from exporter.collectors.disks import DiskCollector

    return DiskCollector(listed, wiring.clocks.monotonic)


def _backups(folder: BackupFolder, wiring: Wiring) -> Collector[Any]:
    from exporter.collectors.backups import BackupCollector

    return BackupCollector(folder, wiring.clocks)


def _textfiles(folder: TextfileFolder, _: Wiring) -> Collector[Any]:
    from exporter.collectors.textfiles import TextfileCollector

    return TextfileCollector(folder)


def _process(_: None, __: Wiring) -> Collector[Any]:
    from exporter.collectors.process import ProcessCollector

    return ProcessCollector()


COLLECTORS = (
    Source("docker", lambda t: [t.engine] if t.engine else [], _docker, containers.families),
    Source(
        "cgroups",
        lambda t: [t.engine] if t.engine and t.engine.has_usage() else [],
        _cgroups,
        cgroups.families,
    ),
    Source(
        "network",
        lambda t: [t.engine] if t.engine and t.engine.has_network() else [],
        _network,
        network.families,
    ),
    Source("postgres", lambda t: t.databases, _postgres, postgres.families),
    Source("redis", lambda t: t.redis_servers, _redis, redis.families),
    Source("celery", lambda t: t.celery_brokers, _celery, celery.families),
    Source("logs", lambda t: [t.logs] if t.logs else [], _logs, logs.families),
    Source("probes", lambda t: t.probes, _probe, probes.families),
    Source("colours", lambda t: t.colours, _colours, colours.families),
    Source("nginx", lambda t: t.nginx_servers, _nginx, nginx.families),
    Source(
        "certificates",
        lambda t: [t.certificates] if t.certificates else [],
        _certificates,
        certificates.families,
    ),
    Source("disks", lambda t: [t.disks] if t.disks else [], _disks, disks.families),
    Source("backups", lambda t: t.backups, _backups, backups.families),
    Source("process", lambda _: [None], _process, process.families),
    # Last: where a file speaks of a metric of the exporter's own, the exporter's counts.
    Source(
        "textfiles", lambda t: [t.textfiles] if t.textfiles else [], _textfiles, textfiles.families
    ),
)


@dataclass(frozen=True, slots=True)
class Opened:
    """One source with one target, ready to be run. name is the collector label."""

    name: str
    target: Any
    collector: Collector[Any]
    families: Callable[[Any, Any], Families]


class Sources:
    """What is open, so that a new configuration reopens only what it changes."""

    def __init__(self, clocks: Clocks) -> None:
        self._wiring = Wiring(clocks, None)
        self._engine: Engine | None = None

    def unchanged(self, targets: Targets, opened: Sequence[Opened]) -> list[Opened]:
        """Those of opened that these targets want as they are."""
        wanted = [
            (source.name, target) for source in COLLECTORS for target in source.targets(targets)
        ]
        return [item for item in opened if (item.name, item.target) in wanted]

    def open(self, targets: Targets, kept: Sequence[Opened] = ()) -> list[Opened]:
        """Every configured source. Nothing is contacted yet, so nothing can be away."""
        if targets.engine != self._engine:
            clocks = self._wiring.clocks
            self._wiring = _wiring(targets.engine, clocks)
            self._engine = targets.engine
        ready = {(item.name, item.target): item for item in kept}
        return [
            ready.get((source.name, target)) or self._opened(source, target)
            for source in COLLECTORS
            for target in source.targets(targets)
        ]

    def _opened(self, source: Source, target: Any) -> Opened:  # noqa: ANN401  a row's own type
        return Opened(source.name, target, source.open(target, self._wiring), source.families)


def open_all(targets: Targets, clocks: Clocks) -> list[Opened]:
    """Open every configured source, once."""
    return Sources(clocks).open(targets)


def _wiring(engine: Engine | None, clocks: Clocks) -> Wiring:
    if engine is None:
        return Wiring(clocks, None)
    from exporter.collectors.docker import EventedContainers
    from exporter.collectors.stats_api import EngineStats

    containers = EventedContainers(engine, clocks)
    containers.start()
    stats = None if engine.stats_api == NEVER else EngineStats(engine.url, clocks)
    return Wiring(clocks, containers, stats)

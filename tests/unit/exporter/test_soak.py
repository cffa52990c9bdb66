"""Two hours of scrapes at 15 s while everything comes and goes, in seconds: memory stays flat.

Everything runs as it does in the exporter: the scraper, the encoder, the pages, the event
stream's thread and the log reader's. Only what they look at is made here, and the clock. The
same load is repeated in phases, with names never seen before; what a later phase holds more
than an earlier one is a leak.
"""

import collections
import functools
import gc
import json
import os
import pathlib
import queue
import shutil
import sys
import tempfile
import threading
import tracemalloc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from exporter.collectors import Opened, event_counts, logtail
from exporter.collectors.cgroups import CgroupCollector
from exporter.collectors.docker import DockerCollector, EventedContainers
from exporter.collectors.engine import NotFound
from exporter.collectors.logs import LogCollector
from exporter.collectors.port import Clock, Clocks
from exporter.collectors.probes import ProbeCollector
from exporter.collectors.statements import TopStatements
from exporter.collectors.textfiles import TextfileCollector
from exporter.families import cgroups, containers, logs, probes, redis, textfiles
from exporter.families.configuration import State
from exporter.families.metric import Family
from exporter.families.postgres import statements
from exporter.readings import Redis
from exporter.readings.postgres import StatementKey, Statements
from exporter.scrape import Scraper
from exporter.targets import Engine, LogFolder, ProbeTarget, RedisServer, TextfileFolder
from exporter.web.answers import Exporter, Fixed, InForce

SCRAPES_A_PHASE = 120  # four phases are two hours
EVERY_SECONDS = 15.0
ALIVE, NEW_A_SCRAPE = 8, 3
MOST_NAMES = 100  # not 1,000: their memory must be full before the first comparison
STATEMENTS, NEW_STATEMENTS = 300, 60
MOST_SERIES = 20_000
# Of one MiB: caches are emptied at their bound, which is never at the same place twice, and a
# look may meet what a thread is about to let go.
TOLERANCE = 1.03
SLACK_BYTES = 64 << 10


class FakeEngine:
    """Containers that live for a while, the events they cause, and their files."""

    def __init__(self, root: Path) -> None:
        self.alive: list[str] = []
        self._cgroups, self._logs = root / "cgroup", root / "logs"
        for folder in (self._cgroups, self._logs):
            folder.mkdir()
        (self._cgroups / "cgroup.controllers").touch()
        self._born = 0
        self._events: queue.Queue[Mapping[str, Any] | None] = queue.Queue()
        self._now_ns = 0

    def churn(self, scrape: int) -> None:
        """Old ones end, new ones begin; who lives writes errors; now and then a log rotates."""
        while len(self.alive) > ALIVE - NEW_A_SCRAPE:
            self._end(self.alive.pop(0))
        while len(self.alive) < ALIVE:
            self._begin()
        for number, container_id in enumerate(self.alive):
            log = self._log(container_id)
            if scrape % 5 == 0 and number % 4 == 0:
                log.rename(log.with_name(f"{log.name}.1"))
            with log.open("a") as file:
                file.writelines(_lines(container_id, scrape))
        self._events.join()

    def _begin(self) -> None:
        container_id = f"{self._born:064x}"
        self._born += 1
        group = self._cgroups / "docker" / container_id
        group.mkdir(parents=True)
        (group / "memory.current").write_text("1000\n")
        (group / "cpu.stat").write_text("usage_usec 1\nuser_usec 1\nsystem_usec 0\n")
        self._log(container_id).parent.mkdir()
        self._log(container_id).touch()
        self.alive.append(container_id)
        self._tell("start", container_id)

    def _end(self, container_id: str) -> None:
        shutil.rmtree(self._cgroups / "docker" / container_id)
        shutil.rmtree(self._log(container_id).parent)
        self._tell("die", container_id, exitCode="137")
        self._tell("destroy", container_id)

    def _log(self, container_id: str) -> Path:
        return self._logs / container_id / f"{container_id}-json.log"

    def _tell(self, action: str, container_id: str, **attributes: str) -> None:
        self._now_ns += 1
        attributes |= {"name": f"job-{container_id[-8:]}"}
        actor = {"ID": container_id, "Attributes": attributes}
        self._events.put({"Action": action, "timeNano": self._now_ns, "Actor": actor})

    # As EventedContainers connects to it, and asks.

    timeout = 0.0

    def connect(self, url: str, timeout: float) -> "FakeEngine":
        return self

    def containers(self) -> list[Mapping[str, Any]]:
        return [{"Id": container_id, "Labels": {}} for container_id in self.alive]

    def inspect(self, container_id: str) -> Mapping[str, Any]:
        if container_id not in self.alive:
            raise NotFound("gone")
        return {
            "Id": container_id,
            "Name": f"/job-{container_id[-8:]}",
            "Created": "2027-01-01T00:00:00Z",
            "State": {"Status": "running"},
            "Config": {"Image": f"job:{container_id[-6:]}"},
        }

    def ping(self) -> None: ...

    def info(self) -> Mapping[str, Any]:
        return {"NCPU": 2, "MemTotal": 1 << 30}

    def events(self, since: str | None, filters: Mapping[str, Sequence[str]]) -> "FakeStream":
        return FakeStream(self._events)

    def close(self) -> None: ...


@dataclass
class FakeStream:
    events: "queue.Queue[Mapping[str, Any] | None]"

    def __iter__(self) -> Iterator[Any]:
        while (event := self.events.get()) is not None:
            yield event
            self.events.task_done()  # asked for the next one: this one has been worked in

    def close(self) -> None:
        self.events.put(None)

    def release(self) -> None: ...


def _lines(container_id: str, scrape: int) -> Iterator[str]:
    texts = (f"ERROR task {container_id} of {chr(97 + scrape % 26) * 5} failed", "INFO fine")
    for text in texts:
        entry = {"log": f"{text}\n", "stream": "stderr", "time": "2027-01-01T00:00:00.5Z"}
        yield json.dumps(entry, separators=(",", ":")) + "\n"


@dataclass
class FakeStatements:
    """Queryids come and go; the choice among them is the real one."""

    clock: Clock
    scrape: int = 0
    top: TopStatements[StatementKey] = field(default_factory=lambda: TopStatements(50))

    def collect(self, deadline: float) -> "Told":
        self.scrape += 1
        begin = self.scrape * NEW_STATEMENTS
        rows = {
            ("app", "shop", str(queryid)): (float(self.scrape), queryid % 7 + self.scrape, 1.0)
            for queryid in range(begin, begin + STATEMENTS)
        }
        chosen = self.top.update(rows, self.clock())
        all_rows = dict(chosen.top) | {("", "", "other"): chosen.other}
        found = Statements(("calls", "seconds", "rows"), all_rows, len(rows))
        return Told(statements.families("postgres", found))

    def cancel(self) -> None: ...
    def close(self) -> None: ...


@dataclass
class FakeRedis:
    """Commands, errors and databases that were never there before."""

    scrape: int = 0

    def collect(self, deadline: float) -> Redis:
        self.scrape += 1
        new = {f"cmdstat_c{self.scrape}n{n}": "calls=1,usec=2,usec_per_call=2" for n in range(20)}
        errors = {f"errorstat_E{self.scrape}N{n}": "count=1" for n in range(20)}
        keys = {f"db{self.scrape % 16}": "keys=1,expires=0,avg_ttl=0"}
        return Redis({"redis_version": "7.0.0", "used_memory": "1"} | new | errors | keys)

    def cancel(self) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Told:
    """A reading that is its families."""

    families: list[Family]
    problems: tuple[str, ...] = ()


class Stage:
    def __init__(self, root: Path) -> None:
        self.seconds = 0.0
        self.root = root
        self.engine = FakeEngine(root)
        clocks = Clocks(lambda: self.seconds, lambda: 1.8e9 + self.seconds)
        target = Engine(
            "unix:///fake", state_file=str(root / "events"), cgroup_root=str(root / "cgroup")
        )
        kept = EventedContainers(target, clocks, self.engine.connect)
        kept.start()
        folder = LogFolder(str(root / "logs"), str(root / "logs.json"), target)
        textfile = TextfileFolder(str(root / "textfiles"))
        Path(textfile.directory).mkdir()
        probe = ProbeTarget("site", "http://127.0.0.1:1/", "site")
        server = RedisServer("redis", "127.0.0.1", 6379)
        self.scraper = Scraper(
            [
                Opened("docker", target, DockerCollector(kept), containers.families),
                Opened("cgroups", target, CgroupCollector(target, kept), cgroups.families),
                Opened("logs", folder, LogCollector(folder, kept, clocks), logs.families),
                Opened("postgres", None, FakeStatements(clocks.monotonic), _as_told),
                Opened("redis", server, FakeRedis(), redis.families),
                Opened("probes", probe, ProbeCollector(probe, clocks), probes.families),
                Opened("textfiles", textfile, TextfileCollector(textfile), textfiles.families),
            ],
            clocks.monotonic,
        )
        told = InForce(30.0, {}, State(0.0))
        self.exporter = Exporter(self.scraper, Fixed(told), clock=clocks.monotonic, version="0")

    def scrape(self, number: int) -> bytes:
        self.seconds += EVERY_SECONDS
        self.engine.churn(number)
        sample = f'job_last_run_seconds{{job="j{number}"}} {number}\n'
        (self.root / "textfiles" / "jobs.prom").write_text(sample)
        if number % 20 == 0:
            self.exporter.landing()
        return b"".join(self.exporter.metrics({}, None).parts)


def _as_told(_: object, reading: Told) -> list[Family]:
    return reading.families


@dataclass(frozen=True)
class Held:
    """The least of a phase: what caches hold for a while is gone at some time of it."""

    traced_bytes: int
    descriptors: int
    threads: int
    series: int


def bounded_caches() -> list["functools._lru_cache_wrapper[Any]"]:
    modules = [module for name, module in sys.modules.items() if name.startswith("exporter.")]
    found = [value for module in modules for value in vars(module).values()]
    return [value for value in found if isinstance(value, functools._lru_cache_wrapper)]


def traced_bytes() -> int:
    """All that Python holds, but for the one table of interned names that pathlib makes grow."""
    for cache in bounded_caches():  # full or not, they have their bound
        cache.cache_clear()
    gc.collect()
    files = (pathlib.__file__, collections.__file__, tracemalloc.__file__, __file__)
    left_out = [tracemalloc.Filter(inclusive=False, filename_pattern=name) for name in files]
    found = tracemalloc.take_snapshot().filter_traces(left_out)
    return sum(trace.size for trace in found.traces)


def phase(stage: Stage, number: int, *, looks: int) -> Held:
    held = []
    for scrape in range(number * SCRAPES_A_PHASE, (number + 1) * SCRAPES_A_PHASE):
        body = stage.scrape(scrape)
        assert b"stackmedic_scrape_collector_success" in body
        if (scrape + 1) % (SCRAPES_A_PHASE // looks) == 0:
            descriptors, threads = (
                len(list(Path("/proc/self/fd").iterdir())),
                threading.active_count(),
            )
            held.append((traced_bytes(), descriptors, threads, body.count(b"\n")))
    return Held(*(min(column) for column in zip(*held, strict=True)))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    # Thousands of small files: in memory where that can be had.
    memory = Path("/dev/shm")  # its children have random names
    inside = memory if os.access(memory, os.W_OK) else tmp_path
    with tempfile.TemporaryDirectory(dir=inside) as name:
        yield Path(name)


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(logtail, "MAX_NAMES", MOST_NAMES)
    monkeypatch.setattr(event_counts, "MAX_NAMES", MOST_NAMES)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.0001)  # the threads hand over at each of many small reads
    tracemalloc.start()
    yield
    tracemalloc.stop()
    sys.setswitchinterval(interval)


def test_two_hours_of_coming_and_going_leave_nothing_behind(folder: Path, traced: None) -> None:
    stage = Stage(folder)
    try:
        phase(stage, 0, looks=1)
        before = phase(stage, 1, looks=3)
        phase(stage, 2, looks=1)
        after = phase(stage, 3, looks=3)
    finally:
        stage.scraper.close()

    most = before.traced_bytes * TOLERANCE + SLACK_BYTES
    assert after.traced_bytes <= most, (before, after)
    assert (after.descriptors, after.threads) == (before.descriptors, before.threads)
    assert after.series <= before.series * TOLERANCE < MOST_SERIES

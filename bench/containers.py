"""A hundred running containers, all their families, beside the engine's own statistics.

The engine's part is the CPU of dockerd, containerd and every shim, less what they use at rest.
A relay before the engine counts its requests, so that "no engine call in the scrape" is seen
and not believed.
"""

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench.processes import cpu_seconds, fetch, free_port, running, until
from bench.rows import Row, at_most, median, times
from bench.servers import sleepers

SOCKET = "/var/run/docker.sock"
PROJECT = "stackmedic-bench-containers"
ENGINE_PROGRAMS = ("dockerd", "containerd", "containerd-shim")  # and all that begin so
FAMILIES = "/metrics?collect[]=docker&collect[]=cgroups&collect[]=network"
CONTAINERS, SCRAPES, ROUNDS, RESTING_SECONDS = 100, 50, 5, 5.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What one reading of all containers took, in ms: median of own, and with the engine's."""

    own: float
    whole: float
    wall: float


def run(quick: bool) -> list[Row]:
    """Errors: RuntimeError where there is no engine."""
    if not Path(SOCKET).exists():
        raise RuntimeError(f"no engine at {SOCKET}")
    count, rounds = (10, 2) if quick else (CONTAINERS, ROUNDS)
    with sleepers(PROJECT, count), relay() as engine:
        rest = resting()
        with exporter(engine.url, "never") as (pid, url):
            body = fetch(url + FAMILIES)
            before = engine.asked
            ours = [scraped(pid, url, rest, SCRAPES) for _ in range(rounds)]
            asked = engine.asked - before
        with exporter(engine.url, "always") as (pid, url):
            api = [scraped(pid, url, rest, 1) for _ in range(rounds)]
        client = [docker_stats(rest) for _ in range(rounds)]
    what = f"{count} containers, all their families, {body.count(b'{'):,} series"
    own, whole = median([c.own for c in ours]), median([c.whole for c in ours])
    return [
        Row(f"scrape of {what}: own CPU", own, "ms", bar=at_most(8)),
        Row("the same: requests to the engine by scrapes", asked, "requests", bar=at_most(0)),
        Row(
            "the same: own CPU and the engine's",
            whole,
            "ms",
            median([c.whole for c in client]),
            "docker stats --no-stream",
            times(100),
        ),
        Row(
            "the same",
            whole,
            "ms",
            median([c.whole for c in api]),
            "stats API, all containers at once",
            times(100),
        ),
        Row(
            "the same: wall time",
            median([c.wall for c in ours]),
            "ms",
            median([c.wall for c in api]),
            "stats API, all containers at once",
        ),
    ]


def scraped(pid: int, url: str, rest: float, scrapes: int) -> Cost:
    own = cpu_seconds(pid)
    wall, engine = _with_engine(rest, lambda: [fetch(url + FAMILIES) for _ in range(scrapes)])
    own = cpu_seconds(pid) - own
    return Cost(*(1000 * seconds / scrapes for seconds in (own, own + engine, wall)))


def docker_stats(rest: float) -> Cost:
    command = ["docker", "stats", "--no-stream"]

    def ask() -> None:
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)

    def own_so_far() -> float:
        spent = os.times()
        return spent.children_user + spent.children_system

    own = own_so_far()
    wall, engine = _with_engine(rest, ask)
    own = own_so_far() - own
    return Cost(1000 * own, 1000 * (own + engine), 1000 * wall)


def _with_engine(rest: float, work: Callable[[], object]) -> tuple[float, float]:
    """Wall seconds of the work, and the engine's CPU seconds over its rest."""
    began, engine = time.perf_counter(), engine_seconds()
    work()
    wall = time.perf_counter() - began
    return wall, max(0.0, engine_seconds() - engine - rest * wall)


def engine_seconds() -> float:
    """CPU that the engine's processes have used so far. One that ended is no longer counted."""
    spent = 0.0
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdecimal() and (entry / "comm").read_text().startswith(ENGINE_PROGRAMS):
                spent += cpu_seconds(int(entry.name))
    return spent


def resting() -> float:
    """The engine's CPU seconds in a second in which nobody asks it anything."""
    before = engine_seconds()
    time.sleep(RESTING_SECONDS)
    return (engine_seconds() - before) / RESTING_SECONDS


@contextmanager
def exporter(engine: str, stats_api: str) -> Iterator[tuple[int, str]]:
    """(process id, URL) of an exporter that has seen all containers."""
    port = free_port()
    config = {
        "listen": f"127.0.0.1:{port}",
        "docker": {
            "url": engine,
            "projects": [PROJECT],
            "cgroup_root": "/sys/fs/cgroup",
            "proc_root": "/proc",
            "stats_api": stats_api,
        },
    }
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "exporter.yml"
        file.write_text(yaml.safe_dump(config))
        command = [sys.executable, "-m", "exporter.main", f"--config.file={file}"]
        with running(command, f"{url}/-/healthy") as pid:
            good = b'stackmedic_scrape_collector_success{collector="docker"} 1'
            until(lambda: good in fetch(f"{url}/metrics"), "the container list")
            time.sleep(1)  # until the event stream is open, which no series tells
            yield pid, url


class Relay:
    """Passes bytes to the engine and back, and counts the requests that are no ping."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.asked = 0

    @property
    def url(self) -> str:
        return f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                engine = socket.socket(socket.AF_UNIX)
                engine.connect(SOCKET)
                self._thread(client, engine, self._count)
                self._thread(engine, client, lambda _: None)

    def _count(self, sent: bytes) -> None:
        # The client waits for each answer, so what it sends begins with a request line.
        self.asked += sent.startswith((b"GET ", b"POST ", b"HEAD ")) and b"/_ping " not in sent

    def _thread(
        self, source: socket.socket, sink: socket.socket, see: Callable[[bytes], None]
    ) -> None:
        threading.Thread(target=_pass_on, args=(source, sink, see), daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket, see: Callable[[bytes], None]) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            see(data)
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
    source.close()


@contextmanager
def relay() -> Iterator[Relay]:
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        made = Relay(listener)
        thread = threading.Thread(target=made.serve, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)

"""A scrape as Prometheus asks for it: keep-alive, gzip, 10,000 ready samples behind it.

Our server and encoder beside prometheus_client's, each a process of its own.
"""

import http.client
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from bench.exposition import SAMPLES, Peer, families
from bench.processes import cpu_seconds, free_port, running
from bench.rows import Row, at_most, median

if TYPE_CHECKING:
    from exporter.scrape import Scraper

ROUNDS, REQUESTS = 5, 10
PEER = "prometheus_client"


def run(quick: bool) -> list[Row]:
    rounds = 2 if quick else ROUNDS
    ours: list[float] = []
    theirs: list[float] = []
    idle: list[float] = []
    with served("ours") as (pid, port), served("peer") as (peer_pid, peer_port):
        for _ in range(rounds):
            ours.append(cost(pid, port, "/metrics"))
            theirs.append(cost(peer_pid, peer_port, "/metrics"))
            idle.append(cost(pid, port, "/-/healthy"))
    return [
        Row(
            f"scrape of {SAMPLES:,} samples over HTTP, gzipped: CPU of the server",
            median(ours) * 1e3,
            "ms",
            median(theirs) * 1e3,
            PEER,
        ),
        Row(
            "a request of the health page: CPU of the server",
            median(idle) * 1e3,
            "ms",
            bar=at_most(0.5),
        ),
    ]


def cost(pid: int, port: int, path: str) -> float:
    """CPU seconds of one request, on one connection that is kept."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        ask(connection, path)
        before = cpu_seconds(pid)
        for _ in range(REQUESTS):
            ask(connection, path)
        return (cpu_seconds(pid) - before) / REQUESTS


def ask(connection: http.client.HTTPConnection, path: str) -> None:
    connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
    connection.getresponse().read()


@contextmanager
def served(which: str) -> Iterator[tuple[int, int]]:
    port = free_port()
    command = [sys.executable, "-m", "bench.http", which, str(port)]
    with running(command, f"http://127.0.0.1:{port}/-/healthy") as pid:
        yield pid, port


def serve_ours(port: int) -> None:
    from exporter.collectors import Opened  # noqa: PLC0415  each process has only its own server
    from exporter.scrape import Scraper  # noqa: PLC0415

    class Ready:
        """A collector that has its reading already."""

        problems = ()

        def collect(self, _: float) -> "Ready":
            return self

        def cancel(self) -> None: ...

        def close(self) -> None: ...

    turn = iter(range(1_000_000))
    opened = Opened("ready", None, Ready(), lambda *_: families(next(turn)))
    serve_exporter(Scraper([opened], time.monotonic), port)


def serve_peer(port: int) -> None:
    from prometheus_client import CollectorRegistry, start_http_server  # noqa: PLC0415

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Peer())
    _, thread = start_http_server(port, "127.0.0.1", registry)
    thread.join()


def serve_exporter(scraper: "Scraper", port: int) -> None:
    from exporter.families.configuration import State  # noqa: PLC0415
    from exporter.web.answers import Exporter, Fixed, InForce  # noqa: PLC0415
    from exporter.web.server import Server  # noqa: PLC0415

    fixed = Fixed(InForce(10.0, {}, State(0.0)))
    exporter = Exporter(scraper, fixed, clock=time.monotonic, version="bench")
    Server(("127.0.0.1", port), exporter).serve_forever()


if __name__ == "__main__":
    {"ours": serve_ours, "peer": serve_peer}[sys.argv[1]](int(sys.argv[2]))

"""What the exporter's integration tests stand on: an exporter in this process, real containers.

Containers have random names and the label stackmedic-test=1, and are gone at the end.
"""

import http.client
import os
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.collectors import open_all
from exporter.collectors.port import Clocks
from exporter.config import parse
from exporter.families.configuration import State
from exporter.scrape import Scraper
from exporter.web.answers import Exporter, Fixed, InForce
from exporter.web.server import TIMEOUT_HEADER, Server

SOCKET = Path("/var/run/docker.sock")
ENGINE = f"unix://{SOCKET}"
POSTGRES_IMAGE = os.environ.get("POSTGRES_IMAGE", "stackmedic-demo/postgres:15")
REDIS_IMAGE = os.environ.get("REDIS_IMAGE", "stackmedic-demo/redis:7")

needs_docker = pytest.mark.skipif(
    not SOCKET.exists(), reason="needs a Docker engine on /var/run/docker.sock"
)

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Metrics:
    """One answer of /metrics."""

    def __init__(self, text: str) -> None:
        self.series: Series = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def all(self, name: str, /, **labels: str) -> dict[frozenset[tuple[str, str]], float]:
        wanted = set(labels.items())
        return {
            found: value
            for (metric, found), value in self.series.items()
            if metric == name and wanted <= found
        }

    def one(self, name: str, /, **labels: str) -> float | None:
        found = list(self.all(name, **labels).values())
        assert len(found) <= 1, f"{name}{labels}: {len(found)} series"
        return found[0] if found else None

    def word(self, name: str, label: str, /, **labels: str) -> str | None:
        """The label value of the sample that is 1, of a one-of family."""
        words = [dict(key)[label] for key, value in self.all(name, **labels).items() if value == 1]
        assert len(words) <= 1, words
        return words[0] if words else None


class Served:
    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address

    def get(self, path: str, timeout: float = 3.0, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        try:
            connection.request("GET", path, headers={TIMEOUT_HEADER: str(timeout), **headers})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def metrics(self, timeout: float = 3.0) -> Metrics:
        status, body = self.get("/metrics", timeout)
        assert status == 200
        return Metrics(body.decode())


@contextmanager
def served(config: str) -> Iterator[Served]:
    """The whole exporter but its command line, on a free port."""
    checked = parse(config, "exporter.yml")
    clocks = Clocks(time.monotonic, time.time)
    scraper = Scraper(open_all(checked.targets(), clocks), clocks.monotonic)
    fixed = Fixed(InForce(checked.scrape.timeout, {}, State(0.0)))
    exporter = Exporter(scraper, fixed, clock=clocks.monotonic, version="0")
    server = Server(("127.0.0.1", 0), exporter)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield Served(("127.0.0.1", server.server_address[1]))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        scraper.close()


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


@contextmanager
def container(
    image: str, *command: str, project: str, service: str, options: tuple[str, ...] = ()
) -> Iterator[str]:
    name = f"stackmedic-test-{secrets.token_hex(4)}"
    labels = {
        "stackmedic-test": "1",
        "com.docker.compose.project": project,
        "com.docker.compose.service": service,
    }
    flags = [part for key, value in labels.items() for part in ("--label", f"{key}={value}")]
    try:
        docker("run", "-d", "--name", name, *flags, *options, image, *command)
        yield name
    finally:
        subprocess.run(["docker", "rm", "-f", "-v", name], capture_output=True, check=False)


def address(name: str) -> str:
    template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return docker("inspect", "-f", template, name)


def random_project() -> str:
    return f"test-{secrets.token_hex(4)}"


def eventually(check: Callable[[], object], *, within_seconds: float = 30) -> None:
    """Wait until check() is true; its last value is told when it never was."""
    end = time.monotonic() + within_seconds
    while not (found := check()):
        assert time.monotonic() < end, f"not within {within_seconds} s, last {found!r}"
        time.sleep(0.05)


class Relay:
    """A door to the engine that can be shut: connections through it end, new ones are refused."""

    def __init__(self, target: Path = SOCKET) -> None:
        self._target = target
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    @property
    def url(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def open(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen()
        self._listener = listener
        self._start(lambda: self._accept(listener))

    def shut(self) -> None:
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for sock in list(self._open):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._threads.clear()

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                engine = socket.socket(socket.AF_UNIX)
                engine.connect(str(self._target))
                self._open |= {client, engine}
                self._start(lambda pair=(client, engine): self._pipe(*pair))  # type: ignore[misc]
                self._start(lambda pair=(engine, client): self._pipe(*pair))  # type: ignore[misc]

    def _pipe(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
        # Each direction closes the side it read from, so every socket is closed once.
        self._open.discard(source)
        source.close()

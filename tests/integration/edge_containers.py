"""Containers and servers of the edge tests: random names, loopback ports, gone at the end."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from typing_extensions import override

from remediator.actions import ACTIONS, Clients
from remediator.ports import Action
from remediator.topology import Target
from tests.http_fakes import served

POSTGRES_IMAGE = os.environ.get("POSTGRES_IMAGE", "stackmedic-demo/postgres:15")
REDIS_IMAGE = os.environ.get("REDIS_IMAGE", "stackmedic-demo/redis:7")
NGINX_IMAGE = os.environ.get("NGINX_IMAGE", "stackmedic-demo/nginx:1.22")
DOCKER_SOCKET = Path("/var/run/docker.sock")
DOCKER_URL = f"unix://{DOCKER_SOCKET}"
REPO = Path(__file__).resolve().parents[2]

needs_docker = pytest.mark.skipif(
    not DOCKER_SOCKET.exists() or shutil.which("docker") is None,
    reason="needs a Docker engine on /var/run/docker.sock and its client",
)


def now() -> datetime:
    return datetime.now(UTC)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def until(met: Callable[[], object], *, within_seconds: float = 30, what: str = "") -> None:
    end = time.monotonic() + within_seconds
    while not met():
        assert time.monotonic() < end, f"not within {within_seconds} s: {what or met}"
        time.sleep(0.05)


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


def docker_logs(name: str) -> str:
    done = subprocess.run(
        ["docker", "logs", name],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    return done.stdout


def state(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(docker("inspect", name))[0]["State"]
    return found


@contextmanager
def container(
    image: str,
    *command: str,
    options: Sequence[str] = (),
    name: str | None = None,
) -> Iterator[str]:
    name = name or f"stackmedic-test-{secrets.token_hex(4)}"
    try:
        docker(
            "run", "-d", "--name", name, "--label", "stackmedic-test=1", *options, image, *command
        )
        yield name
    finally:
        subprocess.run(["docker", "rm", "-f", "-v", name], capture_output=True, check=False)


def clients(
    *,
    docker_url: str = DOCKER_URL,
    exporter_url: str = "http://127.0.0.1:9",
    prometheus_url: str = "http://127.0.0.1:9",
    topology: Mapping[str, Target] | None = None,
) -> Clients:
    return Clients(
        docker_url=docker_url,
        exporter_url=exporter_url,
        clock=now,
        wait=time.sleep,
        prometheus_url=prometheus_url,
        topology=topology or {},
    )


def action(
    name: str,
    with_: Mapping[str, object] | None = None,
    *,
    topology: Mapping[str, Target] | None = None,
    **to: str,
) -> Action:
    kind = ACTIONS[name]
    params = kind.params.model_validate(dict(with_ or {}))
    return kind.make(params, clients(topology=topology, **to))


@dataclass
class FakeExporter:
    """Answers /probe as the exporter does, by a table that a test changes."""

    url: str
    probes: dict[str, bool]
    asked: list[str]


@contextmanager
def fake_exporter(probes: dict[str, bool]) -> Iterator[FakeExporter]:
    exporter = FakeExporter("", probes, [])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.partition("target=")[2]
            exporter.asked.append(name)
            known = name in exporter.probes
            text = (
                f'probe_success{{target="{name}"}} {int(exporter.probes[name])}\n'
                f'probe_failure_reason{{target="{name}",reason="status"}} '
                f"{int(not exporter.probes[name])}\n"
                if known
                else f"unknown target {name}\n"
            )
            body = text.encode()
            self.send_response(200 if known else 400)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        @override
        def log_message(self, *arguments: object) -> None: ...

    with served(Handler) as exporter.url:
        yield exporter


@dataclass
class FakePrometheus:
    """Answers an instant query by the first key that is a part of its expression."""

    url: str
    answers: dict[str, list[tuple[dict[str, str], float]]]
    asked: list[str]


@contextmanager
def fake_prometheus(
    answers: dict[str, list[tuple[dict[str, str], float]]],
) -> Iterator[FakePrometheus]:
    prometheus = FakePrometheus("", answers, [])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            expr = parse_qs(urlsplit(self.path).query)["query"][0]
            prometheus.asked.append(expr)
            found = next((v for k, v in prometheus.answers.items() if k in expr), [])
            result = [{"metric": labels, "value": [0, str(value)]} for labels, value in found]
            data = {"resultType": "vector", "result": result}
            body = json.dumps({"status": "success", "data": data}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        @override
        def log_message(self, *arguments: object) -> None: ...

    with served(Handler) as prometheus.url:
        yield prometheus


@contextmanager
def process(*command: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        running = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            yield running
        finally:
            running.terminate()
            running.wait(20)


@contextmanager
def engine_proxy(folder: Path, *, nginx_container: str) -> Iterator[str]:
    """The filtering proxy that the remediator has in production, for one container's name."""
    port = free_port()
    written = (REPO / "remediator" / "engine-rw.conf").read_text()
    config = folder / "engine-rw.conf"
    config.write_text(
        written.replace("piano-tutor-nginx-production", nginx_container).replace(
            "listen 2375;", f"listen 127.0.0.1:{port};"
        )
    )
    mounts = [f"{config}:/etc/nginx/nginx.conf:ro", f"{DOCKER_SOCKET}:{DOCKER_SOCKET}"]
    options = ["--network", "host", *(word for mount in mounts for word in ("-v", mount))]
    with container(NGINX_IMAGE, "nginx", options=options):
        until(lambda: _accepts(port), what="the proxy listens")
        yield f"tcp://127.0.0.1:{port}"


def _accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0

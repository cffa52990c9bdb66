"""A real Prometheus or Alertmanager on loopback, over an exporter whose text a test sets."""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx
import pytest
from typing_extensions import override

from tests.http_fakes import served
from tests.integration.edge_containers import free_port, process, until

SLOW = 60.0  # how long a busy machine may take for anything


def program(*names: str) -> str:
    """The first of the names on the PATH. Missing in CI is a failure, elsewhere a skip."""
    for name in names:
        path = shutil.which(name)
        if path is not None:
            return path
    message = f"none of {', '.join(names)} is on the PATH"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def get(url: str) -> httpx.Response | None:
    try:
        return httpx.get(url, trust_env=False)
    except httpx.HTTPError:
        return None


def is_ready(url: str) -> bool:
    response = get(f"{url}/-/ready")
    return response is not None and response.is_success


@dataclass
class TextExporter:
    """Serves `metrics` on /metrics and `probes` on /probe; None: it answers 500."""

    url: str = ""
    metrics: str | None = ""
    probes: dict[str, str] = field(default_factory=dict)


@contextmanager
def text_exporter(metrics: str = "") -> Iterator[TextExporter]:
    exporter = TextExporter(metrics=metrics)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?target=")
            text = exporter.metrics if path == "/metrics" else exporter.probes.get(query)
            body = (text or "").encode()
            self.send_response(500 if text is None else 200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        @override
        def log_message(self, *arguments: object) -> None: ...

    with served(Handler) as exporter.url:
        yield exporter


RULES = """
groups:
  - name: test
    rules:
      - alert: ServiceDown
        expr: compose_service_state{state="exited"} == 1
        labels: {severity: P1}
      - alert: Pending
        expr: vector(1)
        for: 1h
"""


@contextmanager
def a_prometheus(
    folder: Path,
    rules: str,
    *,
    scraped: str,
    job: str = "stackmedic-exporter",
    told: Sequence[str] = (),
    scrape_interval: str = "250ms",
) -> Iterator[str]:
    """The real one over the program at `scraped`; `told`: the addresses of Alertmanagers."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rules.yml").write_text(rules)
    of_alertmanagers = [url.removeprefix("http://") for url in told]
    of_programs = [scraped.removeprefix("http://")]
    config = {
        "global": {"scrape_interval": scrape_interval, "scrape_timeout": scrape_interval}
        | {"evaluation_interval": "250ms"},
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": of_alertmanagers}]}]},
        "scrape_configs": [{"job_name": job, "static_configs": [{"targets": of_programs}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        program("prometheus"),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--rules.alert.resend-delay=500ms",
        "--log.level=warn",
    ]
    with process(*command, log=folder / "prometheus.log"):
        until(lambda: is_ready(url), what="Prometheus is ready", within_seconds=SLOW)
        yield url


@contextmanager
def real_alertmanager(folder: Path) -> Iterator[str]:
    (folder / "alertmanager.yml").write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    port = free_port()
    command = [
        program("prometheus-alertmanager", "alertmanager"),
        f"--config.file={folder}/alertmanager.yml",
        f"--storage.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]
    url = f"http://127.0.0.1:{port}"
    with process(*command, log=folder / "alertmanager.log"):
        until(lambda: is_ready(url), what="Alertmanager is ready")
        yield url

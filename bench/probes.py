"""One HTTP probe on request: our /probe beside the blackbox exporter's, against one local page."""

import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml
from typing_extensions import override

from bench.peers import peer
from bench.processes import cpu_seconds, fetch, free_port, running
from bench.rows import Row, median

PEER = "prometheus-blackbox-exporter"
ROUNDS, PROBES = 5, 40


def run(quick: bool) -> list[Row]:
    rounds = 2 if quick else ROUNDS
    ours: list[float] = []
    theirs: list[float] = []
    with tempfile.TemporaryDirectory() as name, page() as target:
        folder = Path(name)
        with exporter(folder, target) as (pid, url), blackbox(folder, target) as other:
            for _ in range(rounds):
                ours.append(cost(pid, url))
                if other is not None:
                    theirs.append(cost(*other))
    return [
        Row(
            "one HTTP probe of a local page: own CPU",
            median(ours) * 1e3,
            "ms",
            median(theirs) * 1e3 if theirs else None,
            "blackbox_exporter",
        )
    ]


def cost(pid: int, url: str) -> float:
    """CPU seconds of one probe. Errors: RuntimeError when the probe fails."""
    before = cpu_seconds(pid)
    for _ in range(PROBES):
        if b"\nprobe_success 1" not in fetch(url):
            raise RuntimeError(f"{url}: the probe failed")
    return (cpu_seconds(pid) - before) / PROBES


@contextmanager
def exporter(folder: Path, target: str) -> Iterator[tuple[int, str]]:
    port = free_port()
    config = {
        "listen": f"127.0.0.1:{port}",
        "probes": {"page": {"url": target, "service": "page"}},
    }
    file = folder / "exporter.yml"
    file.write_text(yaml.safe_dump(config))
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "exporter.main", f"--config.file={file}"]
    with running(command, f"{url}/-/healthy") as pid:
        yield pid, f"{url}/probe?target=page"


@contextmanager
def blackbox(folder: Path, target: str) -> Iterator[tuple[int, str] | None]:
    program = peer(PEER)
    if program is None:
        yield None
        return
    port = free_port()
    http = {"preferred_ip_protocol": "ip4"}
    file = folder / "blackbox.yml"
    file.write_text(yaml.safe_dump({"modules": {"http_2xx": {"prober": "http", "http": http}}}))
    flags = [f"--config.file={file}", f"--web.listen-address=127.0.0.1:{port}"]
    url = f"http://127.0.0.1:{port}"
    with running([program, *flags], f"{url}/-/healthy") as pid:
        yield pid, f"{url}/probe?module=http_2xx&target={target}"


class Page(BaseHTTPRequestHandler):
    BODY = b'{"status": "healthy"}'

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self.BODY)))
        self.end_headers()
        self.wfile.write(self.BODY)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def page() -> Iterator[str]:
    """A page that answers 200, in a thread of this process."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()

"""The HTTP side: /metrics, /probe, /-/healthy, /-/ready and a page for people.

Rule: GET only, HTTP/1.1 with keep-alive, and nothing a client sends can widen what is asked
of the targets: collect[] and target are looked up among the configured ones.
"""

import html
import logging
import math
import sys
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from typing_extensions import override

from exporter.collectors.port import Clock, Collector
from exporter.exposition import CONTENT_TYPE, Encoder
from exporter.families import probes
from exporter.families import scrape as own
from exporter.families.metric import Family
from exporter.readings import Probe, Unreachable
from exporter.scrape import Scraper
from exporter.targets import ProbeTarget

log = logging.getLogger(__name__)

TIMEOUT_HEADER = "X-Prometheus-Scrape-Timeout-Seconds"
# Left of Prometheus' timeout for the way back; never more than half of a short one.
RESERVE_SECONDS = 0.5
LONGEST_SECONDS = 120.0
_SMALLEST_GZIPPED = 1024
_IDLE_SECONDS = 120
_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    content_type: str = _TEXT


class Exporter:
    """What the handlers need: the scraper, the encoder and the probes by name."""

    def __init__(
        self,
        scraper: Scraper,
        *,
        clock: Clock,
        version: str,
        default_timeout: float,
        open_probe: Callable[[ProbeTarget], Collector[Probe]],
    ) -> None:
        self._scraper = scraper
        self._clock = clock
        self._version = version
        self._default_timeout = default_timeout
        self._open_probe = open_probe
        self._probes = {
            item.target.name: item.target for item in scraper.opened() if item.name == "probes"
        }
        self._encoder = Encoder()
        self._encoding = threading.Lock()  # guards the encoder and the counter
        self._dropped = 0

    def metrics(self, timeout_header: str | None, only: list[str]) -> Answer:
        unknown = sorted(set(only) - set(self._scraper.names))
        if unknown:
            return Answer(400, f"unknown collector: {', '.join(unknown)}\n".encode())
        budget = budget_of(timeout_header, self._default_timeout)
        return self._encode(self._scraper.scrape(budget, only).families)

    def probe(self, name: str, timeout_header: str | None) -> Answer:
        target = self._probes.get(name)
        if target is None:
            return Answer(400, f"unknown target: {name[:80]}\n".encode("utf-8", "replace"))
        collector = self._open_probe(target)
        reading = collector.collect(
            self._clock() + budget_of(timeout_header, self._default_timeout)
        )
        collector.close()
        found = [] if isinstance(reading, Unreachable) else probes.single(reading)
        with self._encoding:
            return Answer(200, self._encoder.encode(found).body, CONTENT_TYPE)

    def _encode(self, families: tuple[Family, ...]) -> Answer:
        with self._encoding:
            main = self._encoder.encode(families)
            self._dropped += main.dropped
            tail = self._encoder.encode(own.exporter(self._version, self._dropped))
        return Answer(200, main.body + tail.body, CONTENT_TYPE)

    def landing(self) -> Answer:
        rows = []
        for opened, outcome in self._scraper.states():
            target = getattr(opened.target, "name", "") or getattr(opened.target, "service", "")
            state, error, took = "not run yet", "", ""
            if outcome is not None:
                state = "failing" if outcome.error else "good"
                error, took = outcome.error, f"{outcome.duration_seconds * 1000:.1f} ms"
            cells = (opened.name, str(target or ""), state, took, error)
            rows.append("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in cells) + "</tr>")
        page = _PAGE.format(version=html.escape(self._version), rows="\n".join(rows))
        return Answer(200, page.encode("utf-8", "replace"), "text/html; charset=utf-8")


_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>stackmedic exporter</title></head><body>
<h1>stackmedic exporter {version}</h1>
<p><a href="/metrics">metrics</a> · <a href="/-/healthy">healthy</a> ·
<a href="/-/ready">ready</a></p>
<table><thead>
<tr><th>collector</th><th>target</th><th>state</th><th>took</th><th>last error</th></tr>
</thead><tbody>
{rows}
</tbody></table></body></html>
"""


def budget_of(header: str | None, default: float) -> float:
    """Seconds a scrape may take, from Prometheus' own timeout. Nonsense counts as absent."""
    try:
        seconds = float(header) if header else default
    except ValueError:
        seconds = default
    if not math.isfinite(seconds) or seconds <= 0:
        seconds = default
    seconds = min(seconds, LONGEST_SECONDS)
    return max(seconds - RESERVE_SECONDS, seconds / 2)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "stackmedic"
    sys_version = ""
    timeout = _IDLE_SECONDS
    wbufsize = -1  # one write for head and body
    server: "Server"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self._send(self._route(parts.path, parse_qs(parts.query, max_num_fields=100)))

    def _route(self, path: str, query: dict[str, list[str]]) -> Answer:
        exporter = self.server.exporter
        header = self.headers.get(TIMEOUT_HEADER)
        match path:
            case "/metrics":
                return exporter.metrics(header, query.get("collect[]", []))
            case "/probe":
                return exporter.probe(query.get("target", [""])[0], header)
            case "/-/healthy":
                return Answer(200, b"healthy\n")
            case "/-/ready":
                return Answer(200, b"ready\n")
            case "/":
                return exporter.landing()
            case _:
                return Answer(404, b"not found\n")

    def _send(self, answer: Answer) -> None:
        body = answer.body
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        if "gzip" in self.headers.get("Accept-Encoding", "") and len(body) >= _SMALLEST_GZIPPED:
            body = _gzipped(body)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)


def _gzipped(body: bytes) -> bytes:
    # Level 1: on a LAN the eight-fold CPU of the default level buys nothing.
    packer = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # an idle keep-alive connection must not hold up a stop
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], exporter: Exporter) -> None:
        self.exporter = exporter
        super().__init__(address, Handler)

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that went away is no event; anything else is a bug worth its traceback.
        error = sys.exception()
        if not isinstance(error, OSError):
            log.error("request of %s failed", client_address, exc_info=error)

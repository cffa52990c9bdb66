"""HTTP/1.1 with keep-alive around the pages.

Rule: a client cannot hold up another, stop the server, or make it write a traceback: the
handshake is done in the connection's own thread, idle connections end, and there are only so
many at a time.
"""

import logging
import socket
import sys
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typing_extensions import override

from exporter.web.access import Access
from exporter.web.answers import Answer, Exporter

log = logging.getLogger(__name__)

TIMEOUT_HEADER = "X-Prometheus-Scrape-Timeout-Seconds"
MOST_CONNECTIONS = 256
_SMALLEST_GZIPPED = 1024
_IDLE_SECONDS = 120
_HANDSHAKE_SECONDS = 10


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "stackmedic"
    sys_version = ""
    timeout = _IDLE_SECONDS
    wbufsize = -1  # one write for head and body
    server: "Server"

    def do_GET(self) -> None:
        access = self.server.access
        if access.allows(self.headers.get("Authorization")):
            header = self.headers.get(TIMEOUT_HEADER)
            self._send(self.server.exporter.answer(self.command, self.path, header))
        else:
            challenge = (("WWW-Authenticate", 'Basic realm="stackmedic"'),)
            self._send(Answer(401, b"who is asking?\n", headers=challenge))

    # The names are the library's; which method a path allows is the pages' knowledge.
    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_GET  # noqa: N815

    def _send(self, answer: Answer) -> None:
        body = answer.body
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        added = {"X-Content-Type-Options": "nosniff"} | dict(self.server.access.headers())
        for name, value in (*added.items(), *answer.headers):
            self.send_header(name, value)
        if "gzip" in self.headers.get("Accept-Encoding", "") and len(body) >= _SMALLEST_GZIPPED:
            body = _gzipped(body)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        if self.headers.get("Content-Length") or self.headers.get("Transfer-Encoding"):
            # A body that nobody asked for is not read; the next request would begin in it.
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
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

    def __init__(
        self, address: tuple[str, int], exporter: Exporter, access: Access | None = None
    ) -> None:
        self.exporter = exporter
        self.access = access or Access()
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, Handler)

    @override
    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    @override
    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    @override
    def finish_request(self, request: Any, client_address: Any) -> None:
        context = self.access.context()
        if context is None:
            Handler(request, client_address, self)
            return
        request.settimeout(_HANDSHAKE_SECONDS)
        with context.wrap_socket(request, server_side=True) as secured:
            Handler(secured, client_address, self)

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that went away is no event; anything else is a bug worth its traceback.
        error = sys.exception()
        if not isinstance(error, OSError):
            log.error("request of %s failed", client_address, exc_info=error)

"""HTTP/1.1 with keep-alive around the pages.

Rule: a client cannot hold up another, stop the server, or make it write a traceback: the
handshake is done in the connection's own thread, idle connections end, and there are only so
many at a time.
"""

import logging
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any

from isal import isal_zlib
from typing_extensions import override

from exporter.collectors.port import Clock
from exporter.web.access import Access
from exporter.web.answers import Answer, Exporter
from exporter.web.http1 import Malformed, Request, head, read_request

log = logging.getLogger(__name__)

TIMEOUT_HEADER = "X-Prometheus-Scrape-Timeout-Seconds"
MOST_CONNECTIONS = 256
_SMALLEST_GZIPPED = 1024
_PIECE = 1 << 16
_IDLE_SECONDS = 120
_HANDSHAKE_SECONDS = 10


class Handler(StreamRequestHandler):
    """One connection: its requests, one after the other."""

    timeout = _IDLE_SECONDS
    disable_nagle_algorithm = True
    server: "Server"

    @override
    def handle(self) -> None:
        goes_on = True
        while goes_on:
            try:
                request = read_request(self.rfile)
            except TimeoutError:
                return
            except Malformed as error:
                answer = Answer(error.status, f"{error}\n".encode())
                self._send(answer, Request("GET", "", {}, keep_alive=False))
                return
            if request is None:
                return
            self._send(self._answer(request), request)
            goes_on = request.keep_alive

    def _answer(self, request: Request) -> Answer:
        if not self.server.access.allows(request.headers.get("authorization")):
            challenge = (("WWW-Authenticate", 'Basic realm="stackmedic"'),)
            return Answer(401, b"who is asking?\n", headers=challenge)
        header = request.headers.get(TIMEOUT_HEADER.lower())
        return self.server.exporter.answer(request.method, request.url, header)

    def _send(self, answer: Answer, request: Request) -> None:
        body: Sequence[bytes] = answer.parts
        length = sum(map(len, body))
        added = {"X-Content-Type-Options": "nosniff"} | dict(self.server.access.headers())
        headers = [("Content-Type", answer.content_type), *added.items(), *answer.headers]
        gzip = "gzip" in request.headers.get("accept-encoding", "")
        if gzip and length >= _SMALLEST_GZIPPED:
            body = _gzipped(body)
            length = sum(map(len, body))
            headers.append(("Content-Encoding", "gzip"))
        first = head(
            answer.status, headers, length, self.server.wall(), keep_alive=request.keep_alive
        )
        for piece in _pieces(first, () if request.method == "HEAD" else body):
            self.connection.sendall(piece)


def _pieces(head: bytes, parts: Sequence[bytes]) -> Iterator[bytes]:
    """The answer in writes of some size: to put megabytes together costs more than to write them.

    A short answer is one write: a packet less, and nobody waits for an acknowledgement.
    """
    small, length = [head], len(head)
    for part in parts:
        small.append(part)
        length += len(part)
        if length >= _PIECE:
            yield b"".join(small)
            small, length = [], 0
    if small:
        yield b"".join(small)


def _gzipped(parts: Sequence[bytes]) -> list[bytes]:
    # Intel's library: a seventh of zlib's CPU at its own fastest level, and no larger.
    packer = isal_zlib.compressobj(1, isal_zlib.DEFLATED, 16 + isal_zlib.MAX_WBITS)
    return [*map(packer.compress, parts), packer.flush()]


class Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False  # an idle keep-alive connection must not hold up a stop
    request_queue_size = 64

    def __init__(
        self,
        address: tuple[str, int],
        exporter: Exporter,
        access: Access | None = None,
        wall: Clock = time.time,
    ) -> None:
        self.exporter = exporter
        self.wall = wall
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

"""The engine's statistics of containers, where the kernel's files are out of reach.

Rule: all containers are asked at once, for an engine before 25 answers each only after its next
tick of a second. One thread and sockets that do not block: a hundred threads would cost more
than the answers. It is HTTP/1.0 with one request a connection, so that an answer ends where the
connection does.
"""

import json
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlsplit

from exporter.collectors.port import Clocks
from exporter.collectors.stats_document import Document
from exporter.readings import Cause, Container, Unreachable

AT_ONCE = 200
LARGEST_ANSWER = 1 << 20
_CHUNK = 1 << 16
_HEAD_END = b"\r\n\r\n"

Documents = dict[str, Document]  # by container id; one that is gone is left out


class EngineStats:
    """One round of questions serves everybody who asks while it runs."""

    def __init__(self, url: str, clocks: Clocks) -> None:
        self._url = url
        self._clock = clocks.monotonic
        self._asking = threading.Lock()  # guards what follows
        self._answered_at = float("-inf")
        self._ids: frozenset[str] = frozenset()
        self._answer: Documents | Unreachable = {}

    def of(self, containers: Sequence[Container], deadline: float) -> Documents | Unreachable:
        called_at, ids = self._clock(), frozenset(c.id for c in containers)
        if not self._asking.acquire(timeout=max(0.0, deadline - called_at)):
            return Unreachable(Cause.TIMEOUT, f"{self._url}: waiting for the statistics")
        try:
            if self._answered_at < called_at or not ids <= self._ids:
                self._answer = self._ask(sorted(ids), deadline)
                self._answered_at, self._ids = self._clock(), ids
            return self._answer
        finally:
            self._asking.release()

    def _ask(self, ids: Sequence[str], deadline: float) -> Documents | Unreachable:
        try:
            family, address = _address(self._url)
            bodies = _Round(family, address, ids, self._clock, deadline).run()
            documents = ((key, _document(body)) for key, body in bodies)
            return {key: document for key, document in documents if document is not None}
        except _Refused as refused:
            return Unreachable(Cause.REFUSED, f"{self._url}: statistics: {refused}")
        except TimeoutError as error:
            return Unreachable(Cause.TIMEOUT, f"{self._url}: statistics: {error}")
        except OSError as error:
            return Unreachable(Cause.CONNECT, f"{self._url}: {error.strerror or error}")
        except ValueError as error:
            return Unreachable(Cause.PROTOCOL, f"{self._url}: statistics: {error}")


class _Refused(Exception):
    """The engine, or the proxy before it, answered with an error."""


@dataclass(slots=True)
class _Call:
    """One question in flight."""

    container_id: str
    sock: socket.socket
    unsent: bytes
    received: bytearray = field(default_factory=bytearray)


class _Round:
    """Ask for each id; (id, whole answer) as they come.

    Errors: TimeoutError at the deadline, OSError of a connection.
    """

    def __init__(
        self,
        family: socket.AddressFamily,
        address: tuple[str, int] | str,
        ids: Sequence[str],
        clock: Callable[[], float],
        deadline: float,
    ) -> None:
        self._family, self._address = family, address
        self._waiting = deque(ids)
        self._clock, self._deadline = clock, deadline
        self._selector = selectors.DefaultSelector()
        self._answers: list[tuple[str, bytes]] = []

    def run(self) -> list[tuple[str, bytes]]:
        total = len(self._waiting)
        try:
            while self._waiting or self._selector.get_map():
                while self._waiting and len(self._selector.get_map()) < AT_ONCE:
                    self._begin(self._waiting.popleft())
                left = self._deadline - self._clock()
                if left <= 0:
                    raise TimeoutError(f"{len(self._answers)} of {total} answered in time")
                for key, _ in self._selector.select(left):
                    self._go_on(key.data)
            return self._answers
        finally:
            for key in list((self._selector.get_map() or {}).values()):
                key.data.sock.close()
            self._selector.close()

    def _begin(self, container_id: str) -> None:
        sock = socket.socket(self._family)
        sock.settimeout(0)
        path = f"/containers/{container_id}/stats?stream=false&one-shot=true"
        call = _Call(container_id, sock, f"GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
        self._selector.register(sock, selectors.EVENT_WRITE, call)
        with suppress(BlockingIOError):  # in progress
            sock.connect(self._address)

    def _go_on(self, call: _Call) -> None:
        with suppress(BlockingIOError):
            if call.unsent:
                call.unsent = call.unsent[call.sock.send(call.unsent) :]
                if not call.unsent:
                    self._selector.modify(call.sock, selectors.EVENT_READ, call)
                return
            data = call.sock.recv(_CHUNK)
            call.received += data
            if len(call.received) > LARGEST_ANSWER:
                raise ValueError("an answer without end")
            if not data:
                self._selector.unregister(call.sock)
                call.sock.close()
                self._answers.append((call.container_id, bytes(call.received)))


def _address(url: str) -> tuple[socket.AddressFamily, tuple[str, int] | str]:
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return socket.AF_UNIX, parts.path
    found = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    family, _, _, _, address = found[0]
    return family, (str(address[0]), int(address[1]))


def _document(answer: bytes) -> Document | None:
    """None: there is no such container any more.

    Errors: _Refused; ValueError for what is no answer.
    """
    head, separator, body = answer.partition(_HEAD_END)
    words = head.split(maxsplit=2)
    if not separator or len(words) < 2 or not words[1].isdigit():  # noqa: PLR2004  version, status
        raise ValueError("the answer breaks off")
    status = int(words[1])
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
        return None
    if status != HTTPStatus.OK:
        raise _Refused(f"status {status}")
    document = json.loads(body)
    if not isinstance(document, dict):
        raise ValueError("the answer is no document")  # noqa: TRY004  the engine's mistake, not a type's
    return document

"""One HTTP GET on a fresh connection, timed by phase.

Rule: what a server does never raises: it comes back as a ProbeFailure. Redirects are not
followed, proxies from the environment are not used, and no phase outlives the deadline,
not even the resolver's, which has no time limit of its own.
"""

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from exporter.collectors.port import Clock
from exporter.readings import ProbeFailure

MAX_BODY_BYTES = 1 << 20
_CHUNK = 65536
Address = tuple[
    socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
]


@dataclass(slots=True)
class Fetched:
    """What came of it. failure is None when a whole answer arrived, whatever its status."""

    failure: ProbeFailure | None = None
    detail: str = ""
    status: int = 0
    version: float = 0.0
    body: bytes = b""
    phases: dict[str, float] = field(default_factory=dict)
    duration_seconds: float = 0.0


class Failed(Exception):
    def __init__(self, failure: ProbeFailure, detail: str) -> None:
        super().__init__(detail)
        self.failure = failure
        self.detail = detail


class Request:
    """One GET. cancel() may be called from another thread and makes get() end soon."""

    def __init__(self, url: str, deadline: float, clock: Clock) -> None:
        parts = urlsplit(url)
        self._tls = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._tls else 80)
        self._netloc = parts.netloc.rpartition("@")[2]
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._deadline = deadline
        self._clock = clock
        self._sock: socket.socket | None = None
        self._result = Fetched()

    def get(self) -> Fetched:
        began_at = self._clock()
        result = self._result
        try:
            self._run()
        except Failed as failed:
            result.failure, result.detail = failed.failure, failed.detail
        except TimeoutError:
            result.failure, result.detail = ProbeFailure.TIMEOUT, "no answer in time"
        except (http.client.HTTPException, OSError, ValueError) as error:
            result.failure = ProbeFailure.PROTOCOL
            result.detail = f"{type(error).__name__}: {error}"
        finally:
            if self._sock is not None:
                self._sock.close()
        result.duration_seconds = self._clock() - began_at
        return result

    def cancel(self) -> None:
        if self._sock is not None:
            with suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        with self._phase("resolve"):
            family, address = resolve(self._host, self._port, self._left())
        with self._phase("connect"):
            self._sock = socket.socket(family, socket.SOCK_STREAM)
            self._connect(address)
        if self._tls:
            with self._phase("tls"):
                self._sock = self._wrapped(self._sock)
        self._exchange(self._sock)

    def _left(self) -> float:
        left = self._deadline - self._clock()
        if left <= 0:
            raise Failed(ProbeFailure.TIMEOUT, "no time left")
        return left

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        began_at = self._clock()
        if self._sock is not None:
            self._sock.settimeout(self._left())
        try:
            yield
        finally:
            self._result.phases[name] = self._clock() - began_at

    def _connect(self, address: object) -> None:
        assert self._sock is not None  # noqa: S101  set by the only caller
        self._sock.settimeout(self._left())
        try:
            self._sock.connect(address)  # type: ignore[arg-type]  # what getaddrinfo gave
        except TimeoutError:
            raise
        except OSError as error:
            raise Failed(ProbeFailure.CONNECT, f"{self._netloc}: {error.strerror}") from error

    def _wrapped(self, sock: socket.socket) -> socket.socket:
        try:
            return ssl.create_default_context().wrap_socket(sock, server_hostname=self._host)
        except ssl.SSLError as error:
            raise Failed(ProbeFailure.TLS, f"{self._host}: {error.reason or error}") from error

    def _exchange(self, sock: socket.socket) -> None:
        connection = http.client.HTTPConnection(self._host, self._port)
        connection.sock = sock
        headers = {"Host": self._netloc, "User-Agent": "stackmedic", "Connection": "close"}
        with self._phase("processing"):
            connection.request("GET", self._path, headers=headers)
            response = connection.getresponse()
        with response, self._phase("transfer"):
            self._result.status = response.status
            self._result.version = response.version / 10
            self._result.body = self._body(sock, response)

    def _body(self, sock: socket.socket, response: http.client.HTTPResponse) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while True:
            sock.settimeout(self._left())
            chunk = response.read1(_CHUNK)
            if not chunk:
                if response.length:
                    raise Failed(ProbeFailure.PROTOCOL, "the body ended early")
                return b"".join(chunks)
            chunks.append(chunk)
            size += len(chunk)
            if size > MAX_BODY_BYTES:
                raise Failed(ProbeFailure.SIZE, f"more than {MAX_BODY_BYTES} bytes")


def resolve(host: str, port: int, timeout: float) -> Address:
    """The first address of host, in a thread of its own so that a dead resolver costs timeout."""
    with suppress(OSError):
        return _lookup(host, port, socket.AI_NUMERICHOST)
    answer: list[Address | OSError] = []

    def look() -> None:
        try:
            answer.append(_lookup(host, port, 0))
        except OSError as error:
            answer.append(error)
        except UnicodeError as error:
            answer.append(OSError(str(error)))

    thread = threading.Thread(target=look, name=f"resolve-{host}", daemon=True)
    thread.start()
    thread.join(timeout)
    if not answer:
        raise Failed(ProbeFailure.DNS, f"{host}: the resolver did not answer in time")
    if isinstance(answer[0], OSError):
        raise Failed(ProbeFailure.DNS, f"{host}: {answer[0].strerror or answer[0]}")
    return answer[0]


def _lookup(host: str, port: int, flags: int) -> Address:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    family, _, _, _, address = found[0]
    return family, address

"""INFO of one Redis server over one kept connection.

Rule: the wire protocol is spoken by hand: one bulk string is all that is asked for, and the
client library costs four times the CPU and 20 MiB. Text is passed on as the server wrote it.
"""

import socket
from contextlib import suppress
from pathlib import Path

from exporter.collectors.port import Clock
from exporter.readings import Cause, Redis, Unreachable
from exporter.targets import RedisServer

_LARGEST_REPLY = 4 << 20
_CHUNK = 65536


class Refused(Exception):
    """The server answered with an error."""


class RedisCollector:
    def __init__(self, server: RedisServer, clock: Clock) -> None:
        self._server = server
        self._clock = clock
        self._where = f"{server.host}:{server.port}"
        self._sock: socket.socket | None = None
        self._databases = 0

    def collect(self, deadline: float) -> Redis | Unreachable:
        try:
            return self._read(deadline)
        except Refused as error:
            self.close()
            text = str(error)
            auth = text.startswith(("NOAUTH", "WRONGPASS", "NOPERM"))
            return Unreachable(
                Cause.AUTH if auth else Cause.REFUSED, f"{self._where}: {text[:200]}"
            )
        except TimeoutError:
            self.close()
            return Unreachable(Cause.TIMEOUT, f"{self._where}: no answer in time")
        except socket.gaierror as error:
            return Unreachable(Cause.DNS, f"{self._where}: {error.strerror}")
        except OSError as error:
            self.close()
            return Unreachable(Cause.CONNECT, f"{self._where}: {error.strerror or error}")
        except ValueError as error:
            self.close()
            return Unreachable(Cause.PROTOCOL, f"{self._where}: {error}")

    def cancel(self) -> None:
        if self._sock is not None:
            with suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()

    def _read(self, deadline: float) -> Redis:
        kept = self._sock is not None
        try:
            text = self._info(deadline)
        except (ConnectionError, EOFError):
            # A kept connection may have been closed since: once more on a fresh one.
            self.close()
            if not kept:
                raise
            text = self._info(deadline)
        return Redis(info=info_of(text), databases=self._databases)

    def _info(self, deadline: float) -> bytes:
        if self._sock is None:
            self._connect(deadline)
        reply = self._ask(deadline, "INFO", "ALL")
        if not isinstance(reply, bytes):
            raise ValueError("INFO was not answered with text")  # noqa: TRY004  the server's fault
        return reply

    def _connect(self, deadline: float) -> None:
        address = (self._server.host, self._server.port)
        self._sock = socket.create_connection(address, timeout=self._left(deadline))
        if self._server.password_file:
            password = Path(self._server.password_file).read_text(encoding="utf-8").strip()
            user = [self._server.username] if self._server.username else []
            self._ask(deadline, "AUTH", *user, password)
        # Both are niceties that an ACL may forbid.
        with suppress(Refused):
            self._ask(deadline, "CLIENT", "SETNAME", "stackmedic-exporter")
        with suppress(Refused):
            reply = self._ask(deadline, "CONFIG", "GET", "databases")
            if isinstance(reply, list) and reply:
                self._databases = int(reply[-1])

    def _left(self, deadline: float) -> float:
        left = deadline - self._clock()
        if left <= 0:
            raise TimeoutError
        return left

    def _ask(self, deadline: float, *words: str) -> bytes | list[bytes]:
        assert self._sock is not None  # noqa: S101  every caller connected first
        parts = [f"*{len(words)}\r\n".encode()]
        for word in words:
            data = word.encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
        self._sock.settimeout(self._left(deadline))
        self._sock.sendall(b"".join(parts))
        return _Reply(self, self._sock, deadline).read()

    def receive(self, sock: socket.socket, deadline: float) -> bytes:
        sock.settimeout(self._left(deadline))
        chunk = sock.recv(_CHUNK)
        if not chunk:
            raise ConnectionResetError("the server closed the connection")
        return chunk


class _Reply:
    """One RESP2 reply: a line, a bulk string, or a flat list of bulk strings."""

    def __init__(self, owner: RedisCollector, sock: socket.socket, deadline: float) -> None:
        self._owner = owner
        self._sock = sock
        self._deadline = deadline
        self._buffer = bytearray()

    def read(self) -> bytes | list[bytes]:
        line = self._line()
        kind, rest = line[:1], line[1:]
        match kind:
            case b"+" | b":":
                return rest
            case b"-":
                raise Refused(rest.decode("utf-8", "replace"))
            case b"$":
                return self._bulk(int(rest))
            case b"*":
                return [self._bulk(int(self._line()[1:])) for _ in range(int(rest))]
            case _:
                raise ValueError("not a Redis server")

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            self._more()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _bulk(self, size: int) -> bytes:
        while len(self._buffer) < size + 2:
            self._more()
        data = bytes(self._buffer[: max(0, size)])
        del self._buffer[: size + 2]
        return data

    def _more(self) -> None:
        self._buffer += self._owner.receive(self._sock, self._deadline)
        if len(self._buffer) > _LARGEST_REPLY:
            raise ValueError("the reply is too long")


def info_of(text: bytes) -> dict[str, str]:
    """INFO -> field -> text. Pure."""
    lines = text.decode("utf-8", "replace").split("\r\n")
    pairs = (line.partition(":") for line in lines if line and line[0] != "#")
    return {field: value for field, separator, value in pairs if separator}

"""The Redis protocol by hand: one kept connection, pipelined questions, RESP2 replies.

Rule: every wait ends at the caller's deadline, and whatever breaks a conversation closes the
connection. An error reply is a value in a pipeline; it is raised only where it ends the talk.
The client library would cost four times the CPU and 20 MiB.
"""

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from exporter.collectors.lookup import addresses
from exporter.collectors.port import Clock
from exporter.readings import Cause, Unreachable
from exporter.targets import RedisServer, RedisTls

_LARGEST_REPLY = 16 << 20
_CHUNK = 1 << 16
_NO_ENTRY = ("NOAUTH", "WRONGPASS", "NOPERM", "ERR AUTH", "ERR Client sent AUTH")

Words: TypeAlias = tuple[str | bytes, ...]
Reply: TypeAlias = "bytes | int | Refused | list[Reply] | None"


class Refused(Exception):
    """The server answered with an error."""

    @property
    def for_good(self) -> bool:
        """True when asking again cannot help: no right to it, or not known to this server."""
        return str(self).startswith(("NOPERM", "ERR unknown", "ERR Unknown", "ERR wrong number"))


class SecretUnreadable(Exception):
    """The password file cannot be read."""


# What a server, a network or a file may do to a conversation; anything else is a bug.
TROUBLE = (Refused, SecretUnreadable, OSError, ValueError)


def unreachable(server: RedisServer, error: Exception) -> Unreachable:
    """Why the server could not be read, in the words of the closed list."""
    where = f"{server.host}:{server.port}"
    match error:
        case Refused():
            text = str(error)
            cause = Cause.AUTH if text.startswith(_NO_ENTRY) else Cause.REFUSED
            return Unreachable(cause, f"{where}: {text[:200]}")
        case SecretUnreadable():
            return Unreachable(Cause.FILES, f"{where}: {error}")
        case TimeoutError():
            return Unreachable(Cause.TIMEOUT, f"{where}: no answer in time")
        case socket.gaierror():
            return Unreachable(Cause.DNS, f"{where}: {error.strerror}")
        case OSError():
            return Unreachable(Cause.CONNECT, f"{where}: {error.strerror or error}")
        case _:
            return Unreachable(Cause.PROTOCOL, f"{where}: {error}")


class RedisLink:
    """One connection, made when it is first needed and kept. For one thread, but for cancel().

    name is what CLIENT LIST shows. patient: a kept connection that turns out to be closed is
    made anew and asked once more; where the answers of a talk belong together it must not be.
    """

    def __init__(
        self, server: RedisServer, clock: Clock, *, name: str, db: int = 0, patient: bool = True
    ) -> None:
        self._server = server
        self._clock = clock
        self._name = name
        self._db = db
        self._patient = patient
        self._sock: socket.socket | None = None
        self._reader: _Reader | None = None
        self.connections = 0  # made so far: tells a fresh connection from a kept one
        self._connect_seconds = 0.0

    def ask(self, deadline: float, *words: str | bytes) -> Reply:
        """One question. Errors: Refused, and what ask_all raises."""
        (reply,) = self.ask_all(deadline, [words])
        if isinstance(reply, Refused):
            raise reply
        return reply

    def ask_all(self, deadline: float, questions: Sequence[Words]) -> list[Reply]:
        """All in one write. Errors: one of TROUBLE; the connection is closed then."""
        kept = self._sock is not None
        try:
            self.connect(deadline)
            replies = self._talk(deadline, questions)
            if not (kept and isinstance(replies[0], Refused) and "NOAUTH" in str(replies[0])):
                return replies
        except ConnectionError:
            self.close()
            if not (kept and self._patient):
                raise
        except TROUBLE:
            self.close()
            raise
        # Closed since, or a password was set since: once more on a fresh connection, which
        # reads the password file again.
        self.close()
        return self.ask_all(deadline, questions)

    def listen(self, deadline: float) -> Reply:
        """The next message of a subscription; after any error but TimeoutError, close()."""
        assert self._reader is not None  # noqa: S101  every caller subscribed first
        return self._reader.read(deadline)

    def say(self, deadline: float, *words: str | bytes) -> None:
        """Send without reading a reply, as a subscriber must."""
        assert self._sock is not None  # noqa: S101  every caller subscribed first
        self._sock.settimeout(self._left(deadline))
        self._sock.sendall(_packed([words]))

    def connect(self, deadline: float) -> None:
        """Connect, unless there is a connection. Errors as in ask_all."""
        if self._sock is not None:
            return
        began = self._clock()
        try:
            self._open(deadline)
        except TROUBLE:
            self.close()
            raise
        self.connections += 1
        self._connect_seconds = self._clock() - began

    def take_connect_seconds(self) -> float:
        """How long it took to connect since this was asked last; 0 when that was not needed."""
        seconds, self._connect_seconds = self._connect_seconds, 0.0
        return seconds

    def cancel(self) -> None:
        """From any thread: a conversation under way ends soon."""
        sock = self._sock
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        sock, self._sock, self._reader = self._sock, None, None
        if sock is not None:
            sock.close()

    def _talk(self, deadline: float, questions: Sequence[Words]) -> list[Reply]:
        assert self._sock is not None  # noqa: S101  connect() made both
        assert self._reader is not None  # noqa: S101
        self._sock.settimeout(self._left(deadline))
        self._sock.sendall(_packed(questions))
        return [self._reader.read(deadline) for _ in questions]

    def _open(self, deadline: float) -> None:
        server = self._server
        self._sock = self._reach(deadline)
        if server.tls is not None:
            self._sock = _encrypted(self._sock, server.tls, server.host)
        self._reader = _Reader(self._receive)
        greeting: list[Words] = []
        if server.password_file:
            user = [server.username] if server.username else []
            greeting.append(("AUTH", *user, _secret(server.password_file)))
        if self._db:
            greeting.append(("SELECT", str(self._db)))
        # The name is a nicety that an ACL may forbid, so its reply does not count.
        replies = self._talk(deadline, [*greeting, ("CLIENT", "SETNAME", self._name)])
        for reply in replies[:-1]:
            if isinstance(reply, Refused):
                raise reply

    def _reach(self, deadline: float) -> socket.socket:
        """A connection to the first of the host's addresses that accepts one."""
        found = addresses(self._server.host, self._server.port, self._left(deadline))
        for number, (family, place) in enumerate(found, 1):
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                sock.settimeout(self._left(deadline))
                sock.connect(place)
            except OSError:
                sock.close()
                if number == len(found):
                    raise
            else:
                return sock
        raise OSError(f"{self._server.host} has no address")

    def _left(self, deadline: float) -> float:
        left = deadline - self._clock()
        if left <= 0:
            raise TimeoutError
        return left

    def _receive(self, deadline: float) -> bytes:
        assert self._sock is not None  # noqa: S101  the reader lives as long as the socket
        self._sock.settimeout(self._left(deadline))
        chunk = self._sock.recv(_CHUNK)
        if not chunk:
            raise ConnectionResetError("the server closed the connection")
        return chunk


def _secret(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SecretUnreadable(f"password_file {path} cannot be read: {error}") from error


def _encrypted(sock: socket.socket, tls: RedisTls, host: str) -> socket.socket:
    import ssl  # noqa: PLC0415  8 MiB that only a server with TLS is worth

    context = ssl.create_default_context(cafile=tls.ca_file)
    if tls.cert_file is not None:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        return context.wrap_socket(sock, server_hostname=tls.server_name or host)
    except OSError:
        sock.close()
        raise


def _packed(questions: Sequence[Words]) -> bytes:
    parts: list[bytes] = []
    for words in questions:
        parts.append(b"*%d\r\n" % len(words))
        for word in words:
            data = word if isinstance(word, bytes) else word.encode()
            parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


class _Reader:
    """RESP2 from a stream. What is left over after a reply belongs to the next one."""

    def __init__(self, receive: Callable[[float], bytes]) -> None:
        self._receive = receive
        self._data = b""
        self._at = 0

    def read(self, deadline: float) -> Reply:
        """One reply. A TimeoutError in its middle leaves what has come for the next read."""
        begin = self._at
        try:
            reply = self._reply(deadline)
        except TimeoutError:
            self._at = begin
            raise
        self._data = self._data[self._at :] if self._at < len(self._data) else b""
        self._at = 0
        return reply

    def _reply(self, deadline: float) -> Reply:
        line = self._line(deadline)
        kind, rest = line[:1], line[1:]
        match kind:
            case b"$":
                return self._bulk(int(rest), deadline)
            case b":":
                return int(rest)
            case b"*":
                size = int(rest)
                return None if size < 0 else [self._reply(deadline) for _ in range(size)]
            case b"+":
                return rest
            case b"-":
                return Refused(rest.decode("utf-8", "replace"))
            case _:
                raise ValueError("not a Redis server")

    def _line(self, deadline: float) -> bytes:
        while (end := self._data.find(b"\r\n", self._at)) < 0:
            self._more(deadline)
        line = self._data[self._at : end]
        self._at = end + 2
        return line

    def _bulk(self, size: int, deadline: float) -> bytes | None:
        if size < 0:
            return None
        if size > _LARGEST_REPLY:
            raise ValueError("the reply is too long")
        while len(self._data) < self._at + size + 2:
            self._more(deadline)
        begin = self._at
        self._at = begin + size + 2
        return self._data[begin : begin + size]

    def _more(self, deadline: float) -> None:
        self._data += self._receive(deadline)
        if len(self._data) > _LARGEST_REPLY:
            raise ValueError("the reply is too long")

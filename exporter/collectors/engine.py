"""The few reads of the engine's API that the exporter makes, over http.client.

Rule: reads only, each bounded by the client's timeout. No version in the paths: every engine
then answers in the newest one that it knows, and what is read here is in all of them.
"""

import http.client
import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote, urlencode

from typing_extensions import override

_CHUNK_BYTES = 1 << 16
_LONGEST_LINE = 1 << 20


class Refused(Exception):
    """The engine, or the proxy before it, said no."""


class NotFound(Refused):
    pass


# All that a call may raise.
ERRORS = (OSError, http.client.HTTPException, ValueError, Refused)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    @override
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Events:
    """An open stream of events. It ends when the engine ends it, or at close()."""

    def __init__(self, sock: socket.socket, response: http.client.HTTPResponse) -> None:
        self._sock = sock
        self._response = response

    def __iter__(self) -> Iterator[Any]:
        while line := self._response.readline(_LONGEST_LINE):
            yield json.loads(line)

    def close(self) -> None:
        """From any thread: whoever waits for an event goes on."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Give the socket back. Not while another thread reads."""
        self._response.close()
        self._sock.close()


class EngineClient:
    """One kept connection. Used by one thread at a time."""

    def __init__(self, url: str, timeout: float) -> None:
        self._url = url
        self.timeout = timeout
        self._kept: http.client.HTTPConnection | None = None

    def containers(self) -> list[Mapping[str, Any]]:
        """All, the stopped ones as well."""
        return list(self._json("/containers/json?all=1"))

    def inspect(self, container_id: str) -> Mapping[str, Any]:
        """Errors: NotFound when it is gone."""
        return dict(self._json(f"/containers/{quote(container_id, safe='')}/json"))

    def info(self) -> Mapping[str, Any]:
        return dict(self._json("/info"))

    def events(self, since: str | None, filters: Mapping[str, Sequence[str]]) -> Events:
        words = {"filters": json.dumps(filters)} | ({"since": since} if since else {})
        connection = self._connection()
        try:
            connection.connect()
            sock = connection.sock  # the connection lets go of it when the answer says "close"
            response = _asked(connection, f"/events?{urlencode(words)}")
        except ERRORS:
            connection.close()
            raise
        sock.settimeout(None)  # nothing may happen for days
        return Events(sock, response)

    def ping(self) -> None:
        """Whether it answers."""
        self._read("/_ping")

    @contextmanager
    def log(self, name: str, stream: str, since: str) -> Iterator[Iterator[bytes]]:
        """One stream of a log in the engine's own form, in pieces as they come.

        since: Unix seconds, perhaps with nanoseconds. Each entry begins with its time.
        """
        connection = self._connection()
        try:
            place = f"/containers/{quote(name, safe='')}/logs"
            response = _asked(connection, f"{place}?{stream}=1&timestamps=1&since={since}")
            yield iter(lambda: response.read1(_CHUNK_BYTES), b"")
        finally:
            connection.close()

    def close(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()

    def _connection(self) -> http.client.HTTPConnection:
        scheme, _, rest = self._url.partition("://")
        if scheme == "unix":
            return _UnixConnection(rest, self.timeout)
        return http.client.HTTPConnection(rest, timeout=self.timeout)

    def _json(self, path: str) -> Any:  # noqa: ANN401  whatever the engine says
        return json.loads(self._read(path))

    def _read(self, path: str) -> bytes:
        fresh = self._kept is None
        connection = self._kept = self._kept or self._connection()
        if connection.sock is not None:
            connection.sock.settimeout(self.timeout)
        try:
            return _asked(connection, path).read()
        except (ConnectionError, http.client.BadStatusLine):
            # A kept connection may have been ended by the other side while nobody looked.
            self.close()
            if fresh:
                raise
            return self._read(path)
        except Refused:
            raise
        except ERRORS:
            self.close()  # half an answer is left in it
            raise


def _asked(connection: http.client.HTTPConnection, path: str) -> http.client.HTTPResponse:
    """The answer, its body not read yet. Errors: Refused, with the engine's words."""
    connection.request("GET", path)
    response = connection.getresponse()
    if response.status == http.client.OK:
        return response
    text = response.read(_LONGEST_LINE).decode("utf-8", "replace").strip()
    with suppress(ValueError, KeyError, TypeError):
        text = str(json.loads(text)["message"])
    refusal = NotFound if response.status == http.client.NOT_FOUND else Refused
    raise refusal(f"{response.status}: {text[:200]}")

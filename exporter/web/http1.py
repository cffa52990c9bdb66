"""What of HTTP/1.1 a page without a request body needs: the head of a request, and of an answer.

Rule: pure. What is not understood is Malformed with the status to answer, never a guess. The
library's reader takes a mail parser to each request, at several times the cost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Protocol

LONGEST_LINE = 65536
MOST_HEADERS = 100
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})


class Lines(Protocol):
    def readline(self, limit: int, /) -> bytes: ...


class Malformed(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(HTTPStatus(status).phrase)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """headers: names in lower case; of a header that came twice, the first."""

    method: str
    url: str
    headers: Mapping[str, str]
    keep_alive: bool


def read_request(lines: Lines) -> Request | None:
    """The next request of a connection, None when there is none. Errors: Malformed, OSError."""
    line = lines.readline(LONGEST_LINE + 1)
    if not line.strip():
        return None
    if len(line) > LONGEST_LINE:
        raise Malformed(414)
    words = line.decode("latin-1").split()
    if len(words) != 3 or not words[2].startswith("HTTP/"):  # noqa: PLR2004  method, URL, version
        raise Malformed(400)
    method, url, version = words
    if version not in {"HTTP/1.1", "HTTP/1.0"}:
        raise Malformed(505)
    if method not in METHODS:
        raise Malformed(501)
    headers = _headers(lines)
    connection = headers.get("connection", "").lower()
    keep = "keep-alive" in connection if version == "HTTP/1.0" else "close" not in connection
    # A body that nobody asked for is not read; the next request would begin in it.
    body = "content-length" in headers or "transfer-encoding" in headers
    # Two slashes would make what follows a host.
    url = "/" + url.lstrip("/") if url.startswith("//") else url
    return Request(method, url, headers, keep and not body)


def _headers(lines: Lines) -> dict[str, str]:
    headers: dict[str, str] = {}
    for _ in range(MOST_HEADERS + 1):
        line = lines.readline(LONGEST_LINE + 1)
        if line in {b"\r\n", b"\n", b""}:
            return headers
        if len(line) > LONGEST_LINE:
            break
        name, colon, value = line.decode("latin-1").partition(":")
        # A space in front of the colon or at the start of the line hides a header from proxies.
        if not colon or name != name.strip():
            raise Malformed(400)
        headers.setdefault(name.lower(), value.strip())
    raise Malformed(431)


def head(
    status: int, headers: Sequence[tuple[str, str]], length: int, now: float, *, keep_alive: bool
) -> bytes:
    """The head of an answer with a body of that length. now: Unix seconds."""
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Server: stackmedic",
        f"Date: {_date(int(now))}",
        *(f"{name}: {value}" for name, value in headers),
        f"Content-Length: {length}",
    ]
    if not keep_alive:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")


@lru_cache(maxsize=1)
def _date(now: int) -> str:
    return formatdate(now, usegmt=True)

"""Asks the application to fill its cache, after a flush or a switch.

Rule: one POST to the configured URL and nowhere else: no redirect is followed, little of the
answer is read, and the whole call ends with its deadline, however slowly it is answered.
"""

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from remediator.actions.clients import Clients, Deadline, Params
from remediator.actions.evidence import redacted
from remediator.actions.passwords import read_password
from remediator.ports import Done, Effect, Permanent, Ready, Refused, RemediationError, Transient
from remediator.topology import CacheWarmer, Target

_CONNECT_SECONDS = 5.0
_MOST_BYTES = 1024 * 1024
_CHUNK = 16 * 1024
_SHOWN = 200


class WarmCacheParams(Params):
    """`optional`: a warmer that fails is told and fails no run; the cache fills by use."""

    optional: bool = False


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    start: bytes
    size: int


@dataclass(frozen=True, slots=True)
class WarmCache:
    """POST to the target's cache warmer. Warming twice does no harm."""

    params: WarmCacheParams
    clients: Clients

    def precheck(self, target: Target) -> Ready | Refused:
        warmer = _warmer(target)
        try:
            _token(target, warmer)
        except Permanent as error:
            if not self.params.optional:
                return Refused(str(error))
        return Ready()

    def run(self, target: Target, *, timeout_seconds: float) -> Done:
        deadline = Deadline.after(self.clients.clock, timeout_seconds)
        warmer = _warmer(target)
        try:
            answer = _post(warmer, _token(target, warmer), deadline)
            _judge(warmer, answer)
        except RemediationError as error:
            if not self.params.optional:
                raise
            return Done(f"the cache was not warmed and fills by use: {error}")
        start = redacted(answer.start.decode(errors="replace"))[:_SHOWN]
        evidence = {"status": answer.status, "answer": start}
        return Done(f"warmed the cache: {warmer.url} answered {answer.status}", evidence)

    def probe(self, target: Target, *, intended_at: datetime) -> Effect:  # noqa: ARG002
        return Effect.NOT_DONE  # nobody can tell, and once more does no harm


def _judge(warmer: CacheWarmer, answer: _Answer) -> None:
    """Errors: Transient for a 5xx, Permanent for every other status than 2xx."""
    family = answer.status // 100
    words = redacted(answer.start.decode(errors="replace"))[:_SHOWN]
    if family == 3:  # noqa: PLR2004 - HTTP's
        raise Permanent(
            f"{warmer.url} answers with a redirect ({answer.status}), which is not followed; "
            "put the final URL into the topology"
        )
    if family == 5:  # noqa: PLR2004
        raise Transient(f"{warmer.url} answers {answer.status}: {words}; see the backend's logs")
    if family != 2:  # noqa: PLR2004
        raise Permanent(
            f"{warmer.url} answers {answer.status}: {words}; see its URL and token_file"
        )


def _post(warmer: CacheWarmer, token: str | None, deadline: Deadline) -> _Answer:
    url = urlsplit(warmer.url)
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        connection = kind(url.hostname or "", url.port, timeout=deadline.at_most(_CONNECT_SECONDS))
        # A timeout of the socket is for one read: an answer in drops would never end.
        cutter = threading.Timer(max(0.0, deadline.left_seconds()), _cut, (connection,))
        with closing(connection), _running(cutter):
            connection.connect()
            if connection.sock is not None:
                connection.sock.settimeout(deadline.at_most(deadline.left_seconds()))
            connection.request("POST", path, body=b"", headers=headers)
            answer = _read(connection.getresponse(), deadline)
    except (OSError, http.client.HTTPException, ValueError) as error:
        over = ", the step's time was over" if deadline.is_over() else ""
        raise Transient(
            f"cannot warm the cache by {warmer.url}: {error!r}{over}; see that it answers"
        ) from error
    if deadline.is_over():
        raise Transient(f"{warmer.url} had not done within the step's time; give it longer")
    return answer


def _read(response: http.client.HTTPResponse, deadline: Deadline) -> _Answer:
    """Up to the end, for some warm while they answer; up to a cap, and keeping the start."""
    start, size = b"", 0
    while size < _MOST_BYTES and not deadline.is_over():
        chunk = response.read1(_CHUNK)
        if not chunk:
            break
        start, size = (start + chunk)[: 4 * _SHOWN], size + len(chunk)
    return _Answer(response.status, start, size)


def _cut(connection: http.client.HTTPConnection) -> None:
    sock = connection.sock
    if sock is not None:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


@contextmanager
def _running(timer: threading.Timer) -> Iterator[None]:
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _token(target: Target, warmer: CacheWarmer) -> str | None:
    return read_password(warmer.token_file, f"the cache warmer of {target.key}")


def _warmer(target: Target) -> CacheWarmer:
    if target.cache_warmer is None:
        raise Permanent(f"{target.key} has no cache_warmer; give it one in the topology")
    return target.cache_warmer

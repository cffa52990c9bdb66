"""One HTTP request on a fresh connection, and the redirects that it may follow.

Rule: what a server does never raises: it comes back as a ProbeFailure. Proxies from the
environment are not used. Secrets do not follow a redirect to another origin, nor does anything
from https to http.
"""

import http.client
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, urljoin, urlsplit

from exporter.collectors.dial import Dial, Failed, Stream, Trust
from exporter.collectors.port import Clock
from exporter.readings import ProbeFailure, Tls
from exporter.targets import Module

MOST_REDIRECTS = 5
_CHUNK = 65536
_REDIRECTS = frozenset([301, 302, 303, 307, 308])
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(slots=True)
class Fetched:
    """What came of it. failure is None when a whole answer arrived, whatever its status."""

    failure: ProbeFailure | None = None
    detail: str = ""
    status: int = 0
    version: float = 0.0
    headers: tuple[tuple[str, str], ...] = ()
    content_length: int = -1
    last_modified: float | None = None
    body: bytes = b""
    redirects: int = 0
    over_tls: bool = False
    ip: str = ""
    tls: Tls | None = None
    phases: dict[str, float] = field(default_factory=dict)
    duration_seconds: float = 0.0


class Request:
    """One request. cancel() may be called from another thread and makes get() end soon.

    secrets: headers of the module whose values come from files, already read.
    """

    def __init__(
        self,
        url: str,
        deadline: float,
        clock: Clock,
        module: Module = Module(),  # noqa: B008  a frozen value
        secrets: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self._url = url
        self._module = module
        self._secrets = secrets
        self._clock = clock
        self._dial = Dial(deadline, clock)
        self._result = Fetched()
        self._trust = Trust(module.ca_file, module.server_name, module.insecure_skip_verify)

    def get(self) -> Fetched:
        """Follow the module's settings to the end."""
        return self._timed(self._follow)

    def connect(self) -> Fetched:
        """Only the way there: a TCP connection, with TLS for tls://."""
        return self._timed(self._reach)

    def cancel(self) -> None:
        self._dial.cancel()

    def _timed(self, run: Callable[[], None]) -> Fetched:
        began_at = self._clock()
        result, dial = self._result, self._dial
        try:
            run()
        except Failed as failed:
            result.failure, result.detail = failed.failure, failed.detail
        except TimeoutError:
            result.failure, result.detail = ProbeFailure.TIMEOUT, "no answer in time"
        except (http.client.HTTPException, OSError, ValueError) as error:
            result.failure = ProbeFailure.PROTOCOL
            result.detail = f"{type(error).__name__}: {error}"
        finally:
            dial.close()
        result.phases, result.tls, result.ip = dial.phases, dial.tls, dial.ip
        result.duration_seconds = self._clock() - began_at
        return result

    def _reach(self) -> None:
        parts = urlsplit(self._url)
        assert parts.hostname is not None  # noqa: S101  the configuration was checked
        assert parts.port is not None  # noqa: S101  the same
        self._dial.open(parts.hostname, parts.port, self._trust if parts.scheme == "tls" else None)

    def _follow(self) -> None:
        first = here = urlsplit(self._url)
        while True:
            self._once(here, secret=_origin(here) == _origin(first))
            location = dict(self._result.headers).get("location", "")
            if (
                not self._module.follow_redirects
                or self._result.status not in _REDIRECTS
                or not location
            ):
                return
            self._result.redirects += 1
            here = self._next(here, location)

    def _next(self, here: SplitResult, location: str) -> SplitResult:
        if self._result.redirects > MOST_REDIRECTS:
            raise Failed(ProbeFailure.REDIRECT, f"more than {MOST_REDIRECTS} redirects")
        there = urlsplit(urljoin(here.geturl(), location))
        downgrade = here.scheme == "https" and there.scheme != "https"
        if there.scheme not in _DEFAULT_PORTS or not there.hostname or downgrade:
            raise Failed(ProbeFailure.REDIRECT, f"may not lead to {there.scheme}://{there.netloc}")
        return there

    def _once(self, parts: SplitResult, *, secret: bool) -> None:
        host, port = _origin(parts)[1:]
        over_tls = parts.scheme == "https"
        sock = self._dial.open(host, port, self._trust if over_tls else None)
        self._result.over_tls = over_tls
        connection = http.client.HTTPConnection(host, port)
        connection.sock = Stream(sock, self._dial.left)
        module = self._module
        headers = {
            "Host": parts.netloc.rpartition("@")[2],
            "User-Agent": "stackmedic",
            "Connection": "close",
            **dict(module.headers),
            **dict(self._secrets if secret else ()),
        }
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        with self._dial.phase("processing"):
            body = module.body.encode() if module.body else None
            connection.request(module.method, path, body=body, headers=headers)
            response = connection.getresponse()
        with response, self._dial.phase("transfer"):
            self._take(response)
            self._result.body = self._body(response)

    def _take(self, response: http.client.HTTPResponse) -> None:
        result = self._result
        result.status = response.status
        result.version = response.version / 10
        result.headers = tuple((k.lower(), v) for k, v in response.getheaders())
        told = dict(result.headers)
        length = told.get("content-length", "")
        result.content_length = int(length) if length.isdecimal() and len(length) < 19 else -1  # noqa: PLR2004  fits 64 bits
        result.last_modified = _date(told.get("last-modified", ""))
        result.body = b""

    def _body(self, response: http.client.HTTPResponse) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while True:
            chunk = response.read1(_CHUNK)
            if not chunk:
                if response.length:
                    raise Failed(ProbeFailure.PROTOCOL, "the body ended early")
                return b"".join(chunks)
            chunks.append(chunk)
            size += len(chunk)
            if size > self._module.max_body_bytes:
                raise Failed(ProbeFailure.SIZE, f"more than {self._module.max_body_bytes} bytes")


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    return parts.scheme, parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme]


def _date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, OverflowError):
        return None

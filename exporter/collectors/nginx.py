"""nginx's stub_status page.

Rule: the page has one form; any other text is "cannot tell".
"""

import re

from exporter.collectors.colours import unanswered
from exporter.collectors.fetch import Request
from exporter.collectors.port import Clock
from exporter.readings import Cause, Nginx, Unreachable
from exporter.targets import NginxServer

_PAGE = re.compile(
    r"Active connections: (\d+)\s+"
    r"server accepts handled requests\s+(\d+) (\d+) (\d+)\s+"
    r"Reading: (\d+) Writing: (\d+) Waiting: (\d+)\s*",
    re.ASCII,
)


class NginxCollector:
    def __init__(self, server: NginxServer, clock: Clock) -> None:
        self._server = server
        self._clock = clock
        self._request: Request | None = None

    def collect(self, deadline: float) -> Nginx | Unreachable:
        deadline = min(deadline, self._clock() + self._server.timeout)
        self._request = Request(self._server.url, deadline, self._clock)
        fetched = self._request.get()
        why = unanswered(self._server.url, fetched)
        if why is not None:
            return why
        reading = page(fetched.body.decode("utf-8", "replace"))
        return reading or Unreachable(Cause.PROTOCOL, f"{self._server.url}: no stub_status page")

    def cancel(self) -> None:
        if self._request is not None:
            self._request.cancel()

    def close(self) -> None:
        """Nothing is kept between questions."""


def page(text: str) -> Nginx | None:
    match = _PAGE.fullmatch(text[:4096])
    if match is None:
        return None
    active, accepted, handled, requests, reading, writing, waiting = map(int, match.groups())
    return Nginx(active, accepted, handled, requests, reading, writing, waiting)

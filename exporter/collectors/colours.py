"""Which colour is live, as the running proxy itself answers.

Rule: the answer must be one of the configured words; anything else is "cannot tell".
"""

from exporter.collectors.fetch import Fetched, Request
from exporter.collectors.port import Clock
from exporter.readings import Cause, LiveColour, ProbeFailure, Unreachable
from exporter.targets import ColourSwitch

_CAUSES = {
    ProbeFailure.DNS: Cause.DNS,
    ProbeFailure.CONNECT: Cause.CONNECT,
    ProbeFailure.TIMEOUT: Cause.TIMEOUT,
}
_OK = 200


class ColourCollector:
    def __init__(self, switch: ColourSwitch, clock: Clock) -> None:
        self._switch = switch
        self._clock = clock
        self._request: Request | None = None

    def collect(self, deadline: float) -> LiveColour | Unreachable:
        deadline = min(deadline, self._clock() + self._switch.timeout)
        self._request = Request(self._switch.url, deadline, self._clock)
        fetched = self._request.get()
        why = unanswered(self._switch.url, fetched)
        if why is not None:
            return why
        word = fetched.body.decode("utf-8", "replace").strip()
        if word not in self._switch.one_of:
            return Unreachable(Cause.PROTOCOL, f"{self._switch.url}: {word[:40]!r} is no colour")
        return LiveColour(word)

    def cancel(self) -> None:
        if self._request is not None:
            self._request.cancel()

    def close(self) -> None:
        """Nothing is kept between questions."""


def unanswered(url: str, fetched: Fetched) -> Unreachable | None:
    """Why there is no page to read. Pure."""
    if fetched.failure is not None:
        return Unreachable(_CAUSES.get(fetched.failure, Cause.PROTOCOL), f"{url}: {fetched.detail}")
    if fetched.status != _OK:
        return Unreachable(Cause.REFUSED, f"{url}: status {fetched.status}")
    return None

"""One HTTP probe, as the blackbox exporter would do it: fresh connection, one try.

Rule: a failed probe is a good reading. The health document is the application's own words,
so only component names of a plain form are taken, and only so many in a process's life.
"""

import json
import re
from collections.abc import Mapping

from exporter.collectors.fetch import Fetched, Request
from exporter.collectors.port import Clock
from exporter.readings import HealthDocument, HealthWord, Probe, ProbeFailure
from exporter.targets import ProbeTarget

MAX_COMPONENTS = 20
_COMPONENT = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_GOOD_WORDS = frozenset(["healthy", "ok", "up", "ready", "pass", "connected", "available"])
_OVERALL = {
    **dict.fromkeys(_GOOD_WORDS, HealthWord.HEALTHY),
    **dict.fromkeys(("degraded", "warn", "warning"), HealthWord.DEGRADED),
    **dict.fromkeys(("unhealthy", "not_ready", "down", "fail", "error"), HealthWord.UNHEALTHY),
}
_SUCCESS = range(200, 300)


class ProbeCollector:
    def __init__(self, target: ProbeTarget, clock: Clock) -> None:
        self._target = target
        self._clock = clock
        self._request: Request | None = None
        self._components: set[str] = set()

    def collect(self, deadline: float) -> Probe:
        deadline = min(deadline, self._clock() + self._target.timeout)
        self._request = Request(self._target.url, deadline, self._clock)
        fetched = self._request.get()
        if not self._target.health_json:
            return probe_of(fetched, None)
        health = document_of(fetched.body, self._components) if fetched.body else None
        if health is not None:
            self._components.update(health.components)
        return probe_of(fetched, health, wants_health=True)

    def cancel(self) -> None:
        if self._request is not None:
            self._request.cancel()

    def close(self) -> None:
        """Nothing is kept between probes."""


def probe_of(
    fetched: Fetched, health: HealthDocument | None, *, wants_health: bool = False
) -> Probe:
    """Judge one answer. Pure."""
    failure, detail = fetched.failure, fetched.detail
    if failure is None and fetched.status not in _SUCCESS:
        failure, detail = ProbeFailure.STATUS, f"status {fetched.status}"
    elif failure is None and wants_health and health is None:
        failure, detail = ProbeFailure.JSON, "no health document in the body"
    return Probe(
        failure=failure,
        duration_seconds=fetched.duration_seconds,
        status_code=fetched.status,
        content_length=len(fetched.body),
        http_version=fetched.version,
        phases=dict(fetched.phases),
        health=health,
        detail=detail,
    )


def document_of(body: bytes, admitted: set[str]) -> HealthDocument | None:
    """A health document in the forms services use, or None. Pure.

    Components are objects with a status, at the top level or under checks/components; a
    plain bool or word under checks/components counts too. admitted: names taken earlier.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, Mapping) or not isinstance(document.get("status"), str):
        return None
    found = {k: v for k, v in document.items() if isinstance(v, Mapping) and "status" in v}
    for group in ("checks", "components"):
        if isinstance(document.get(group), Mapping):
            found.update(document[group])
    components: dict[str, bool] = {}
    for name, value in found.items():
        up = _is_up(value)
        if up is None or not _COMPONENT.fullmatch(name):
            continue
        if name in admitted or len(admitted | components.keys()) < MAX_COMPONENTS:
            components[name] = up
    return HealthDocument(_OVERALL.get(document["status"].lower(), HealthWord.UNKNOWN), components)


def _is_up(value: object) -> bool | None:
    if isinstance(value, Mapping):
        value = value.get("status")
    if isinstance(value, bool):
        return value
    return value.lower() in _GOOD_WORDS if isinstance(value, str) else None

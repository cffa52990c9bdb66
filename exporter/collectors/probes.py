"""One probe, as the blackbox exporter would do it: fresh connection, one try.

Rule: a failed probe is a good reading. It is counted and remembered for whoever asks why.
"""

import re
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

from exporter.collectors.fetch import Fetched, Request
from exporter.collectors.health import Admitted, document_of, loaded, values_of
from exporter.collectors.history import History, Result, head_of, redacted
from exporter.collectors.port import Clocks
from exporter.readings import HealthDocument, Probe, ProbeFailure
from exporter.readings.probes import Durations
from exporter.targets import Module, ProbeTarget

_SUCCESS = range(200, 300)
_LONGEST_SECRET = 65536
Secrets = tuple[tuple[str, str], ...]


class ProbeCollector:
    def __init__(self, target: ProbeTarget, clocks: Clocks) -> None:
        self._target = target
        self._clocks = clocks
        self._request: Request | None = None
        self._admitted = Admitted()
        self._lock = threading.Lock()  # guards what is counted and admitted
        self._attempts = 0
        self._failures: Counter[ProbeFailure] = Counter()
        self._durations = Durations()
        self.history = History()

    def collect(self, deadline: float) -> Probe:
        probe = self._probe(self._target.module, deadline, kept=True)
        with self._lock:
            self._attempts += 1
            self._durations = self._durations.with_one(probe.duration_seconds)
            if probe.failure is not None:
                self._failures[probe.failure] += 1
            return replace(
                probe,
                attempts=self._attempts,
                failures=dict(self._failures),
                durations=self._durations,
            )

    def probe(self, module: Module | None, deadline: float) -> Probe:
        """The same done afresh, beside any collect(): remembered, but not counted."""
        return self._probe(module or self._target.module, deadline, kept=False)

    def cancel(self) -> None:
        if self._request is not None:
            self._request.cancel()

    def close(self) -> None:
        """Nothing is kept open between probes."""

    def _probe(self, module: Module, deadline: float, *, kept: bool) -> Probe:
        target, clock = self._target, self._clocks.monotonic
        began_at = clock()
        deadline = min(deadline, began_at + target.timeout)
        try:
            secrets = secrets_of(module)
        except (OSError, UnicodeDecodeError) as error:
            secrets, fetched = (), Fetched(ProbeFailure.SECRET, str(error))
        else:
            request = Request(target.url, deadline, clock, module, secrets)
            if kept:
                self._request = request
            is_http = target.url.startswith("http")
            fetched = request.get() if is_http else request.connect()
        probe = self._judged(fetched, module, secrets)
        probe = replace(probe, timeout_seconds=max(0.0, deadline - began_at))
        head = ""
        if probe.failure is not None:
            head = head_of(fetched.body, [value for _, value in secrets])
        self.history.add(Result(self._clocks.wall(), module.name, probe, head))
        return probe

    def _judged(self, fetched: Fetched, module: Module, secrets: Secrets) -> Probe:
        target = self._target
        document = None
        if target.health_json or target.json_values:
            document = loaded(fetched.body)
        health = None
        if target.health_json:
            with self._lock:
                health = document_of(document, self._admitted)
        found = probe_of(fetched, module, health, wants_health=target.health_json)
        return replace(
            found,
            json_values=values_of(document, target.json_values),
            detail=redacted(found.detail, [value for _, value in secrets]),
        )


def secrets_of(module: Module) -> Secrets:
    """Header -> value from its file, read anew for each probe. Errors: OSError, Unicode."""
    return tuple((header, _secret(Path(file))) for header, file in module.header_files)


def _secret(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.read(_LONGEST_SECRET).strip()


def probe_of(
    fetched: Fetched, module: Module, health: HealthDocument | None, *, wants_health: bool = False
) -> Probe:
    """Judge one answer. Pure."""
    regex = _unmatched(fetched, module)
    failure, detail = fetched.failure, fetched.detail
    if failure is None and fetched.status:
        if fetched.status not in (module.expected_status or _SUCCESS):
            failure, detail = ProbeFailure.STATUS, f"status {fetched.status}"
        elif regex is not None:
            failure, detail = regex
        elif wants_health and health is None:
            failure, detail = ProbeFailure.JSON, "no health document in the body"
    configured = module.body_matches or module.body_matches_not or module.header_matches
    return Probe(
        failure=failure,
        duration_seconds=fetched.duration_seconds,
        status_code=fetched.status,
        content_length=fetched.content_length,
        body_length=len(fetched.body),
        http_version=fetched.version,
        redirects=fetched.redirects,
        last_modified=fetched.last_modified,
        over_tls=fetched.over_tls,
        ip=fetched.ip,
        failed_regex=failure in {ProbeFailure.BODY, ProbeFailure.HEADER} if configured else None,
        phases=dict(fetched.phases),
        tls=fetched.tls,
        health=health,
        detail=detail,
    )


def _unmatched(fetched: Fetched, module: Module) -> tuple[ProbeFailure, str] | None:
    """Which of the module's expressions does not hold."""
    headers = dict(fetched.headers)
    for header, pattern in module.header_matches:
        if not re.search(pattern, headers.get(header.lower(), "")):
            return ProbeFailure.HEADER, f"{header} does not match"
    body = fetched.body.decode("utf-8", "replace")
    if module.body_matches and not re.search(module.body_matches, body):
        return ProbeFailure.BODY, "the body does not match"
    if module.body_matches_not and re.search(module.body_matches_not, body):
        return ProbeFailure.BODY, "the body matches what it must not"
    return None

"""The last results of one probe target, for people who ask why it failed.

Rule: kept per target, so that a noisy one evicts nothing of a quiet one, and failures longer
than successes. Bounded in number and in length; what looks like a secret is blanked out.
"""

import re
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from exporter.readings import Probe

KEPT = 10
KEPT_FAILURES = 20
_HEAD = 300
BLANK = "[redacted]"
_SECRETS = re.compile(
    r"""(?ix)
    ((?:password|passwd|pwd|secret|token|api[_-]?key|authorization|cookie|session)
      ["']? \s* [:=] \s* (?:(?:bearer|basic)\s+)? ["']?) [^\s"',;&<>}]+
    """
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
_USERINFO = re.compile(r"(?<=://)[^/\s@]+@")


@dataclass(frozen=True, slots=True)
class Result:
    """at: wall clock. head: the beginning of the body of a failed probe, redacted."""

    at: float
    module: str
    probe: Probe
    head: str = ""


class History:
    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the two queues
        self._last: deque[Result] = deque(maxlen=KEPT)
        self._failures: deque[Result] = deque(maxlen=KEPT_FAILURES)

    def add(self, result: Result) -> None:
        with self._lock:
            self._last.append(result)
            if result.probe.failure is not None:
                self._failures.append(result)

    def results(self) -> list[Result]:
        """The newest first, each once."""
        with self._lock:
            found = {id(result): result for result in (*self._failures, *self._last)}
        return sorted(found.values(), key=lambda result: result.at, reverse=True)


def head_of(body: bytes, secrets: Iterable[str]) -> str:
    """The beginning of a body, on one line, without the secrets that were sent and the like."""
    text = body[: 4 * _HEAD].decode("utf-8", "replace")
    return redacted(text, secrets)[:_HEAD]


def redacted(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, BLANK)
    text = _SECRETS.sub(rf"\1{BLANK}", text)
    text = _BEARER.sub(rf"\1 {BLANK}", text)
    text = _USERINFO.sub(f"{BLANK}@", text)
    return "".join(c if c.isprintable() else " " for c in text)

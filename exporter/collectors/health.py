"""The JSON body of a probe: the health document, and the numbers at configured paths.

Rule: pure. The document is the application's own words, so only names and versions of a plain
form are taken, and only so many in a process's life.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence

from exporter.readings import HealthDocument, HealthWord

MAX_COMPONENTS = 20
MAX_VERSIONS = 50
OTHER_VERSION = "other"
_COMPONENT = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,39}")
_GOOD_WORDS = frozenset(["healthy", "ok", "up", "ready", "pass", "connected", "available"])
_OVERALL = {
    **dict.fromkeys(_GOOD_WORDS, HealthWord.HEALTHY),
    **dict.fromkeys(("degraded", "warn", "warning"), HealthWord.DEGRADED),
    **dict.fromkeys(("unhealthy", "not_ready", "down", "fail", "error"), HealthWord.UNHEALTHY),
}
# The keys under which services tell how long a component took, and their unit in seconds.
_LATENCIES = {
    "latency_ms": 0.001,
    "response_time_ms": 0.001,
    "duration_ms": 0.001,
    "latency_seconds": 1.0,
    "duration_seconds": 1.0,
}


class Admitted:
    """Names and versions taken earlier. The one thing here that remembers."""

    def __init__(self) -> None:
        self._components: set[str] = set()
        self._versions: set[tuple[str, str]] = set()

    def component(self, name: str) -> bool:
        if not _COMPONENT.fullmatch(name):
            return False
        if name not in self._components and len(self._components) >= MAX_COMPONENTS:
            return False
        self._components.add(name)
        return True

    def version(self, component: str, version: str) -> str:
        if not _VERSION.fullmatch(version):
            return OTHER_VERSION
        key = (component, version)
        if key not in self._versions and len(self._versions) >= MAX_VERSIONS:
            return OTHER_VERSION
        self._versions.add(key)
        return version


def loaded(body: bytes) -> object:
    """The body as JSON; None for what is no JSON."""
    try:
        return json.loads(body) if body else None
    except (ValueError, RecursionError):
        return None


def document_of(document: object, admitted: Admitted) -> HealthDocument | None:
    """A health document in the forms services use, or None.

    Components are objects with a status, at the top level or under checks/components; a
    plain bool or word under checks/components counts too.
    """
    if not isinstance(document, Mapping) or not isinstance(document.get("status"), str):
        return None
    found = _components(document)
    components: dict[str, bool] = {}
    latencies: dict[str, float] = {}
    versions: dict[str, str] = {}
    for name, value in found.items():
        up = _is_up(value)
        if up is None or not admitted.component(name):
            continue
        components[name] = up
        if isinstance(value, Mapping):
            took = _latency(value)
            if took is not None:
                latencies[name] = took
            if isinstance(value.get("version"), str):
                versions[name] = admitted.version(name, value["version"])
    word = _OVERALL.get(document["status"].lower(), HealthWord.UNKNOWN)
    return HealthDocument(word, components, latencies, versions)


def _components(document: Mapping[str, object]) -> dict[str, object]:
    found: dict[str, object] = {
        k: v for k, v in document.items() if isinstance(v, Mapping) and "status" in v
    }
    for group in (document.get("checks"), document.get("components")):
        if isinstance(group, Mapping):
            found.update(group)
    return found


def values_of(document: object, paths: Sequence[str]) -> dict[str, float]:
    """Path -> number, for the paths that lead to one. A part of digits indexes a list."""
    found = ((path, _number(_at(document, path.split(".")))) for path in paths)
    return {path: number for path, number in found if number is not None}


def _at(node: object, parts: Sequence[str]) -> object:
    for part in parts:
        if isinstance(node, Mapping):
            node = node.get(part)
        elif isinstance(node, list) and part.isdecimal() and len(part) < 6:  # noqa: PLR2004  no list is longer
            node = node[int(part)] if int(part) < len(node) else None
        else:
            return None
    return node


def _number(value: object) -> float | None:
    if not isinstance(value, int | float):  # a bool is an int: true counts as 1
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _latency(component: Mapping[str, object]) -> float | None:
    for key, unit in _LATENCIES.items():
        number = _number(component.get(key))
        if number is not None and number >= 0:
            return number * unit
    return None


def _is_up(value: object) -> bool | None:
    if isinstance(value, Mapping):
        value = value.get("status")
    if isinstance(value, bool):
        return value
    return value.lower() in _GOOD_WORDS if isinstance(value, str) else None

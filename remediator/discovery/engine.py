"""The containers of compose projects, as the engine's API tells them.

Rule: two kinds of GET and nothing else, so the exporter's filtering proxy lets them pass.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx

from remediator.checkup.live import client, engine_base
from remediator.discovery.guess import Container

_PROJECT, _SERVICE = "com.docker.compose.project", "com.docker.compose.service"
_LOCAL_URL = re.compile(r"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0)(?::(\d+))?(/[^\s\"']*)?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


class EngineUnreachable(Exception):
    """The sentence says which engine and why."""


def containers(url: str) -> tuple[Container, ...]:
    """By project and service; one of several replicas. Errors: EngineUnreachable."""
    base = engine_base(url)
    try:
        with client(url) as asking:
            listed = asking.get(f"{base}/containers/json?all=1").raise_for_status().json()
            found = [
                asking.get(f"{base}/containers/{one['Id']}/json").raise_for_status().json()
                for one in listed
                if one.get("Labels", {}).get(_PROJECT)
            ]
        seen = {(c.project, c.service): c for one in found for c in _container(one)}
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        raise EngineUnreachable(f"cannot ask the engine at {url}: {error!r}") from error
    return tuple(seen[key] for key in sorted(seen))


def _container(told: Mapping[str, Any]) -> Iterator[Container]:
    """None for a name that no configuration could hold."""
    config, labels = told["Config"], told["Config"]["Labels"]
    project, service, name = labels[_PROJECT], labels[_SERVICE], told["Name"].lstrip("/")
    if not all(_NAME.fullmatch(text) for text in (project, service, name)):
        return
    ports = sorted(int(port.partition("/")[0]) for port in config.get("ExposedPorts") or {})
    yield Container(
        name=name,
        project=project,
        service=service,
        image=config["Image"],
        aliases=_aliases(told),
        ports=tuple(ports),
        health=_health((config.get("Healthcheck") or {}).get("Test") or []),
        environment=dict(line.split("=", 1) for line in config.get("Env") or [] if "=" in line),
    )


def _aliases(told: Mapping[str, Any]) -> tuple[str, ...]:
    """Its names on its networks, without the engine's own for it."""
    networks = told["NetworkSettings"]["Networks"].values()
    names = [alias for network in networks for alias in network.get("Aliases") or []]
    return tuple(dict.fromkeys(n for n in names if not told["Id"].startswith(n)))


def _health(test: Sequence[str]) -> tuple[int, str] | None:
    found = _LOCAL_URL.search(" ".join(test))
    return (int(found[1] or 80), found[2] or "/") if found else None

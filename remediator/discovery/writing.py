"""exporter.yml and remediator.yml of what was found, for a person to read and go on from.

Rule: pure; observe mode, and no entry that could not be verified by what is there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from remediator.discovery.guess import Found, groups

_PASSWORD = "/run/secrets/postgres_password"  # noqa: S105 - where the secret is mounted
_EXPORTER = """\
# A first configuration, from what ran. Read it, correct it, and check it with:
#   stackmedic-exporter --config.file=exporter.yml --config.check
"""
_REMEDIATOR = """\
# A first configuration, from what ran. It touches nothing: mode is observe. Check it with:
#   stackmedic-remediator --config.file=remediator.yml check
"""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the parts of the monitoring answer, as they see one another."""

    prometheus: str = "http://prometheus:9090"
    alertmanager: str = "http://alertmanager:9093"
    exporter: str = "http://exporter:9180"
    engine_ro: str = "tcp://engine-ro:2375"
    engine_rw: str = "tcp://engine-rw:2375"
    live_url: str | None = None  # answers with the live colour


def exporter_yml(found: Iterable[Found], places: Places) -> str:
    found = tuple(found)
    projects = sorted({one.container.project for one in found})
    document: dict[str, Any] = {
        "listen": "0.0.0.0:9180",
        "services": {
            one.key: {"project": one.container.project, "compose_service": one.container.service}
            for one in found
        },
        "docker": {
            "url": places.engine_ro,
            "projects": projects,
            "cgroup_root": "/host/cgroup",
            "proc_root": "/host/proc",
            "state_file": "/var/lib/stackmedic/exporter-events.json",
        },
        "postgres": {one.key: _postgres(one) for one in found if one.kind == "postgres"},
        "redis": {
            one.key: {"host": one.host, "port": 6379} for one in found if one.kind == "redis"
        },
        "logs": {
            "root": "/host/containers",
            "state_file": "/var/lib/stackmedic/exporter-logs.json",
        },
        "probes": {one.key: _probe(one) for one in found if one.url},
        "colours": _colours(found, places),
    }
    return _text(_EXPORTER, document)


def remediator_yml(found: Iterable[Found], places: Places) -> str:
    found = tuple(found)
    document: dict[str, Any] = {
        "version": 1,
        "mode": "observe",
        "listen": "0.0.0.0:9181",
        "state_file": "/var/lib/stackmedic/remediator.sqlite",
        "webhook": {"token_file": "/run/secrets/remediator_token"},
        "prometheus": {"url": places.prometheus, "freshness_job": "stackmedic-exporter"},
        "alertmanager": {"url": places.alertmanager},
        "exporter": {"url": places.exporter},
        "docker": {"url": places.engine_rw},
        "groups": {
            name: {"members": members, "min_healthy": 1} for name, members in groups(found).items()
        },
        "topology": {one.key: _target(one, found) for one in found},
        "runbooks": _runbooks(found),
    }
    return _text(_REMEDIATOR, document)


def _text(head: str, document: Mapping[str, Any]) -> str:
    """Sections that would be empty are left out."""
    parts = [
        yaml.safe_dump(
            {key: value},
            sort_keys=False,
            default_flow_style=None if isinstance(value, dict | list) else False,
            width=100,
        )
        for key, value in document.items()
        if value not in ({}, [])
    ]
    return head + "".join(f"\n{part}" if "\n" in part[:-1] else part for part in parts)


def _postgres(one: Found) -> dict[str, object]:
    environment = one.container.environment
    user = environment.get("POSTGRES_USER", "postgres")
    section: dict[str, object] = {
        "host": one.host,
        "port": 5432,
        "database": environment.get("POSTGRES_DB", user),
        "user": user,
    }
    if environment.keys() & {"POSTGRES_PASSWORD", "POSTGRES_PASSWORD_FILE"}:
        section["password_file"] = _PASSWORD
    return section


def _probe(one: Found) -> dict[str, object]:
    colour = {"colour": one.colour} if one.colour else {}
    return {"url": one.url, "service": one.key, **colour, "timeout": "2s"}


def _colours(found: Iterable[Found], places: Places) -> dict[str, object]:
    """Of the first service that has several; its live URL only a person can know."""
    if places.live_url is None:
        return {}
    for service in groups(found):
        names = sorted(
            {one.colour for one in found if one.colour and one.container.service == service}
        )
        return {service: {"url": places.live_url, "one_of": names}}
    return {}


def _target(one: Found, found: Iterable[Found]) -> dict[str, object]:
    target: dict[str, object] = {"tier": one.tier, "container": one.container.name}
    if one.url:
        target["probes"] = [one.key]
    if one.kind == "postgres":
        target["address"] = _postgres(one)
    data = [other.key for other in found if other.tier == "data"]
    if one.kind == "app" and data:
        target["depends_on"] = data
    return target


def _runbooks(found: Iterable[Found]) -> list[dict[str, object]]:
    entries: list[dict[str, object]] = [
        {
            "id": "restart-service",
            "alerts": ["ServiceDown"],
            "target": {"from_label": "service"},
            "risk": "disruptive",
            "limits": {"cooldown": "10m", "attempts": 2, "per": "1h"},
            "steps": [_step("restart_service", "90s", "if_not_done", stop_timeout="10s")],
            "verify": _verify({"running": True}, {"probes": "target"}, {"alert": "cleared"}),
        }
    ]
    first = next((one for one in found if one.kind == "postgres"), None)
    if first is not None:
        answers = {"expr": f'pg_up{{service="{first.key}"}}', "above": 0.5}
        entries.append(
            {
                "id": "restart-database",
                "alerts": ["PostgresDown"],
                "target": first.key,
                "risk": "data",
                "limits": {"cooldown": "10m", "attempts": 1, "per": "1d"},
                "steps": [_step("restart_database", "2m", "never", stop_timeout="60s")],
                "verify": _verify({"promql": answers}, {"alert": "cleared"}),
            }
        )
    return entries


def _step(action: str, timeout: str, repeat: str, **parameters: str) -> dict[str, object]:
    return {
        "id": "restart",
        "action": action,
        "with": parameters,
        "timeout": timeout,
        "repeat": repeat,
    }


def _verify(*checks: Mapping[str, object]) -> dict[str, object]:
    return {"within": "3m", "interval": "1s", "consecutive": 3, "all": [dict(c) for c in checks]}

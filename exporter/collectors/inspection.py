"""The engine's inspect document -> Container.

Rule: pure. The document is the engine's, but its names and labels are anyone's: nothing here
raises on a missing part.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from exporter.readings import Container, ContainerState, Health

_STATES = {state.value: state for state in ContainerState}
_HEALTHS = {health.value: health for health in Health}
_FRACTION = re.compile(r"(\.\d{1,6})\d*")
_BEING_REPLACED = re.compile(r"[0-9a-f]{12}_(.+)")
_DEFAULT_PERIOD = 100_000


def container_of(document: Mapping[str, Any]) -> Container:
    config = document.get("Config") or {}
    state = document.get("State") or {}
    host = document.get("HostConfig") or {}
    labels = config.get("Labels") or {}
    status = _STATES.get(state.get("Status", ""), ContainerState.DEAD)
    quota, period = _cpu_limit(host)
    return Container(
        id=str(document.get("Id", "")),
        name=lasting_name(str(document.get("Name", "")).lstrip("/")),
        image=str(config.get("Image", "")),
        state=status,
        project=str(labels.get("com.docker.compose.project", "")),
        compose_service=str(labels.get("com.docker.compose.service", "")),
        one_off=str(labels.get("com.docker.compose.oneoff", "")).lower() == "true",
        image_id=str(document.get("Image", "")),
        restart_policy=str((host.get("RestartPolicy") or {}).get("Name") or ""),
        health=_health(state, status),
        failing_streak=int((state.get("Health") or {}).get("FailingStreak") or 0),
        restarts=int(document.get("RestartCount") or 0),
        exit_code=int(state.get("ExitCode") or 0),
        oom_killed=bool(state.get("OOMKilled")),
        pid=int(state.get("Pid") or 0),
        created_at=unix_time(document.get("Created")),
        started_at=unix_time(state.get("StartedAt")),
        finished_at=unix_time(state.get("FinishedAt")),
        cgroup_parent=str(host.get("CgroupParent") or ""),
        log_driver=str((host.get("LogConfig") or {}).get("Type") or ""),
        memory_limit_bytes=int(host.get("Memory") or 0),
        memory_reservation_bytes=int(host.get("MemoryReservation") or 0),
        memory_swap_limit_bytes=max(0, int(host.get("MemorySwap") or 0)),
        cpu_quota=quota,
        cpu_period=period,
        cpu_shares=int(host.get("CpuShares") or 0),
        own_network=not str(host.get("NetworkMode") or "").startswith(("host", "container:")),
    )


def told_by(item: Mapping[str, Any], container: Container) -> bool:
    """Whether one entry of the engine's list leaves nothing to ask about its container.

    Of a health check it never does: failures in a row have no event.
    """
    names = {lasting_name(str(name).lstrip("/")) for name in item.get("Names") or ()}
    if item.get("State") != container.state or container.name not in names:
        return False
    if container.state is not ContainerState.RUNNING:
        return True
    return container.health is Health.NONE and "(" not in str(item.get("Status") or "")


def lasting_name(name: str) -> str:
    """The name without the id that compose puts before it while it replaces a container."""
    match = _BEING_REPLACED.fullmatch(name)
    return match[1] if match else name


def _health(state: Mapping[str, Any], status: ContainerState) -> Health:
    # The engine says "unhealthy" of a container that was stopped on purpose.
    if status is not ContainerState.RUNNING:
        return Health.NONE
    return _HEALTHS.get((state.get("Health") or {}).get("Status", ""), Health.NONE)


def _cpu_limit(host: Mapping[str, Any]) -> tuple[int, int]:
    """(quota, period) in microseconds; quota 0: no limit."""
    period = int(host.get("CpuPeriod") or 0) or _DEFAULT_PERIOD
    if nano_cpus := int(host.get("NanoCpus") or 0):
        return nano_cpus * period // 10**9, period
    return max(0, int(host.get("CpuQuota") or 0)), period


def unix_time(text: object) -> float:
    """RFC 3339 with nanoseconds -> Unix seconds; 0 for the engine's year 1 and for nonsense."""
    if not isinstance(text, str) or text.startswith("0001-"):
        return 0.0
    try:
        return datetime.fromisoformat(_FRACTION.sub(r"\1", text)).timestamp()
    except ValueError:
        return 0.0

"""Faults done to real containers, and the series that tell them."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.integration.exporter_stage import (
    ENGINE,
    REDIS_IMAGE,
    Served,
    container,
    docker,
    eventually,
    needs_docker,
    random_project,
    served,
)

pytestmark = needs_docker

PYTHON_IMAGE = os.environ.get("PYTHON_IMAGE", "stackmedic-demo/python:3.11")
SMALL = ("--memory", "48m", "--memory-swap", "48m")
GREEDY = "import time; x = b'x' * (200 << 20); time.sleep(600)"


@pytest.fixture
def project() -> str:
    return random_project()


@pytest.fixture
def exporter(project: str) -> Iterator[Served]:
    config = f"""
services: {{web: {{project: {project}, compose_service: web}}}}
docker: {{url: "{ENGINE}", projects: [{project}], cgroup_root: /sys/fs/cgroup, proc_root: /proc}}
"""
    with served(config) as one:
        eventually(
            lambda: one.metrics().word("compose_service_state", "state", service="web") == "missing"
        )
        yield one


def figure(exporter: Served, metric: str, name: str, **labels: str) -> float | None:
    return exporter.metrics().one(metric, name=name, **labels)


def state(exporter: Served, name: str) -> str | None:
    return exporter.metrics().word("container_state", "state", name=name)


def exits(exporter: Served, name: str) -> dict[str, float]:
    found = exporter.metrics().all("container_exits_total", name=name)
    return {dict(labels)["exit_code"]: count for labels, count in found.items() if count}


def test_killed_from_outside(exporter: Served, project: str) -> None:
    with container(REDIS_IMAGE, project=project, service="web") as name:
        eventually(lambda: state(exporter, name) == "running")
        os.kill(int(docker("inspect", "-f", "{{.State.Pid}}", name)), signal.SIGKILL)
        eventually(lambda: state(exporter, name) == "exited")

        metrics = exporter.metrics()
        assert metrics.word("compose_service_state", "state", service="web") == "exited"
        assert exits(exporter, name) == {"137": 1}
        assert metrics.one("container_last_exit_code", name=name) == 137
        assert metrics.one("container_last_exit_timestamp_seconds", name=name)
        assert metrics.one("container_oom_killed", name=name) == 0
        # Gone with its processes, and the frozen last_seen tells since when.
        assert not metrics.all("container_memory_usage_bytes", name=name)
        assert metrics.one("container_last_seen", name=name)


def test_killed_for_its_memory(exporter: Served, project: str) -> None:
    with container(
        PYTHON_IMAGE, "python3", "-c", GREEDY, project=project, service="web", options=SMALL
    ) as name:
        eventually(lambda: state(exporter, name) == "exited")

        assert exits(exporter, name) == {"137": 1}
        assert figure(exporter, "container_oom_killed", name) == 1
        eventually(lambda: figure(exporter, "container_oom_events_total", name))


def test_a_child_killed_for_its_memory(exporter: Served, project: str) -> None:
    script = f'python3 -c "{GREEDY}"; while :; do sleep 0.1; done'
    with container(
        PYTHON_IMAGE, "sh", "-c", script, project=project, service="web", options=SMALL
    ) as name:
        eventually(lambda: figure(exporter, "container_oom_events_total", name))

        # Nothing but the event tells it.
        assert state(exporter, name) == "running"
        assert exits(exporter, name) == {}


def test_a_crash_loop(exporter: Served, project: str) -> None:
    options = ("--restart", "always")
    script = "sleep 0.2; exit 3"
    with container(
        REDIS_IMAGE, "sh", "-c", script, project=project, service="web", options=options
    ) as name:
        eventually(lambda: state(exporter, name) == "restarting", within_seconds=60)
        eventually(lambda: (figure(exporter, "container_restarts_total", name) or 0) >= 3)
        docker("update", "--restart", "no", name)
        eventually(lambda: state(exporter, name) == "exited", within_seconds=60)

        # Each end is counted once: those that it was started again after, and the last.
        restarts = int(docker("inspect", "-f", "{{.RestartCount}}", name))
        eventually(lambda: exits(exporter, name) == {"other": restarts + 1})
        assert figure(exporter, "container_restarts_total", name) == restarts
        assert figure(exporter, "container_last_exit_code", name) == 3


def test_unhealthy(exporter: Served, project: str) -> None:
    options = ("--health-cmd", "false", "--health-interval", "1s", "--health-retries", "2")
    with container(REDIS_IMAGE, project=project, service="web", options=options) as name:

        def health() -> str | None:
            return exporter.metrics().word("container_health_status", "status", name=name)

        eventually(lambda: health() == "unhealthy")
        # A check behind the event that told it, so perhaps one more has failed since.
        assert (figure(exporter, "container_health_failing_streak", name) or 0) >= 2
        assert figure(exporter, "container_health_state", name) == 0
        assert state(exporter, name) == "running"


def test_paused(exporter: Served, project: str) -> None:
    with container(REDIS_IMAGE, project=project, service="web") as name:
        eventually(lambda: state(exporter, name) == "running")
        docker("pause", name)
        eventually(lambda: state(exporter, name) == "paused")
        metrics = exporter.metrics()
        assert metrics.word("compose_service_state", "state", service="web") == "paused"
        assert metrics.one("container_memory_usage_bytes", name=name)
        docker("unpause", name)
        eventually(lambda: state(exporter, name) == "running")
        assert exits(exporter, name) == {}

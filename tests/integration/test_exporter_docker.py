"""Containers, services and their logs, as a real engine tells them."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.exporter_stage import (
    ENGINE,
    REDIS_IMAGE,
    Relay,
    Served,
    container,
    docker,
    eventually,
    needs_docker,
    random_project,
    served,
)

pytestmark = needs_docker

SLEEP = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done")


@pytest.fixture
def project() -> str:
    return random_project()


def config(project: str, url: str = ENGINE, extra: str = "") -> str:
    return f"""
services:
  web: {{project: {project}, compose_service: web}}
  gone: {{project: {project}, compose_service: gone}}
docker: {{url: "{url}", projects: [{project}], cgroup_root: /sys/fs/cgroup, proc_root: /proc}}
{extra}
"""


@pytest.fixture
def exporter(project: str) -> Iterator[Served]:
    with served(config(project)) as one:
        yield one


def state(exporter: Served, service: str = "web") -> str | None:
    return exporter.metrics().word("compose_service_state", "state", service=service)


def test_a_container_is_followed_from_its_start_to_its_removal(
    exporter: Served, project: str
) -> None:
    assert state(exporter) == "missing"
    options = ("--memory", "64m", "--cpus", "0.5")
    with container(REDIS_IMAGE, *SLEEP, project=project, service="web", options=options) as name:
        eventually(lambda: state(exporter) == "running")
        metrics = exporter.metrics()
        assert metrics.word("container_state", "state", name=name) == "running"
        assert metrics.one("container_spec_memory_limit_bytes", name=name) == 64 << 20
        assert metrics.one("container_spec_cpu_quota", name=name) == 50000
        cpu = metrics.one("container_cpu_usage_seconds_total", name=name, service="web")
        assert cpu is not None
        assert cpu > 0
        assert metrics.one("container_memory_usage_bytes", name=name)
        assert metrics.one("container_cpu_cfs_periods_total", name=name)
        assert metrics.all("container_network_receive_bytes_total", name=name, interface="eth0")

        docker("stop", "-t", "5", name)
        eventually(lambda: state(exporter) == "exited")
        assert exporter.metrics().one("container_last_exit_code", name=name) == 0

        docker("start", name)
        eventually(lambda: state(exporter) == "running")
        # The descriptors of the first run are dead; the second run's are opened at once.
        assert exporter.metrics().one("container_cpu_usage_seconds_total", name=name)
    eventually(lambda: state(exporter) == "missing")
    assert exporter.metrics().all("container_state", name=name) == {}
    assert state(exporter, "gone") == "missing"


def test_a_container_killed_is_told_with_its_exit_code(exporter: Served, project: str) -> None:
    options = ("--restart", "unless-stopped")
    with container(REDIS_IMAGE, *SLEEP, project=project, service="web", options=options) as name:
        eventually(lambda: state(exporter) == "running")
        os.kill(int(docker("inspect", "-f", "{{.State.Pid}}", name)), signal.SIGKILL)

        eventually(
            lambda: exporter.metrics().one("container_exits_total", name=name, exit_code="137")
        )
        eventually(lambda: exporter.metrics().one("container_restarts_total", name=name) == 1)
        eventually(lambda: state(exporter) == "running")


def test_a_health_check_is_a_series(exporter: Served, project: str) -> None:
    options = ("--health-cmd", "test -f /tmp/well", "--health-interval", "1s")
    options += ("--health-retries", "1")
    with container(REDIS_IMAGE, *SLEEP, project=project, service="web", options=options) as name:

        def health() -> str | None:
            return exporter.metrics().word("compose_service_health", "status", service="web")

        eventually(lambda: health() == "unhealthy")
        docker("exec", name, "touch", "/tmp/well")
        eventually(lambda: health() == "healthy")
        docker("stop", "-t", "5", name)
        # The engine still says unhealthy of it; a stopped container has no health.
        eventually(lambda: health() == "none")


def test_other_projects_are_not_looked_at(exporter: Served, project: str) -> None:
    with (
        container(REDIS_IMAGE, *SLEEP, project="elsewhere", service="web") as other,
        container(REDIS_IMAGE, *SLEEP, project=project, service="web"),
    ):
        eventually(lambda: state(exporter) == "running")

        assert exporter.metrics().all("container_state", name=other) == {}


def test_made_but_not_started_is_not_down(exporter: Served, project: str) -> None:
    with container(REDIS_IMAGE, *SLEEP, project=project, service="web") as name:
        twin = f"{name}-made"
        labels = ("--label", f"com.docker.compose.project={project}", "--label")
        labels += ("com.docker.compose.service=gone", "--label", "stackmedic-test=1")
        docker("create", "--name", twin, *labels, REDIS_IMAGE)
        try:
            eventually(lambda: state(exporter, "gone") == "created")
        finally:
            docker("rm", "-f", twin)


def test_the_engine_may_be_away_at_the_start_and_go_away_later(project: str) -> None:
    relay = Relay()
    with (
        container(REDIS_IMAGE, *SLEEP, project=project, service="web") as name,
        served(config(project, relay.url)) as exporter,
    ):
        first = exporter.metrics()
        assert first.one("stackmedic_scrape_collector_success", collector="docker") == 0
        assert first.all("compose_service_state") == {}
        try:
            relay.open()
            eventually(lambda: state(exporter) == "running")

            relay.shut()
            eventually(lambda: state(exporter) is None)
            away = exporter.metrics()
            assert away.one("stackmedic_scrape_collector_success", collector="docker") == 0
            # The kernel's files need no engine.
            assert away.one("container_cpu_usage_seconds_total", name=name)
            docker("stop", "-t", "5", name)

            relay.open()
            eventually(lambda: state(exporter) == "exited")
        finally:
            relay.shut()


@pytest.fixture
def log_root() -> Path:
    root = Path(docker("info", "-f", "{{.DockerRootDir}}")) / "containers"
    if not os.access(root, os.R_OK | os.X_OK):
        pytest.skip(f"{root} can only be read by root")
    return root


def test_errors_are_counted_from_the_log_of_a_real_container(
    project: str, log_root: Path, tmp_path: Path
) -> None:
    logs = f'logs: {{root: "{log_root}", state_file: "{tmp_path}/logs.json"}}'
    script = (
        "echo ready; "
        "while :; do "
        "[ -f /tmp/go ] && { rm /tmp/go; echo 'ERROR no' >&2; "
        "head -c 40000 /dev/zero | tr '\\0' x; echo; }; "
        "sleep 0.05; done"
    )
    options = ("--log-opt", "max-size=60k", "--log-opt", "max-file=3")
    with container(
        REDIS_IMAGE, "sh", "-c", script, project=project, service="web", options=options
    ) as name:

        def count(exporter: Served, stream: str, level: str) -> float | None:
            labels = {"stream": stream, "level": level, "name": name, "service": "web"}
            return exporter.metrics().one("container_log_messages_total", **labels)

        with served(config(project, extra=logs)) as exporter:
            eventually(lambda: count(exporter, "stderr", "error") == 0)
            for expected in (1, 2, 3, 4):  # 40 kB each: rotates
                docker("exec", name, "touch", "/tmp/go")
                eventually(lambda e=expected: count(exporter, "stderr", "error") == e)  # type: ignore[misc]
            eventually(lambda: count(exporter, "stdout", "other") == 4)
            assert exporter.metrics().one("container_log_rotations_total")
            assert exporter.metrics().one("container_log_partials_joined_total") == 4
        docker("exec", name, "touch", "/tmp/go")
        time.sleep(0.3)  # the line is written while nobody reads
        with served(config(project, extra=logs)) as exporter:
            eventually(lambda: count(exporter, "stderr", "error") == 5)
            assert count(exporter, "stdout", "other") == 5

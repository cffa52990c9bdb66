"""What the engine itself is asked for, where its files are out of reach: statistics and logs."""

import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import docker as docker_py
import pytest
from docker.models.containers import Container

from tests.integration.engine_proxies import REPO, nginx_image, running_proxy
from tests.integration.exporter_stage import (
    ENGINE,
    REDIS_IMAGE,
    Metrics,
    container,
    docker,
    eventually,
    needs_docker,
    random_project,
    served,
)

pytestmark = needs_docker

PYTHON_IMAGE = os.environ.get("PYTHON_IMAGE", "stackmedic-demo/python:3.11")
# What only the files tell. On cgroup v2 the engine leaves out some more.
PRESSURE = {
    f"container_pressure_{what}_{how}_seconds_total"
    for what in ("cpu", "memory", "io")
    for how in ("waiting", "stalled")
}
V2_LACKS = {
    "container_memory_max_usage_bytes",
    "container_memory_failcnt",
    "container_memory_swap",
}


@pytest.fixture
def project() -> str:
    return random_project()


def names(metrics: Metrics, name: str) -> set[str]:
    return {metric for metric, labels in metrics.series if ("name", name) in labels}


@pytest.mark.parametrize(
    "without",
    ["cgroup_root: /nowhere, proc_root: /nowhere", "stats_api: always"],
)
def test_the_engine_tells_the_same_families_where_files_are_out_of_reach(
    project: str, without: str
) -> None:
    engine = f'url: "{ENGINE}", projects: [{project}]'
    options = ("--memory", "64m", "--cpus", "0.5")
    with (
        container(REDIS_IMAGE, project=project, service="web", options=options) as name,
        served(f"docker: {{{engine}, cgroup_root: /sys/fs/cgroup, proc_root: /proc}}") as files,
        served(f"docker: {{{engine}, {without}}}") as api,
    ):
        eventually(lambda: files.metrics().one("container_memory_usage_bytes", name=name))
        # What the engine told may be as old as its cache: of a container that was still starting.
        eventually(lambda: alike(files.metrics(), api.metrics(10), name))
        seen, told = files.metrics(), api.metrics(10)

    lacking = names(seen, name) - names(told, name)
    assert names(told, name) <= names(seen, name)
    assert lacking <= PRESSURE | V2_LACKS
    for collector in ("cgroups", "network"):
        success = told.one("stackmedic_scrape_collector_success", collector=collector)
        assert (success, source(told, collector)) == (1, "stats_api")
    assert source(seen, "network") == "proc"
    assert (source(seen, "cgroups") or "").startswith("cgroup_v")


def alike(seen: Metrics, told: Metrics, name: str) -> bool:
    def figure(metrics: Metrics, metric: str) -> float:
        return metrics.one(f"container_{metric}", name=name) or 0.0

    memory = ("memory_usage_bytes", "memory_working_set_bytes")
    spent = "cpu_usage_seconds_total"
    return (
        all(figure(told, m) == pytest.approx(figure(seen, m), rel=0.5) for m in memory)
        and figure(told, spent) > 0
        and figure(told, spent) >= figure(seen, spent) * 0.5
    )


def source(metrics: Metrics, collector: str) -> str | None:
    return metrics.word("stackmedic_collector_source_info", "source", collector=collector)


def test_never_is_never(project: str) -> None:
    engine = f'url: "{ENGINE}", projects: [{project}], stats_api: never'
    with (
        container(REDIS_IMAGE, project=project, service="web") as name,
        served(f"docker: {{{engine}, cgroup_root: /nowhere, proc_root: /nowhere}}") as exporter,
    ):
        eventually(lambda: exporter.metrics().word("container_state", "state", name=name))
        metrics = exporter.metrics()

        assert not metrics.all("container_memory_usage_bytes", name=name)
        assert metrics.one("stackmedic_scrape_collector_success", collector="cgroups") == 0
        assert metrics.one("stackmedic_scrape_collector_success", collector="network") == 0


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[tuple[str, Container]]:
    """The shipped filter, for containers of this test instead of the stack's; on a fixed port."""
    conf = tmp_path / "engine.conf"
    shipped = (REPO / "exporter" / "engine-ro.conf").read_text()
    conf.write_text(shipped.replace("piano-tutor", "stackmedic-test"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    engine = docker_py.from_env()
    name = f"stackmedic-test-proxy-{secrets.token_hex(4)}"
    try:
        with running_proxy(engine, conf, name, nginx_image(engine), port) as found:
            yield found
    finally:
        engine.close()


# One error in ten lines; at the end how many of each there were.
WRITER = """
import os, sys, time
errors = others = 0
for n in range(int(sys.argv[1])):
    if n % 10:
        sys.stdout.write("INFO %d %s\\n" % (n, "x" * 100)); others += 1
    else:
        sys.stderr.write("ERROR %d %s\\n" % (n, "x" * 100)); errors += 1
sys.stdout.flush()
time.sleep(0.1)
print("wrote", errors, others + 1, flush=True)
time.sleep(3600)
"""
LINES = 150_000


def test_a_log_asked_for_through_the_proxy_while_that_dies_again_and_again(
    project: str, tmp_path: Path, proxy: tuple[str, Container]
) -> None:
    host, proxy_container = proxy
    config = f"""
docker: {{url: "tcp://{host}", projects: [{project}]}}
logs: {{root: /nowhere, state_file: "{tmp_path}/logs.json", ask_engine: true}}
"""
    command = ("python3", "-c", WRITER, str(LINES))
    options = ("--log-driver", "local", "--log-opt", "max-size=100m")
    with (
        served(config) as exporter,
        container(PYTHON_IMAGE, *command, project=project, service="web", options=options) as name,
    ):

        def counted(level: str) -> int:
            found = exporter.metrics().all("container_log_messages_total", name=name, level=level)
            return int(sum(found.values()))

        eventually(lambda: docker("logs", "--tail", "1", name).startswith("wrote"))
        errors, others = map(int, docker("logs", "--tail", "1", name).split()[1:])
        before = 0
        for _ in range(2):
            least = min(before, others - 1)
            eventually(lambda least=least: counted("other") > least)  # type: ignore[misc]
            proxy_container.kill()
            before = counted("other")
            proxy_container.start()
        eventually(
            lambda: (counted("error"), counted("other")) == (errors, others), within_seconds=90
        )
        # And it stays so: nothing that the engine sends again is counted again.
        docker("exec", name, "sh", "-c", "echo ERROR again >/proc/1/fd/2")
        eventually(lambda: counted("error") > errors)
        assert (counted("error"), counted("other")) == (errors + 1, others)
        assert not [n for n in dropped(exporter.metrics()) if n]
        assert source(exporter.metrics(), "logs") == "logs_api"


def dropped(metrics: Metrics) -> list[float]:
    return list(metrics.all("container_log_lines_dropped_total").values())

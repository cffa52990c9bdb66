"""An engine that hangs, is killed and comes back, and what the exporter says meanwhile."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.exporter_stage import (
    Metrics,
    Served,
    eventually,
    needs_docker,
    random_project,
    served,
)
from tests.integration.second_engine import SecondEngine, second_engine

pytestmark = [
    needs_docker,
    # docker-py leaves a UNIX socket that could not be connected to the garbage collector.
    pytest.mark.filterwarnings(
        r"ignore:Exception ignored in. <socket.socket fd=\d+, family=1:"
        "pytest.PytestUnraisableExceptionWarning"
    ),
]

DEADLINE = 4.0
SLEEP = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
# An error each time it starts and each time it is asked for one.
SPEAKS = (
    "echo ERROR first >&2; "
    "while :; do [ -f /tmp/go ] && rm /tmp/go && echo ERROR >&2; sleep 0.1; done"
)


@pytest.fixture(scope="module")
def engine() -> Iterator[SecondEngine]:
    with second_engine() as made:
        yield made


@pytest.fixture
def project(engine: SecondEngine) -> Iterator[str]:
    name = random_project()
    yield name
    label = f"label=com.docker.compose.project={name}"
    if ids := engine.docker("ps", "-aq", "--filter", label).split():
        engine.docker("rm", "-f", "-v", *ids)


@pytest.fixture
def exporter(engine: SecondEngine, project: str, tmp_path: Path) -> Iterator[Served]:
    config = f"""
docker:
  url: "{engine.url}"
  projects: [{project}]
  cgroup_root: /sys/fs/cgroup
  stats_api: never
  state_file: "{tmp_path}/events.json"
logs: {{root: /nowhere, state_file: "{tmp_path}/logs.json", ask_engine: true}}
"""
    with served(config) as one:
        yield one


def scrape(exporter: Served) -> Metrics:
    """One scrape, which must be there before Prometheus gives up."""
    began = time.monotonic()
    metrics = exporter.metrics(DEADLINE)
    assert time.monotonic() - began < DEADLINE
    return metrics


def success(metrics: Metrics) -> bool:
    return metrics.one("stackmedic_scrape_collector_success", collector="docker") == 1


def exits(metrics: Metrics, name: str) -> dict[str, float]:
    found = metrics.all("container_exits_total", name=name)
    return {dict(labels)["exit_code"]: count for labels, count in found.items() if count}


def errors(metrics: Metrics, name: str) -> float | None:
    return metrics.one("container_log_messages_total", name=name, stream="stderr", level="error")


def test_an_engine_that_hangs_costs_its_own_figures_only(
    engine: SecondEngine, exporter: Served, project: str
) -> None:
    engine.run("lives", project, script=SLEEP)
    engine.run("ended", project, script="exit 1")
    engine.docker("start", "ended")
    eventually(lambda: exits(scrape(exporter), "ended") == {"1": 2})

    engine.freeze()
    try:
        eventually(lambda: not success(scrape(exporter)), within_seconds=60)
        metrics = scrape(exporter)
        # What the engine knows is absent, and what the kernel knows is not.
        assert not metrics.all("container_state")
        assert metrics.one("container_cpu_usage_seconds_total", name="lives")
    finally:
        engine.thaw()
    eventually(lambda: success(scrape(exporter)))

    assert exits(scrape(exporter), "ended") == {"1": 2}
    # Events arrive again, and each once.
    engine.docker("start", "ended")
    eventually(lambda: exits(scrape(exporter), "ended") != {"1": 2})
    assert exits(scrape(exporter), "ended") == {"1": 3}


def test_an_engine_that_is_killed_and_started_again(
    engine: SecondEngine, exporter: Served, project: str
) -> None:
    options = ("--restart", "always", "--log-driver", "local")
    engine.run("speaks", project, *options, script=SPEAKS)
    engine.run("ended", project, script="exit 1")
    eventually(lambda: exits(scrape(exporter), "ended") == {"1": 1})
    eventually(lambda: errors(scrape(exporter), "speaks") == 1)
    engine.docker("exec", "speaks", "touch", "/tmp/go")
    eventually(lambda: errors(scrape(exporter), "speaks") == 2)

    engine.kill()
    eventually(lambda: not success(scrape(exporter)))
    assert not scrape(exporter).all("container_state")

    engine.start()
    eventually(lambda: success(scrape(exporter)))
    eventually(
        lambda: scrape(exporter).word("container_state", "state", name="speaks") == "running"
    )
    engine.docker("exec", "speaks", "touch", "/tmp/go")

    def said() -> int:
        return engine.logged("speaks").count("ERROR")

    eventually(lambda: said() == 4)
    eventually(lambda: errors(scrape(exporter), "speaks") == 4)
    # The dead engine's memory of events is gone; what was counted from it is not. The end that it
    # did not see is counted from what the container says of itself.
    eventually(lambda: sum(exits(scrape(exporter), "speaks").values()) == 1, within_seconds=60)
    metrics = scrape(exporter)
    assert exits(metrics, "ended") == {"1": 1}
    assert not metrics.one("container_restarts_total", name="ended")

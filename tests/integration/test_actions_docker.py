"""restart_service against a real engine, direct and through the filtering proxy."""

import subprocess
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from remediator.actions import ACTIONS, Clients
from remediator.ports import Effect, NotYet, Permanent, Ready, Refused, Transient
from remediator.topology import Target
from tests.integration.edge_containers import (
    DOCKER_URL,
    REDIS_IMAGE,
    action,
    container,
    docker,
    docker_logs,
    engine_proxy,
    needs_docker,
    now,
    state,
    until,
)

pytestmark = [pytest.mark.integration, needs_docker]

FAST = {"stop_timeout": "1s"}
SECRETIVE = (
    "echo connecting to postgres://app:hunter2@db/app; echo PASSWORD=hunter3; "
    "echo ready; exec sleep 300"
)


def target(name: str) -> Target:
    return Target(key="worker", tier="app", container=name)


@pytest.fixture
def sleeper() -> Iterator[str]:
    with container(REDIS_IMAGE, "bash", "-c", SECRETIVE) as name:
        until(lambda: "ready" in docker_logs(name))
        yield name


def test_a_running_container_is_restarted_and_the_probe_knows(sleeper: str) -> None:
    restart = action("restart_service", FAST)
    intended_at = now()
    assert restart.precheck(target(sleeper)) == Ready()
    assert probed_later(sleeper, intended_at) is Effect.NOT_DONE
    done = restart.run(target(sleeper), timeout_seconds=60)
    assert sleeper in done.summary
    assert restart.probe(target(sleeper), intended_at=intended_at) is Effect.DONE
    assert state(sleeper)["Running"]


def probed_later(name: str, intended_at: datetime) -> Effect:
    """When a restart that was asked for must be over."""
    later = Clients(DOCKER_URL, "", clock=lambda: now() + timedelta(seconds=60), wait=time.sleep)
    kind = ACTIONS["restart_service"]
    restart = kind.make(kind.params.model_validate(FAST), later)
    return restart.probe(target(name), intended_at=intended_at)


def test_a_restart_whose_caller_has_died_is_waited_for() -> None:
    with container(REDIS_IMAGE, "bash", "-c", "trap '' TERM; echo on; sleep 300 & wait") as name:
        until(lambda: "on" in docker_logs(name))
        intended_at = now()
        with subprocess.Popen(["docker", "restart", "-t", "3", name]) as caller:
            until(lambda: "kill" in events_since(name, intended_at), what="it is told to stop")
            caller.kill()
        restart = action("restart_service", {"stop_timeout": "3s"})
        assert restart.probe(target(name), intended_at=intended_at) is Effect.DONE


def events_since(name: str, moment: datetime) -> str:
    limits = ("--since", moment.isoformat(), "--until", now().isoformat())
    return docker("events", *limits, "--filter", f"container={name}", "--format", "{{.Action}}")


def test_a_killed_container_comes_back_and_its_death_is_evidence(sleeper: str) -> None:
    docker("kill", sleeper)
    until(lambda: not state(sleeper)["Running"])
    restart = action("restart_service", FAST)
    assert restart.precheck(target(sleeper)) == Ready()
    evidence = restart.run(target(sleeper), timeout_seconds=60).evidence
    assert evidence["status"] == "exited"
    assert evidence["exit_code"] == 137
    assert evidence["oom_killed"] is False
    assert evidence["log"] == "connecting to postgres://***@db/app\nPASSWORD=***\nready"
    assert state(sleeper)["Running"]


def test_it_works_through_the_filtering_proxy(sleeper: str, tmp_path: Path) -> None:
    docker("kill", sleeper)
    with engine_proxy(tmp_path, nginx_container=sleeper) as url:
        restart = action("restart_service", FAST, docker_url=url)
        assert restart.precheck(target(sleeper)) == Ready()
        evidence = restart.run(target(sleeper), timeout_seconds=60).evidence
        assert evidence["exit_code"] == 137
        assert "ready" in str(evidence["log"])
        with pytest.raises(Permanent, match="proxy forbids it"):
            restart.precheck(target("some-other-container"))
    assert state(sleeper)["Running"]


def test_a_missing_container_is_permanent_and_says_what_to_do() -> None:
    restart = action("restart_service", FAST)
    gone = target("stackmedic-test-gone")
    with pytest.raises(Permanent, match=r"No such container.*docker compose up -d"):
        restart.precheck(gone)
    with pytest.raises(Permanent, match=r"docker compose up -d"):
        restart.run(gone, timeout_seconds=30)
    assert restart.probe(gone, intended_at=now()) is Effect.UNKNOWN


def test_a_paused_container_is_left_alone(sleeper: str) -> None:
    docker("pause", sleeper)
    refused = action("restart_service", FAST).precheck(target(sleeper))
    docker("unpause", sleeper)
    assert isinstance(refused, Refused)
    assert "paused" in refused.detail


def test_a_restart_loop_is_left_to_itself() -> None:
    options = ["--restart", "unless-stopped"]
    with container(REDIS_IMAGE, "bash", "-c", "exit 7", options=options) as name:
        until(lambda: state(name)["Status"] == "restarting")
        restart = action("restart_service", FAST)
        words = "restart loop of its own (last exit code 7)"
        # It runs for a moment between two waits.
        until(lambda: words in getattr(restart.precheck(target(name)), "detail", ""))


def test_a_container_in_its_health_start_period_is_let_start() -> None:
    health = ["--health-cmd", "false", "--health-interval", "1s", "--health-start-period", "300s"]
    with container(REDIS_IMAGE, "sleep", "300", options=health) as name:
        verdict = action("restart_service", FAST).precheck(target(name))
    assert isinstance(verdict, NotYet)
    assert "health start period of 300 s" in verdict.detail


def test_a_container_that_is_starting_without_a_start_period_may_be_restarted() -> None:
    health = ["--health-cmd", "true", "--health-interval", "60s"]
    with container(REDIS_IMAGE, "sleep", "300", options=health) as name:
        assert state(name)["Health"]["Status"] == "starting"
        assert action("restart_service", FAST).precheck(target(name)) == Ready()


def test_a_stop_timeout_that_does_not_fit_is_said_before_anything_is_touched(sleeper: str) -> None:
    started_at = state(sleeper)["StartedAt"]
    with pytest.raises(Permanent, match="does not fit into the step's timeout"):
        action("restart_service", {"stop_timeout": "10s"}).run(target(sleeper), timeout_seconds=10)
    assert state(sleeper)["StartedAt"] == started_at


def test_a_process_deaf_to_sigterm_is_killed_after_the_stop_timeout() -> None:
    with container(REDIS_IMAGE, "bash", "-c", "trap '' TERM; echo on; sleep 300 & wait") as name:
        until(lambda: "on" in docker_logs(name))
        began = time.monotonic()
        action("restart_service", {"stop_timeout": "2s"}).run(target(name), timeout_seconds=60)
        assert 2 <= time.monotonic() - began < 30
        assert state(name)["Running"]


def test_an_engine_that_refuses_the_connection_is_transient() -> None:
    restart = action("restart_service", FAST, docker_url="tcp://127.0.0.1:9")
    with pytest.raises(Transient, match="reach the Docker engine"):
        restart.precheck(target("any"))
    with pytest.raises(Transient, match="reach the Docker engine"):
        restart.run(target("any"), timeout_seconds=10)
    assert restart.probe(target("any"), intended_at=now() - timedelta(1)) is Effect.UNKNOWN


def test_a_target_without_a_container_is_permanent() -> None:
    with pytest.raises(Permanent, match="has no container"):
        action("restart_service", FAST).precheck(Target(key="backend", tier="edge"))

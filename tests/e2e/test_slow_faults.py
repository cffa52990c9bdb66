"""The rest of the runbook on the real stack: hogs, stuck tasks, a cold cache, a site down."""

from typing import Any

import httpx
import pytest

from demo.faults import Fault, incidents, quiet, run_fault, serving, until
from demo.stack import deploy_colour
from demo.world import World
from remediator.outcomes import MENDED
from tests.e2e.slow_faults import (
    SLOW_FAULTS,
    engine,
    in_maintenance,
    practise,
    readers_of_a_cold_cache,
    scored,
    stick_the_workers,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]


@pytest.mark.parametrize("fault", SLOW_FAULTS, ids=lambda fault: fault.name)
def test_a_hog_is_found_and_ended(world: World, fault: Fault) -> None:
    story = run_fault(world, fault)

    assert story.runbook == "restart-hog"
    found, restarted = mended(world, fault.target, "restart-hog")[-1]["steps"]
    assert found["evidence"], "what was large is on record before it is gone"
    assert restarted["outcome"] == "done"


def test_stuck_workers_are_restarted_until_the_queue_moves(world: World) -> None:
    until(lambda: quiet(world), "the stack to be quiet")
    stick_the_workers(world)
    session = practise(world, 1).json()["session_id"]

    until(lambda: scored(world, session), "a worker to come to the last session", 180)
    until(lambda: quiet(world), "the alerts to end", 120)

    stuck = [
        incident
        for incident in incidents(world)
        if any(alert["name"] == "CeleryQueueStuck" for alert in incident["alerts"])
    ]
    assert "restart-worker" in {
        run["runbook"] for incident in stuck for run in incident["runs"] if run["state"] in MENDED
    }


def test_a_cold_cache_is_warmed(world: World) -> None:
    until(lambda: quiet(world), "the stack to be quiet")
    with readers_of_a_cold_cache(world) as cache:
        until(lambda: bool(mended(world, "redis", "warm-cache")), "a verified warming", 180)
        assert cache.exists("lesson:1")
        until(lambda: quiet(world), "CacheHitRateLow to end", 120)


def test_a_frozen_redis_is_restarted_and_its_clients_are_let_be(world: World) -> None:
    """Its clients are told of first, and no restart of theirs would mend anything."""
    until(lambda: quiet(world), "the stack to be quiet")
    backends = {key: engine(world, key) for key in ("backend-blue", "backend-green")}
    before = {key: container.attrs["State"]["StartedAt"] for key, container in backends.items()}

    engine(world, "redis").kill("STOP")
    until(lambda: bool(mended(world, "redis", "restart-redis")), "a verified restart", 120)
    until(lambda: quiet(world), "its clients to find it again", 120)

    for key, container in backends.items():
        container.reload()
        assert container.attrs["State"]["StartedAt"] == before[key], key
    assert serving(world)


def test_a_site_that_stays_down_gets_its_page_when_a_human_says_so(world: World) -> None:
    """Both colours fail their users: neither a restart nor the other colour mends that."""
    until(lambda: quiet(world), "the stack to be quiet")
    for colour in ("green", "blue"):
        deploy_colour(world, colour, release="bad-api")
    try:
        until(lambda: bool(approvals(world)), "a question to a human", 240)
        (asked,) = approvals(world)
        assert asked["runbook"] == "show-maintenance"
        assert not in_maintenance(world), "nothing is done before the answer"
        assert tried(world) == ["restart-live-services", "rollback-colour"]

        answer = {"decision": "approve", "plan_hash": asked["plan_hash"], "by": "anna"}
        order(world, "POST", f"/approvals/{asked['run_id']}", answer)

        until(lambda: in_maintenance(world), "the maintenance page")
    finally:
        for colour in ("blue", "green"):
            deploy_colour(world, colour, release="good")
    end = world.live / "maintenance.conf"
    end.unlink()  # as a human would, who has mended it
    engine(world, "nginx").exec_run(["nginx", "-s", "reload"])
    until(lambda: serving(world), "users to be served again")
    until(lambda: quiet(world), "the incident to end", 120)


def newest(world: World, target: str) -> dict[str, Any]:
    return next(incident for incident in incidents(world) if incident["target"] == target)


def mended(world: World, target: str, runbook: str) -> list[dict[str, Any]]:
    return [
        run
        for incident in incidents(world)
        if incident["target"] == target
        for run in incident["runs"]
        if run["runbook"] == runbook and run["state"] in MENDED
    ]


def tried(world: World) -> list[str]:
    """The entries that were tried on the site, in order, but the one that waits."""
    return [run["runbook"] for run in newest(world, "backend")["runs"]][:-1]


def approvals(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = order(world, "GET", "/approvals", None)["approvals"]
    return found


def order(world: World, method: str, path: str, body: dict[str, str] | None) -> dict[str, Any]:
    token = (world.secrets / "remediator_token").read_text().strip()
    answer = httpx.request(
        method,
        world.url(world.ports.remediator, f"/api/v1{path}"),
        headers={"Authorization": f"Bearer {token}"},
        json=body,
        trust_env=False,
        timeout=10,
    )
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found

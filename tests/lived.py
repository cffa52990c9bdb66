"""A journal with a bit of everything in it, and what must still hold where it goes on."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from remediator.breaker import BreakerLimits, opened
from remediator.ports import Check
from tests.builders import DB_DOWN, DOWN, FULL, Loop, a_policy

POLICY = a_policy(breaker=BreakerLimits(failures=1), after_deploy_seconds=0)


def a_life(path: Path, connect: Callable[[Path], Any], name: str = "") -> Loop:
    """web was mended, cache was not; db waits for a deployment, and for two pauses."""
    loop = Loop(path, policy=POLICY, connect=connect, name=name)
    loop.told(DOWN)
    loop.turn()
    loop.verifier.verdicts = [Check.FAIL]
    loop.told(FULL)
    loop.turn()
    loop.verifier.verdicts = []
    now = loop.clock()
    loop.orders.take_deploy_lock("ci", "v2", now + timedelta(minutes=20), now)
    loop.told(DB_DOWN)
    loop.turn()
    path.with_name("paused").write_text("disks")
    loop.kill_switch.pause("look first", "bob", None)
    loop.kill_switch.look()
    return loop


def known(loop: Loop) -> Mapping[str, object]:
    """All that people and guards are told. Who worked on an incident may be gone."""
    now = loop.clock()
    past = loop.runs.past(now)
    return {
        "incidents": [
            {**story, "worked_on_by": None, "events": _events(loop, story["id"])}
            for story in loop.incidents()
        ],
        "past": past,
        "open breakers": {
            run.runbook
            for run in past
            if opened([r for r in past if r.runbook == run.runbook], loop.policy.breaker)
        },
        "deploy": loop.orders.deploy_lock(),
        "pauses": [(p.source, p.reason, p.at) for p in loop.orders.pauses()],
        "issues": loop.database.all("mark")[0]["mark"],
    }


def _events(loop: Loop, number: int) -> object:
    story = loop.records.story(number)
    return story and story["events"]


def goes_on(old: Loop, path: Path, connect: Callable[[Path], Any], name: str = "") -> Loop:
    """The same world, another journal."""
    return Loop(
        path,
        policy=old.policy,
        clock=old.clock,
        alerts=old.alerts,
        actions=old.actions,
        connect=connect,
        name=name,
    )


def check_that_it_holds(loop: Loop) -> None:
    """Every guard that the journal feeds stands where it stood; then the work goes on."""
    paused = loop.kill_switch.paused() or ""
    assert "disks" in paused
    assert "paused by bob (api): look first" in paused
    loop.turn()
    assert _blocks(loop, "db") >= {"paused", "deploying"}
    assert not loop.actions["restart-db"].runs
    loop.kill_switch.resume("ann")
    assert loop.kill_switch.paused() is None
    loop.told(DOWN, FULL)
    loop.turn()
    assert _blocks(loop, "db") == {"deploying"}
    assert _blocks(loop, "web") >= {"deploying", "cooldown"}
    assert loop.orders.release_deploy_lock("ci", loop.clock())
    loop.turn()
    assert len(loop.actions["restart-db"].runs) == 1
    assert len(loop.actions["restart"].runs) == 1
    assert len(loop.actions["flush-all"].runs) == 1


def _blocks(loop: Loop, target: str) -> set[str]:
    (story,) = [s for s in loop.incidents() if s["target"] == target and s["state"] == "open"]
    return {g["reason"] for g in story["runs"][-1]["guards"] if g["verdict"] == "blocked"}

"""A run that needs a human's word: asked once, for one plan, and never begun without it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from remediator.journal import Refusal
from remediator.outcomes import Reason
from remediator.policy import Mode
from remediator.runs import Decision
from tests.builders import DB_DOWN, DOWN, Loop, a_policy

MINUTE = 60


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    loop = Loop(tmp_path / "state.sqlite", policy=a_policy(mode=Mode.APPROVE))
    loop.told(DOWN)
    loop.turn()
    yield loop
    loop.close()


def answer(loop: Loop, decision: Decision, **changes: object) -> None:
    (asked,) = loop.orders.approvals()
    given = {"run_id": asked["run_id"], "plan_hash": asked["plan_hash"], "by": "ann"} | changes
    loop.orders.decide(**given, decision=decision, now=loop.clock())  # type: ignore[arg-type]


def test_a_human_is_asked_with_the_exact_plan_and_nothing_is_touched(loop: Loop) -> None:
    for _ in range(3):
        loop.pass_seconds(MINUTE)
        loop.turn()

    (asked,) = loop.orders.approvals()
    assert (asked["runbook"], asked["target"]) == ("restart", "web")
    assert asked["expires_at"] == "2026-01-05T12:15:00.000000Z", "asked once, not again and again"
    assert asked["plan"] == {
        "runbook": "restart",
        "risk": "disruptive",
        "target": "web",
        "container": "c-web",
        "steps": [
            {
                "id": "do",
                "action": "restart",
                "with": {},
                "timeout_seconds": 10,
                "repeat": "if_not_done",
            }
        ],
    }
    assert loop.states() == [("restart", "awaiting_approval", "needs_approval")]
    assert loop.actions["restart"].runs == []
    assert loop.pager.paged == []
    assert loop.records.approvals_waiting() == {"web": 1}


def test_what_is_approved_is_done_and_the_answer_is_recorded(loop: Loop) -> None:
    answer(loop, Decision.APPROVED)
    loop.turn()

    assert loop.actions["restart"].runs == ["web"]
    assert loop.states() == [("restart", "effective", "verified")]
    assert loop.orders.approvals() == []
    events = (loop.records.incident(1) or {})["events"]
    (said,) = [event for event in events if event["kind"] == "approval_approved"]
    assert said["detail"]["by"] == "ann"


def test_what_is_denied_is_left_alone_until_the_alert_has_cleared(loop: Loop) -> None:
    answer(loop, Decision.DENIED)
    for _ in range(3):
        loop.turn()
        loop.pass_seconds(MINUTE)
    assert loop.states() == [("restart", "aborted", "denied")]
    assert loop.pager.paged == [], "a human knows"

    loop.alerts.firing.clear()
    loop.pass_seconds(1)
    loop.turn()
    loop.told(DOWN)
    loop.turn()
    assert loop.states(1) == [("restart", "awaiting_approval", "needs_approval")]
    assert loop.actions["restart"].runs == []


def test_a_question_that_nobody_answers_calls_a_human(loop: Loop) -> None:
    loop.pass_seconds(15 * MINUTE)
    loop.turn()
    loop.turn()

    assert loop.states() == [("restart", "aborted", "approval_expired")]
    assert loop.pager.paged == [(1, "web", Reason.APPROVAL_EXPIRED)]
    assert loop.orders.approvals() == []


def test_an_approval_that_comes_too_late_or_for_another_plan_or_twice_is_refused(
    loop: Loop,
) -> None:
    with pytest.raises(Refusal, match="List the approvals again"):
        answer(loop, Decision.APPROVED, plan_hash="another")
    with pytest.raises(Refusal):
        answer(loop, Decision.APPROVED, run_id=99)
    (asked,) = loop.orders.approvals()
    answer(loop, Decision.APPROVED)
    again = (asked["run_id"], asked["plan_hash"], Decision.DENIED, "bob", loop.clock())
    with pytest.raises(Refusal):
        loop.orders.decide(*again)

    other = Loop(loop.path.with_name("other.sqlite"), policy=loop.policy)
    other.told(DOWN)
    other.turn()
    other.pass_seconds(15 * MINUTE)
    with pytest.raises(Refusal):
        answer(other, Decision.APPROVED)
    other.close()


def test_a_plan_that_changes_after_it_was_approved_is_asked_for_again(loop: Loop) -> None:
    answer(loop, Decision.APPROVED)
    restart = loop.policy.runbooks["restart"]
    (step,) = restart.steps
    changed = replace(restart, steps=(replace(step, params={"force": True}),))
    loop.policy = replace(loop.policy, runbooks={**loop.policy.runbooks, "restart": changed})
    loop.turn()

    assert loop.actions["restart"].runs == []
    (asked,) = loop.orders.approvals()
    assert asked["plan"]["steps"][0]["with"] == {"force": True}


def test_an_approval_does_not_overrule_another_guard_and_grows_old(loop: Loop) -> None:
    answer(loop, Decision.APPROVED)
    loop.alerts.firing.append(DB_DOWN | {"alertname": "Other"})
    loop.turn()
    assert loop.states() == [("restart", "blocked", "dependency_firing")]

    loop.pass_seconds(15 * MINUTE + 1)
    loop.alerts.firing.pop()
    loop.turn()
    assert loop.states() == [("restart", "awaiting_approval", "needs_approval")]
    assert loop.actions["restart"].runs == []


def test_the_question_ends_with_the_alert_and_survives_a_restart(loop: Loop) -> None:
    loop.close()
    loop.open()
    (asked,) = loop.orders.approvals()
    loop.turn()
    assert loop.orders.approvals() == [asked]

    loop.alerts.firing.clear()
    loop.pass_seconds(1)
    loop.turn()
    assert loop.states() == [("restart", "cancelled", "resolved")]
    assert loop.orders.approvals() == []


def test_a_deployment_and_a_run_keep_out_of_each_others_way(loop: Loop) -> None:
    until = loop.clock() + timedelta(minutes=30)
    loop.orders.take_deploy_lock("ci", "v2", until, loop.clock())
    with pytest.raises(Refusal, match="ci deploys until"):
        loop.orders.take_deploy_lock("bob", "v3", until, loop.clock())
    answer(loop, Decision.APPROVED)
    loop.turn()
    assert loop.states() == [("restart", "blocked", "deploying")]

    loop.pass_seconds(MINUTE)
    loop.orders.release_deploy_lock("ci", loop.clock())
    loop.policy = replace(loop.policy, after_deploy_seconds=0)
    refusals: list[str] = []

    def deploy_meanwhile() -> None:
        try:
            loop.orders.take_deploy_lock("ci", "v3", until, loop.clock())
        except Refusal as refusal:
            refusals.append(str(refusal))

    loop.actions["restart"].on_run = deploy_meanwhile
    loop.turn()
    assert refusals == ["Run 1 (restart) works on web. Wait until it has ended."]
    assert loop.states() == [("restart", "effective", "verified")]
    with pytest.raises(Refusal, match="No deploy lock is held"):
        loop.orders.release_deploy_lock("ci", loop.clock())

"""A human orders a run: it stands in for the alert and for the approval, and for nothing else."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator.checks import RunningCheck
from remediator.guards import GUARDS
from remediator.operate import Refusal, Unknown, explain_order, order_run
from remediator.outcomes import Reason
from remediator.policy import Mode, Repeat, Step
from remediator.ports import Check
from tests.builders import DB_DOWN, DOWN, FULL, Loop, a_desk, a_policy, a_runbook
from tests.unit.remediator.scenes import SCENES


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    loop = Loop(tmp_path / "state.sqlite")
    yield loop
    loop.close()


def order(loop: Loop, entry: str, target: str, note: str = "") -> dict[str, Any]:
    """As its plan is shown now."""
    desk = a_desk(loop)
    shown = explain_order(desk, entry, target, "ann")
    return order_run(desk, entry, target, plan_hash=shown["plan_hash"], by="ann", note=note)


def orders(loop: Loop, incident: int = 0) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = loop.incidents()[incident]["orders"]
    return found


def test_an_order_is_carried_out_verified_and_recorded_with_who_gave_it(loop: Loop) -> None:
    placed = order(loop, "restart", "web", "new configuration")
    assert placed == {"order_id": 1, "incident_id": 1}
    assert loop.actions["restart"].runs == [], "nothing is done in the request"
    loop.turn()

    assert loop.actions["restart"].runs == ["web"]
    (incident,) = loop.incidents()
    (run,) = incident["runs"]
    assert (run["state"], run["reason"], run["ordered_by"]) == ("effective", "verified", "ann")
    assert incident["state"] == "closed"
    assert incident["alerts"] == []
    (given,) = orders(loop)
    assert (given["run_id"], given["by"], given["note"]) == (run["id"], "ann", "new configuration")
    guards = {guard["guard"]: guard["detail"] for guard in run["guards"]}
    assert list(guards) == [name for name, _ in GUARDS]
    assert guards["still_firing"] == "ann ordered it: no alert needs to fire"
    kinds = [event["kind"] for event in loop.records.incident(1)["events"]]  # type: ignore[index]
    assert kinds[:3] == ["incident_opened", "run_ordered", "run_claimed"]
    sample = loop.metrics.registry.get_sample_value
    assert sample("remediator_incidents_opened_total", {"runbook": "restart"}) == 1
    assert sample("remediator_time_to_mend_seconds_count", {"runbook": "restart"}) == 0
    loop.turn()
    assert loop.actions["restart"].runs == ["web"]


NOT_THE_ALERTS = {name for name, _ in GUARDS} - {
    "sighted",
    "still_firing",
    "firing_age",
    "not_muted",
    "confirmed",
    "approval",
}


@pytest.mark.parametrize("name", SCENES)
def test_an_order_passes_the_guards_of_the_alert_and_the_approval_and_no_other(
    name: str, tmp_path: Path
) -> None:
    scene, reason = SCENES[name]
    loop = scene(tmp_path / "state.sqlite")
    shown = explain_order(a_desk(loop), "restart", "web", "ann")
    order(loop, "restart", "web")
    loop.remediate()
    own = next(i for i, story in enumerate(loop.incidents()) if story["runbook"] == "restart")
    (given,) = orders(loop, own)
    if name in NOT_THE_ALERTS:
        blocked = [guard["guard"] for guard in given["guards"] if guard["verdict"] == "blocked"]
        assert (blocked, given["run_id"]) == ([name], None)
        assert (shown["verdict"], shown["reason"]) == ("blocked", reason)
        assert given["refused"] == shown["detail"]
        assert loop.actions["restart"].runs == []
    else:
        assert (given["refused"], shown["verdict"]) == (None, "would_run")
        assert loop.actions["restart"].runs[:1] == ["web"]
    loop.close()


def test_an_order_is_judged_once_and_never_waits(loop: Loop) -> None:
    loop.kill_switch.pause("why", "bob", None)
    order(loop, "restart", "web")
    loop.turn()
    assert orders(loop)[0]["refused"] == "paused by bob (api): why"
    assert loop.incidents()[0]["runs"] == []
    assert loop.incidents()[0]["state"] == "closed"
    loop.kill_switch.resume("bob")
    loop.turn()
    assert loop.actions["restart"].runs == []
    assert loop.pager.paged == []


def test_an_order_that_nobody_judged_in_time_is_refused(loop: Loop) -> None:
    order(loop, "restart", "web")
    loop.close()
    loop.clock.wait(901)
    loop.open()
    loop.turn()
    assert orders(loop)[0]["refused"] == (
        "ann ordered it 901 s ago, longer than 900 s; order it again"
    )
    assert loop.actions["restart"].runs == []


def test_what_was_shown_is_what_runs(loop: Loop) -> None:
    desk = a_desk(loop)
    with pytest.raises(Refusal, match="Look at it again"):
        order_run(desk, "restart", "web", plan_hash="0" * 16, by="ann")
    order(loop, "restart", "web")
    other = a_runbook("restart", steps=(Step("do", "other", {}, 10, Repeat.IF_NOT_DONE),))
    loop.policy = replace(loop.policy, runbooks={**loop.policy.runbooks, "restart": other})
    loop.turn()
    assert orders(loop)[0]["refused"] == (
        "the plan is not the one that ann ordered; order it again"
    )
    assert loop.actions["other"].runs == []


def test_an_order_whose_entry_is_gone_is_refused_with_a_sentence(loop: Loop) -> None:
    order(loop, "restart", "web")
    books = {name: book for name, book in loop.policy.runbooks.items() if name != "restart"}
    loop.policy = replace(loop.policy, runbooks=books, runbook_of_alert={})
    loop.turn()
    assert orders(loop)[0]["refused"] == "restart on web is no longer configured"
    assert loop.incidents()[0]["state"] == "closed"


@pytest.mark.parametrize(
    ("entry", "target", "why"),
    [
        ("none", "web", "There is no runbook entry 'none'."),
        ("restart", "none", "There is no target 'none'."),
        ("restart-db", "web", "restart-db works on db only."),
    ],
)
def test_what_does_not_exist_cannot_be_ordered(
    loop: Loop, entry: str, target: str, why: str
) -> None:
    with pytest.raises(Unknown, match=why):
        order_run(a_desk(loop), entry, target, plan_hash="x", by="ann")
    assert loop.incidents() == []


# -- in an incident that is open -------------------------------------------------------------


def test_an_order_takes_the_place_of_a_run_that_waits(tmp_path: Path) -> None:
    loop = Loop(tmp_path / "state.sqlite", policy=a_policy(mode=Mode.APPROVE))
    loop.told(DOWN)
    loop.turn()
    assert loop.states() == [("restart", "awaiting_approval", "needs_approval")]
    assert order(loop, "restart", "web")["incident_id"] == 1
    loop.turn()
    assert loop.states() == [
        ("restart", "cancelled", "superseded"),
        ("restart", "effective", "verified"),
    ]
    assert loop.orders.approvals() == []
    loop.close()


def test_a_refused_order_leaves_what_waits_as_it_was(tmp_path: Path) -> None:
    loop = Loop(tmp_path / "state.sqlite", policy=a_policy(mode=Mode.APPROVE))
    loop.told(FULL)
    loop.turn()
    (asked,) = loop.orders.approvals()
    until = loop.clock() + timedelta(hours=1)
    loop.orders.take_deploy_lock("ci", "v2", until, loop.clock())
    order(loop, "flush-all", "cache")
    loop.turn()
    assert orders(loop)[0]["refused"] == "ci deploys: v2"
    assert [question["run_id"] for question in loop.orders.approvals()] == [asked["run_id"]]
    assert [run[0] for run in loop.states()] == ["flush-keys"]
    loop.close()


def test_an_order_of_a_higher_rung_joins_and_the_ladder_goes_on_above_it(loop: Loop) -> None:
    loop.kill_switch.pause("look first", "ann", None)
    loop.told(FULL)
    loop.turn()
    loop.kill_switch.resume("ann")
    loop.verifier.verdicts = [Check.FAIL]
    assert order(loop, "flush-all", "cache")["incident_id"] == 1
    loop.turn()
    assert loop.states() == [
        ("flush-keys", "cancelled", "superseded"),
        ("flush-all", "ineffective", "not_verified"),
    ]
    assert loop.pager.paged == [(1, "cache", Reason.NOT_VERIFIED)]


def test_an_entry_that_is_no_rung_of_it_opens_its_own_incident(loop: Loop) -> None:
    loop.kill_switch.pause("look first", "ann", None)
    loop.told(FULL)
    loop.turn()
    assert order(loop, "restart", "cache")["incident_id"] == 2


def test_an_alert_that_fires_later_joins_the_incident_of_an_order(loop: Loop) -> None:
    placed = order(loop, "restart", "web")
    loop.told(DOWN)
    assert [story["id"] for story in loop.incidents()] == [placed["incident_id"]]
    loop.turn()
    assert loop.states()[0] == ("restart", "effective", "verified")


def test_only_one_order_waits_in_an_incident(loop: Loop) -> None:
    order(loop, "restart", "web")
    shown = explain_order(a_desk(loop), "restart", "web", "bob")
    why = "ann has ordered restart on web a moment ago."
    assert (shown["verdict"], shown["detail"], shown["incident_id"]) == ("blocked", why, 1)
    with pytest.raises(Refusal, match=why):
        order(loop, "restart", "web")


def test_a_step_that_is_never_repeated_cannot_be_ordered_again_in_its_incident(loop: Loop) -> None:
    loop.verifier.verdicts = [Check.FAIL]
    loop.told(DB_DOWN)
    loop.turn()
    with pytest.raises(Refusal, match="is never repeated while that is open"):
        order(loop, "restart-db", "db")


def test_while_a_run_works_nothing_is_ordered_in_its_incident(loop: Loop) -> None:
    refused: list[str] = []

    def order_meanwhile() -> None:
        with pytest.raises(Refusal) as refusal:
            order(loop, "restart", "web")
        refused.append(str(refusal.value))

    loop.actions["restart"].on_run = order_meanwhile
    loop.told(DOWN)
    loop.turn()
    assert refused == ["Run 1 (restart) works on web. Wait until it has ended."]


# -- what it counts as -------------------------------------------------------------------------


def test_a_run_that_was_ordered_counts_for_the_limits_of_all(loop: Loop) -> None:
    order(loop, "restart", "web")
    loop.turn()
    order(loop, "restart", "web")
    loop.turn()
    assert "the last run ended" in orders(loop, 1)[0]["refused"]
    loop.told(DOWN)
    loop.turn()
    assert loop.states(2) == [("restart", "blocked", "cooldown")]


def test_an_order_needs_no_second_signal_and_asks_for_none(loop: Loop) -> None:
    book = replace(loop.policy.runbooks["restart"], confirm=(RunningCheck(),))
    loop.policy = replace(loop.policy, runbooks={**loop.policy.runbooks, "restart": book})
    order(loop, "restart", "web")
    loop.turn()
    assert loop.states() == [("restart", "effective", "verified")]


def test_an_ordered_run_that_does_not_help_ends_as_any_other_and_nothing_climbs(
    loop: Loop,
) -> None:
    loop.verifier.verdicts = [Check.FAIL]
    order(loop, "flush-keys", "cache")
    loop.turn()
    assert loop.states() == [("flush-keys", "ineffective", "not_verified")]
    assert loop.pager.paged == []
    order(loop, "flush-all", "cache")
    loop.turn()
    assert loop.pager.paged == [(2, "cache", Reason.NOT_VERIFIED)]
    (page,) = {notice.annotations["runbook_url"] for notice in loop.pager.said}
    assert page == "docs/howto/operate.md"


def test_an_order_survives_the_end_of_the_process_and_is_never_taken_twice(loop: Loop) -> None:
    order(loop, "restart", "web")
    loop.close()
    loop.open()

    class Killed(BaseException):
        pass

    def die() -> None:
        raise Killed

    loop.actions["restart"].on_run = die
    with pytest.raises(Killed):
        loop.turn()
    loop.actions["restart"].on_run = lambda: None
    loop.close()
    loop.open()
    loop.turn()
    assert loop.actions["restart"].runs == ["web"]
    (run,) = loop.incidents()[0]["runs"]
    assert (run["state"], run["ordered_by"]) == ("effective", "ann")

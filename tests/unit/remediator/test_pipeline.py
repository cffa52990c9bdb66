"""The flow of an incident on fakes, a clock that only waiting moves, and a real journal."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from remediator.guards import GUARDS
from remediator.operate import explain_order, order_run
from remediator.outcomes import Reason
from remediator.policy import Mode, Repeat, Step
from remediator.ports import Check, Effect, Permanent, Refused, Stopped, Transient
from tests.builders import DB_DOWN, DOWN, FULL, Loop, a_desk, a_policy, a_runbook

Make = Callable[..., Loop]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Loop] = []

    def loop(**parts: object) -> Loop:
        made.append(Loop(tmp_path / "state.sqlite", **parts))  # type: ignore[arg-type]
        return made[-1]

    yield loop
    for one in made:
        one.close()


def test_a_fault_is_mended_verified_and_recorded(make: Make) -> None:
    loop = make()
    loop.verifier.verdicts = [Check.FAIL, Check.PASS, Check.FAIL, Check.PASS, Check.PASS]
    loop.actions["restart"].on_run = loop.alerts.firing.clear

    loop.told(DOWN)
    loop.turn()

    (incident,) = loop.incidents()
    (run,) = incident["runs"]
    assert (run["state"], run["reason"], incident["state"]) == ("effective", "verified", "closed")
    assert loop.actions["restart"].runs == ["web"]
    assert loop.verifier.looks == 5, "two in a row are wanted"
    assert run["steps"][0]["outcome"] == "done"
    assert run["acted_at"] == "2026-01-05T12:00:00.000Z"
    assert run["verified_at"] == "2026-01-05T12:00:04.000Z"
    assert [g["verdict"] for g in run["guards"]] == ["allowed"] * len(GUARDS)
    assert loop.changes[-1].seconds_to_mend == pytest.approx(63.88, abs=0.01)
    assert loop.pager.paged == []


def test_a_webhook_told_twice_acts_once(make: Make) -> None:
    loop = make()
    loop.actions["restart"].on_run = loop.alerts.firing.clear
    loop.told(DOWN)
    loop.told(DOWN)
    loop.turn()
    loop.turn()

    assert len(loop.incidents()[0]["alerts"]) == 1
    assert loop.actions["restart"].runs == ["web"]


def test_a_silence_keeps_the_machine_quiet_too_until_it_ends(make: Make) -> None:
    loop = make()
    loop.alerts.muted = Reason.SILENCED

    loop.told(DOWN)
    loop.pass_seconds(3600)
    loop.turn()
    assert loop.states() == [("restart", "blocked", "silenced")]
    assert loop.actions["restart"].runs == []
    assert loop.pager.paged == []

    loop.alerts.muted = None
    loop.turn()
    assert loop.states() == [("restart", "effective", "verified")]


def test_an_ineffective_run_climbs_the_ladder_and_then_a_human_is_called_once(make: Make) -> None:
    loop = make()
    loop.verifier.verdicts = [Check.FAIL]

    loop.told(FULL)
    for _ in range(3):
        loop.turn()

    assert loop.states() == [
        ("flush-keys", "ineffective", "not_verified"),
        ("flush-all", "ineffective", "not_verified"),
    ]
    assert loop.incidents()[0]["escalated"]["reason"] == "not_verified"
    assert loop.pager.paged == [(1, "cache", Reason.NOT_VERIFIED)]


def test_a_call_is_repeated_and_stands_for_a_while_after_the_alert_has_gone(
    make: Make,
) -> None:
    loop = make()
    loop.verifier.verdicts = [Check.FAIL]
    loop.pager.down = True
    loop.told(DOWN)
    loop.turn()
    assert loop.pager.paged == []

    loop.pager.down = False
    loop.turn()
    loop.pass_seconds(61)
    loop.turn()
    assert len(loop.pager.paged) == 2

    loop.alerts.firing.clear()
    loop.pass_seconds(60)
    loop.turn()
    assert loop.pager.cleared == []

    loop.pass_seconds(15 * 60)
    loop.turn()
    loop.turn()
    assert loop.pager.cleared == [1]
    assert loop.incidents()[0]["state"] == "closed"


def test_nobody_can_tell_is_never_success(make: Make) -> None:
    loop = make()
    loop.verifier.verdicts = [Check.INCONCLUSIVE]
    loop.told(DOWN)
    loop.turn()

    assert loop.states() == [("restart", "inconclusive", "no_data")]
    assert loop.pager.paged == [(1, "web", Reason.NO_DATA)]


@pytest.mark.parametrize("error", [Transient("refused"), Permanent("no such container")])
def test_a_failed_action_is_recorded_and_a_human_is_called(make: Make, error: Exception) -> None:
    loop = make()

    def fail() -> None:
        raise error

    loop.actions["restart"].on_run = fail
    loop.told(DOWN)
    loop.turn()

    assert loop.states() == [("restart", "failed", "action_failed")]
    assert loop.incidents()[0]["runs"][0]["steps"][0]["outcome"] == "failed"
    assert loop.verifier.looks == 0
    assert loop.pager.paged == [(1, "web", Reason.ACTION_FAILED)]


def test_an_action_that_overran_is_a_timeout(make: Make) -> None:
    loop = make()

    def slow() -> None:
        loop.clock.wait(10)
        raise Transient("no answer in 10 s")

    loop.actions["restart"].on_run = slow
    loop.told(DOWN)
    loop.turn()

    assert loop.states() == [("restart", "failed", "action_timeout")]


def test_a_refusing_precheck_touches_nothing(make: Make) -> None:
    loop = make()
    loop.actions["restart"].ready = Refused("it is paused by a human")
    loop.told(DOWN)
    loop.turn()

    (run,) = loop.incidents()[0]["runs"]
    assert (run["state"], run["reason"]) == ("failed", "precheck_refused")
    assert run["detail"] == "it is paused by a human"
    assert run["steps"] == []
    assert loop.actions["restart"].runs == []


def test_a_blocked_run_is_allowed_once_its_dependency_is_mended(make: Make) -> None:
    loop = make()
    loop.alerts.firing.append({"alertname": "Other", "service": "db"})
    loop.told(DOWN)
    loop.turn()
    loop.turn()
    assert loop.states() == [("restart", "blocked", "dependency_firing")]
    assert loop.actions["restart"].runs == []

    loop.alerts.firing.pop(0)
    loop.turn()
    assert loop.states() == [("restart", "effective", "verified")]
    assert [c.state for c in loop.changes if c.state == "blocked"] == ["blocked"]


def test_a_blocked_run_whose_alert_cleared_is_cancelled(make: Make) -> None:
    loop = make()
    loop.alerts.firing.append(DB_DOWN | {"alertname": "Other"})
    loop.told(DOWN)
    loop.turn()
    loop.alerts.firing.clear()
    loop.pass_seconds(1)
    loop.turn()

    assert loop.states() == [("restart", "cancelled", "resolved")]
    assert loop.incidents()[0]["state"] == "closed"
    assert loop.actions["restart"].runs == []


def test_an_alert_that_prometheus_does_not_know_is_never_acted_on(make: Make) -> None:
    loop = make()
    loop.told(DOWN)
    loop.alerts.firing.clear()
    loop.pass_seconds(1)
    loop.turn()

    assert loop.states() == [("restart", "cancelled", "resolved")]
    assert loop.actions["restart"].runs == []


def test_a_fault_that_survives_its_verification_is_not_mended_again_at_once(make: Make) -> None:
    loop = make()
    loop.verifier.on_pass = lambda _labels: None
    loop.told(DOWN)
    loop.turn()
    assert loop.states() == [
        ("restart", "effective", "verified"),
        ("restart", "blocked", "cooldown"),
    ]

    loop.pass_seconds(600)
    loop.turn()
    assert loop.actions["restart"].runs == ["web", "web"]
    assert loop.states()[2] == ("restart", "blocked", "cooldown")
    assert loop.pager.paged == [(1, "web", Reason.ATTEMPTS_EXHAUSTED)]


def test_observe_mode_judges_records_and_touches_nothing(make: Make) -> None:
    loop = make(policy=a_policy(mode=Mode.OBSERVE))
    loop.told(DOWN)
    for _ in range(3):
        loop.turn()

    assert loop.states() == [("restart", "skipped", "mode_observe")]
    guards = loop.incidents()[0]["runs"][0]["guards"]
    assert [g["guard"] for g in guards if g["verdict"] == "blocked"] == ["mode"]
    assert loop.actions["restart"].runs == []
    assert loop.pager.paged == []


def test_a_fault_that_comes_back_waits_for_the_cooldown_and_then_for_a_human(make: Make) -> None:
    loop = make()

    def fault() -> None:
        loop.told(DOWN)
        loop.turn()
        loop.alerts.firing.clear()
        loop.pass_seconds(5)
        loop.reconcile()

    fault()
    fault()
    assert loop.states(1) == [("restart", "cancelled", "resolved")], "cooldown, then it cleared"
    loop.pass_seconds(600)
    fault()
    assert loop.actions["restart"].runs == ["web", "web"]
    loop.pass_seconds(600)
    loop.told(DOWN)
    loop.turn()
    loop.turn()
    assert loop.states(3) == [("restart", "blocked", "attempts_exhausted")]
    assert loop.pager.paged == [(4, "web", Reason.ATTEMPTS_EXHAUSTED)]


def test_a_blind_remediator_calls_a_human_after_two_minutes(make: Make) -> None:
    loop = make()
    loop.told(DOWN)
    loop.alerts.down = True
    loop.turn()
    assert loop.states() == [("restart", "blocked", "prometheus_unreachable")]
    assert loop.pager.paged == []

    loop.pass_seconds(121)
    loop.turn()
    assert loop.pager.paged == [(1, "web", Reason.PROMETHEUS_UNREACHABLE)]
    assert loop.actions["restart"].runs == []


def test_an_alert_that_is_gone_after_a_gap_in_the_data_has_not_ended(make: Make) -> None:
    loop = make()
    loop.alerts.muted = Reason.SILENCED
    loop.told(DOWN)
    loop.alerts.firing.clear()
    loop.alerts.steady = False
    loop.pass_seconds(60)
    loop.turn()
    assert loop.incidents()[0]["state"] == "open"

    loop.alerts.steady = True
    loop.turn()
    assert loop.incidents()[0]["state"] == "closed"


def test_stale_data_neither_allows_nor_clears(make: Make) -> None:
    loop = make()
    loop.told(DOWN)
    loop.alerts.data_age_seconds = 46
    loop.turn()
    loop.alerts.firing.clear()
    loop.pass_seconds(5)
    loop.turn()

    (incident,) = loop.incidents()
    assert incident["state"] == "open"
    assert incident["alerts"][0]["status"] == "firing"
    assert loop.actions["restart"].runs == []


def test_what_no_webhook_told_is_found_in_prometheus(make: Make) -> None:
    loop = make()
    loop.alerts.firing.append(DOWN)
    loop.turn()
    assert loop.incidents()[0]["alerts"][0]["source"] == "reconcile"

    loop.told(DOWN | {"cluster": "prod"})  # the same alert, with an external label
    loop.alerts.firing.pop()
    loop.turn()
    assert len(loop.incidents()[0]["alerts"]) == 1
    assert loop.actions["restart"].runs == ["web"]
    assert loop.metrics.registry.get_sample_value("remediator_reconcile_found_total") == 1


def test_targets_that_exclude_one_another_are_never_worked_on_together(make: Make) -> None:
    loop = make()

    def meanwhile() -> None:
        loop.actions["restart"].on_run = lambda: None
        loop.told(DOWN | {"service": "edge"})
        loop.remediate(but=1)

    loop.actions["restart"].on_run = meanwhile
    loop.told(DOWN)
    loop.turn()

    assert loop.actions["restart"].runs[0] == "web"
    assert ("restart", "blocked", "target_busy") in [
        (c.runbook, c.state, c.reason) for c in loop.changes if c.target == "edge"
    ]


@pytest.mark.parametrize(
    ("effect", "runs"),
    [(Effect.DONE, 1), (Effect.NOT_DONE, 1), (Effect.UNKNOWN, 1), (Transient("refused"), 1)],
)
@pytest.mark.parametrize("mended", [True, False])
def test_a_never_step_runs_once_whatever_its_probe_says_after_a_crash(
    make: Make, effect: Effect | Transient, runs: int, *, mended: bool
) -> None:
    loop = make()
    loop.verifier.verdicts = [Check.PASS if mended else Check.FAIL]
    loop.actions["restart-db"].effect = effect
    crash_in(loop, "restart-db", DB_DOWN)

    loop.turn()

    assert len(loop.actions["restart-db"].runs) == runs
    last = loop.states()[0][1:]
    assert last == (
        ("effective", "verified")
        if mended
        else ("ineffective", "not_verified" if effect is Effect.DONE else "outcome_unknown")
    )
    assert bool(loop.pager.paged) is not mended


@pytest.mark.parametrize(
    ("effect", "runs"), [(Effect.DONE, 1), (Effect.NOT_DONE, 2), (Effect.UNKNOWN, 1)]
)
def test_a_repeatable_step_runs_again_only_when_it_was_not_done(
    make: Make, effect: Effect, runs: int
) -> None:
    loop = make()
    loop.actions["restart"].effect = effect
    crash_in(loop, "restart", DOWN)
    assert loop.states() == [("restart", "interrupted", None)]

    loop.turn()

    assert len(loop.actions["restart"].runs) == runs
    assert loop.states() == [("restart", "effective", "verified")]


def no_alert(loop: Loop) -> None:
    loop.alerts.firing.clear()


def stale_data(loop: Loop) -> None:
    loop.alerts.data_age_seconds = 46


def a_silence(loop: Loop) -> None:
    loop.alerts.muted = Reason.SILENCED


def a_pause(loop: Loop) -> None:
    loop.kill_switch.pause("why", "me", None)


def maintenance(loop: Loop) -> None:
    until = loop.clock() + timedelta(hours=1)
    loop.orders.begin_maintenance("web", "me", "why", until, loop.clock())


@pytest.mark.parametrize(
    ("meanwhile", "reason"),
    [
        (no_alert, Reason.RESOLVED),
        (stale_data, Reason.DATA_STALE),
        (a_silence, Reason.SILENCED),
        (a_pause, Reason.PAUSED),
        (maintenance, Reason.MAINTENANCE),
    ],
)
def test_what_was_not_done_before_a_crash_is_done_only_if_it_may_be_begun_now(
    make: Make, meanwhile: Callable[[Loop], None], reason: Reason
) -> None:
    loop = make()
    loop.actions["restart"].effect = Effect.NOT_DONE
    crash_in(loop, "restart", DOWN)
    meanwhile(loop)
    loop.turn()

    assert len(loop.actions["restart"].runs) == 1
    assert loop.states()[0] == ("restart", "aborted", reason)


def gap(loop: Loop) -> None:
    loop.alerts.firing.clear()
    loop.alerts.steady = False


def nobody_tells(loop: Loop) -> None:
    loop.alerts.firing.clear()
    loop.alerts.data_age_seconds = None


def down(loop: Loop) -> None:
    loop.alerts.down = True


def inhibited(loop: Loop) -> None:
    loop.alerts.muted = Reason.INHIBITED


def two_steps(make: Make, *, even_if_cleared: bool = False) -> Loop:
    steps = (
        Step("look", "look", {}, 10, Repeat.IF_NOT_DONE),
        Step("act", "act", {}, 10, Repeat.NEVER, even_if_cleared=even_if_cleared),
    )
    policy = a_policy()
    books = {**policy.runbooks, "restart": a_runbook("restart", steps=steps)}
    return make(policy=replace(policy, runbooks=books))


@pytest.mark.parametrize(
    ("meanwhile", "reason"),
    [
        (no_alert, Reason.RESOLVED),
        (a_silence, Reason.SILENCED),
        (a_pause, Reason.PAUSED),
        (maintenance, Reason.MAINTENANCE),
    ],
)
def test_between_two_steps_what_is_known_for_sure_ends_the_run(
    make: Make, meanwhile: Callable[[Loop], None], reason: Reason
) -> None:
    loop = two_steps(make)
    loop.actions["look"].on_run = lambda: meanwhile(loop)
    loop.told(DOWN)
    loop.remediate()
    assert loop.actions["act"].runs == []
    assert loop.states() == [("restart", "aborted", reason)]
    assert loop.incidents()[0]["runs"][0]["detail"].startswith("before step act: ")
    assert loop.pager.paged == []


@pytest.mark.parametrize("meanwhile", [gap, nobody_tells, stale_data, down, inhibited])
def test_between_two_steps_nothing_is_stopped_on_a_guess(
    make: Make, meanwhile: Callable[[Loop], None]
) -> None:
    loop = two_steps(make)
    loop.actions["look"].on_run = lambda: meanwhile(loop)
    loop.told(DOWN)
    loop.remediate()
    assert loop.actions["act"].runs == ["web"]


def test_a_step_may_follow_although_the_alert_has_cleared(make: Make) -> None:
    loop = two_steps(make, even_if_cleared=True)
    loop.actions["look"].on_run = loop.alerts.firing.clear
    loop.told(DOWN)
    loop.remediate()
    assert loop.actions["act"].runs == ["web"]


def test_a_run_that_was_ordered_goes_on_without_an_alert_and_stops_for_a_human(make: Make) -> None:
    def order(loop: Loop) -> None:
        desk = a_desk(loop)
        shown = explain_order(desk, "restart", "web", "ann")
        order_run(desk, "restart", "web", plan_hash=shown["plan_hash"], by="ann")

    loop = two_steps(make)
    order(loop)
    loop.turn()
    assert loop.actions["act"].runs == ["web"]
    loop.clock.wait(3600)
    loop.actions["look"].on_run = lambda: maintenance(loop)
    order(loop)
    loop.turn()
    assert loop.states(1) == [("restart", "aborted", "maintenance")]


def test_a_step_that_kills_the_process_is_repeated_once_and_no_more(make: Make) -> None:
    loop = make()
    loop.verifier.verdicts = [Check.FAIL]
    loop.actions["restart"].effect = Effect.NOT_DONE
    for _ in range(2):
        crash_in(loop, "restart", DOWN)
    loop.turn()

    assert len(loop.actions["restart"].runs) == 2
    assert loop.states() == [("restart", "ineffective", "outcome_unknown")]
    assert loop.pager.paged


def test_only_the_steps_after_the_interrupted_one_are_taken(make: Make) -> None:
    steps = tuple(Step(name, name, {}, 10, Repeat.NEVER) for name in ("first", "second", "third"))
    policy = a_policy()
    books = {**policy.runbooks, "restart": a_runbook("restart", steps=steps)}
    loop = make(policy=replace(policy, runbooks=books))
    loop.actions["second"].effect = Effect.DONE
    crash_in(loop, "second", DOWN)

    loop.turn()

    assert [len(loop.actions[name].runs) for name in ("first", "second", "third")] == [1, 1, 1]
    assert loop.states() == [("restart", "effective", "verified")]


def test_a_verification_that_is_interrupted_again_and_again_still_ends_at_a_human(
    make: Make,
) -> None:
    loop = make()
    looks: list[float] = []

    def stop_at_the_tenth(seconds: float) -> None:
        loop.clock.wait(seconds)
        looks.append(seconds)
        if len(looks) % 10 == 0:
            raise Stopped

    loop.wait = stop_at_the_tenth
    loop.verifier.verdicts = [Check.FAIL]
    loop.told(DOWN)
    for _ in range(6):
        with suppress(Stopped):
            loop.turn()
        loop.close()
        loop.open()
    assert loop.states() == [("restart", "ineffective", "not_verified")]
    assert len(loop.actions["restart"].runs) == 1
    assert 30 <= sum(looks) < 40
    assert len(loop.pager.paged) == 1


def test_a_stop_during_verification_is_taken_up_by_the_next_start(make: Make) -> None:
    def stop(_seconds: float) -> None:
        raise Stopped

    loop = make(wait=stop)
    loop.told(DOWN)
    with pytest.raises(Stopped):
        loop.turn()
    loop.close()
    loop.wait = None
    loop.open()
    assert loop.states() == [("restart", "interrupted", None)]
    loop.turn()

    assert loop.states() == [("restart", "effective", "verified")]
    assert loop.actions["restart"].runs == ["web"]


def test_a_run_whose_runbook_was_removed_meanwhile_calls_a_human(make: Make) -> None:
    loop = make()
    crash_in(loop, "restart", DOWN)
    books = {k: v for k, v in loop.policy.runbooks.items() if k != "restart"}
    loop.policy = replace(loop.policy, runbooks=books, runbook_of_alert={})
    loop.turn()

    assert loop.states() == [("restart", "failed", "outcome_unknown")]
    assert loop.pager.paged or loop.incidents()[0]["escalated"]


def test_the_global_budget_holds_over_all_targets(make: Make) -> None:
    loop = make(policy=a_policy(runs_per_hour=2))
    loop.verifier.verdicts = [Check.PASS]
    for labels in (DOWN, DOWN | {"service": "worker"}, FULL):
        loop.told(labels)
    loop.turn()

    assert sum(len(action.runs) for action in loop.actions.by_name.values()) == 2
    assert loop.states(2) == [("flush-keys", "blocked", "budget_exhausted")]
    assert loop.pager.paged == [(3, "cache", Reason.BUDGET_EXHAUSTED)]


class Killed(BaseException):
    """The process is gone: nothing after it runs."""


def crash_in(loop: Loop, action: str, labels: dict[str, str]) -> None:
    """Die inside the action's run, then start again on the same file."""

    def die() -> None:
        raise Killed

    loop.actions[action].on_run = die
    loop.told(labels)
    with pytest.raises(Killed):
        loop.turn()
    loop.actions[action].on_run = lambda: None
    loop.close()
    loop.clock.wait(timedelta(seconds=2).total_seconds())
    loop.open()

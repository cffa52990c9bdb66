"""Before an action: a second signal, and waiting for the right moment. After it: it must last."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from remediator.checks import ProbesCheck, Verification
from remediator.outcomes import Reason
from remediator.ports import Check, NotYet, Ready
from tests.builders import DOWN, FULL, Loop, a_policy, a_runbook

Make = Callable[..., Loop]
HOLD = 600


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Loop] = []

    def loop(**changes: object) -> Loop:
        """The usual policy with these changes in every runbook entry."""
        policy = a_policy()
        books = {name: replace(book, **changes) for name, book in policy.runbooks.items()}  # type: ignore[arg-type]
        policy = replace(policy, runbooks=books)
        made.append(Loop(tmp_path / "state.sqlite", policy=policy))
        return made[-1]

    yield loop
    for one in made:
        one.close()


def watched(hold: float = HOLD, settle: float = 0) -> Verification:
    return replace(a_runbook("x").verify, hold_seconds=hold, settle_seconds=settle)


def test_a_success_that_lasts_is_held_and_its_incident_closes_then(make: Make) -> None:
    loop = make(verify=watched())
    loop.told(DOWN)
    loop.turn()
    assert loop.states() == [("restart", "effective", "verified")]
    assert loop.incidents()[0]["state"] == "open"

    loop.pass_seconds(HOLD - 2)
    loop.turn()
    assert loop.incidents()[0]["state"] == "open"
    loop.pass_seconds(2)
    loop.turn()
    assert loop.states() == [("restart", "held", "verified")]
    assert loop.incidents()[0]["state"] == "closed"
    assert [change.state for change in loop.changes][-2:] == ["effective", "held"]


def again(loop: Loop, alert: dict[str, str]) -> None:
    """It fires anew, a minute later."""
    loop.pass_seconds(60)
    loop.alerts.active_at = loop.clock()
    loop.told(alert)
    loop.turn()


def test_what_comes_back_while_it_is_watched_was_not_mended_and_calls_a_human(make: Make) -> None:
    loop = make(verify=watched())
    loop.told(DOWN)
    loop.turn()
    again(loop, DOWN)

    assert loop.states() == [("restart", "recurred", "came_back")]
    assert loop.actions["restart"].runs == ["web"]
    assert loop.pager.paged == [(1, "web", Reason.CAME_BACK)]
    assert len(loop.incidents()) == 1, "it is the same incident"


def test_what_comes_back_is_tried_with_the_next_rung(make: Make) -> None:
    loop = make(verify=watched())
    loop.told(FULL)
    loop.turn()
    again(loop, FULL)

    assert loop.states() == [
        ("flush-keys", "recurred", "came_back"),
        ("flush-all", "effective", "verified"),
    ]
    assert loop.pager.paged == []


def test_what_comes_back_later_is_a_new_incident(make: Make) -> None:
    loop = make(verify=watched())
    loop.told(DOWN)
    loop.turn()
    loop.pass_seconds(HOLD)
    loop.turn()
    again(loop, DOWN)
    assert [incident["state"] for incident in loop.incidents()] == ["closed", "open"]


def test_an_alert_that_never_clears_was_not_mended_at_the_end_of_the_watch(make: Make) -> None:
    loop = make(verify=watched())
    loop.verifier.on_pass = lambda _labels: None
    loop.told(DOWN)
    loop.turn()
    assert loop.states()[0] == ("restart", "effective", "verified")
    loop.pass_seconds(HOLD)
    loop.turn()
    assert ("restart", "recurred", "came_back") in loop.states()


def test_two_recurrences_open_the_breaker(make: Make) -> None:
    loop = make(verify=watched(), limits=replace(a_runbook("x").limits, attempts=9))
    for _ in range(2):
        loop.told(DOWN)
        loop.turn()
        again(loop, DOWN)
        loop.alerts.firing.clear()
        loop.pass_seconds(3600)
        loop.turn()
    loop.told(DOWN)
    loop.turn()
    assert loop.states(2) == [("restart", "blocked", "breaker_open")]
    assert loop.actions["restart"].runs == ["web", "web"]


def test_verification_waits_until_the_rules_have_settled(make: Make) -> None:
    loop = make(verify=watched(hold=0, settle=45))
    first_look = []
    look = loop.verifier.look

    def timed(*arguments: object) -> object:
        first_look.append(loop.clock())
        return look(*arguments)  # type: ignore[arg-type]

    loop.verifier.look = timed  # type: ignore[method-assign,assignment]
    began = loop.clock()
    loop.told(DOWN)
    loop.turn()
    assert first_look[0] == began + timedelta(seconds=45)


def test_a_second_signal_that_does_not_confirm_blocks_and_later_calls_a_human(make: Make) -> None:
    loop = make(confirm=(ProbesCheck(),))
    loop.verifier.verdicts = [Check.PASS]
    loop.verifier.on_pass = lambda _labels: None
    loop.told(DOWN)
    loop.turn()
    assert loop.states() == [("restart", "blocked", "not_confirmed")]
    assert loop.pager.paged == []

    loop.pass_seconds(300)
    loop.turn()
    assert loop.actions["restart"].runs == []
    assert loop.pager.paged == [(1, "web", Reason.NOT_CONFIRMED)]


def test_a_second_signal_that_confirms_lets_it_run(make: Make) -> None:
    loop = make(confirm=(ProbesCheck(),))
    loop.verifier.verdicts = [Check.FAIL, Check.PASS]
    loop.told(DOWN)
    loop.turn()
    assert loop.states() == [("restart", "effective", "verified")]


def test_a_step_whose_time_has_not_come_is_waited_for(make: Make) -> None:
    loop = make()
    action = loop.actions["restart"]
    action.ready = NotYet("it is still starting")
    waits: list[float] = []

    def wait(seconds: float) -> None:
        loop.clock.wait(seconds)
        waits.append(seconds)
        if len(waits) == 3:
            action.ready = Ready()

    loop.wait = wait
    loop.told(DOWN)
    loop.turn()
    assert loop.states() == [("restart", "effective", "verified")]
    assert action.runs == ["web"]


def test_a_step_whose_time_does_not_come_fails_untouched(make: Make) -> None:
    loop = make()
    loop.actions["restart"].ready = NotYet("it is still starting")
    loop.told(DOWN)
    loop.turn()
    assert loop.states() == [("restart", "failed", "precheck_refused")]
    assert loop.actions["restart"].runs == []


def test_an_alert_that_clears_while_a_step_waits_leaves_it_untouched(make: Make) -> None:
    loop = make()
    action = loop.actions["restart"]
    action.ready = NotYet("it is still starting")

    def wait(seconds: float) -> None:
        loop.clock.wait(seconds)
        loop.alerts.firing.clear()
        action.ready = Ready()

    loop.wait = wait
    loop.told(DOWN)
    loop.turn()
    assert set(loop.states()) == {("restart", "cancelled", "resolved")}
    assert action.runs == []

"""Removing any single guard, or weakening what the journal protects, is noticed."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from remediator import guards, pipeline, resume, steps
from remediator.guards import GUARDS, Case
from remediator.journal import Intake, RunLog
from remediator.outcomes import State
from remediator.planner import Told
from remediator.policy import Mode, Repeat, RunLimits, Step
from remediator.ports import Alerts, AlertState
from remediator.runs import Allowed, Blocked
from tests.builders import DB_DOWN, DOWN, Loop, a_runbook
from tests.unit.remediator.scenes import SCENES

NAMES = [name for name, _ in GUARDS]


def without(name: str) -> tuple[tuple[str, Callable[[Case], Allowed | Blocked]], ...]:
    """GUARDS, with one that always says yes."""
    removed = (name, lambda _case: Allowed("it was removed"))
    return tuple(removed if guard[0] == name else guard for guard in GUARDS)


def stands_alone(name: str, path: Path) -> bool:
    """Whether nothing is done in the guard's scene, and because of it alone."""
    scene, reason = SCENES[name]
    loop = scene(path)
    try:
        loop.remediate()
        (own,) = [incident for incident in loop.incidents() if incident["runbook"] == "restart"]
        (run,) = own["runs"]
        blocked = [g["guard"] for g in run["guards"] if g["verdict"] == "blocked"]
        return (
            blocked == [name]
            and run["reason"] == reason
            and run["state"] in {State.BLOCKED, State.SKIPPED, State.AWAITING_APPROVAL}
            and all(not action.runs for action in loop.actions.by_name.values())
        )
    finally:
        loop.close()


def test_every_guard_has_its_scene() -> None:
    assert list(SCENES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_in_its_scene_a_guard_alone_keeps_anything_from_being_done(
    name: str, tmp_path: Path
) -> None:
    assert stands_alone(name, tmp_path / "state.sqlite")


@pytest.mark.parametrize("name", NAMES)
def test_its_scene_notices_when_a_guard_is_removed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "GUARDS", without(name))
    assert not stands_alone(name, tmp_path / "state.sqlite")


# -- what the journal and the pipeline protect ----------------------------------------------

Weaken = Callable[[Loop, pytest.MonkeyPatch], None]


class Killed(BaseException):
    """The process is gone: nothing after it runs."""


def never_steps_act_once(loop: Loop) -> bool:
    """A `never` step is tried twice in an incident that goes on."""
    limits = RunLimits(cooldown_seconds=0, attempts=5, per_seconds=3600)
    step = Step("do", "restart", {}, 10, Repeat.NEVER)
    book = a_runbook("restart", alerts=("ServiceDown",), limits=limits, steps=(step,))
    loop.policy = replace(loop.policy, runbooks={**loop.policy.runbooks, "restart": book})
    loop.verifier.on_pass = lambda _labels: None  # it says well, and the alert fires on
    loop.told(DOWN)
    for _ in range(3):
        loop.remediate()
    return len(loop.actions["restart"].runs) == 1


def a_death_repeats_nothing(loop: Loop) -> bool:
    """The process dies in the action of a `never` step."""

    def die() -> None:
        raise Killed

    loop.actions["restart-db"].on_run = die
    loop.told(DB_DOWN)
    with pytest.raises(Killed):
        loop.remediate()
    loop.actions["restart-db"].on_run = lambda: None
    loop.close()
    loop.open()
    loop.remediate()
    loop.remediate()
    return len(loop.actions["restart-db"].runs) == 1


def two_never_hold_a_target(loop: Loop) -> bool:
    """The last line of defence, when no guard saw it."""
    loop.told(DOWN)
    begin = (
        "INSERT INTO runs (incident_id, runbook, target, state, created_at)"
        " VALUES (1, 'x', 'web', 'claimed', '')"
    )
    loop.database._connection.execute(begin)
    drop_other = "DROP INDEX one_open_run_per_incident"
    loop.database._connection.execute(drop_other)
    try:
        loop.database._connection.execute(begin)
    except sqlite3.IntegrityError:
        return True
    return False


def nothing_is_done_once_it_has_cleared(loop: Loop) -> bool:
    """It is told, and Prometheus says it is over."""
    loop.told(DOWN)
    loop.alerts.now()
    loop.alerts.firing.clear()
    loop.remediate()
    return loop.actions["restart"].runs == []


def what_cannot_be_seen_has_not_cleared(loop: Loop) -> bool:
    """The exporter is down: every alert is gone from Prometheus, and nobody knows why."""
    loop.policy = replace(loop.policy, mode=Mode.OBSERVE)
    loop.told(DOWN)
    loop.alerts.firing.clear()
    loop.alerts.data_age_seconds = None
    loop.clock.wait(60)
    loop.reconcile()
    return loop.incidents()[0]["state"] == "open"


def drop_never(loop: Loop, patch: pytest.MonkeyPatch) -> None:
    loop.database._connection.execute("DROP INDEX never_means_never")


def drop_one_active(loop: Loop, patch: pytest.MonkeyPatch) -> None:
    loop.database._connection.execute("DROP INDEX one_active_run_per_target")


def intend_later(loop: Loop, patch: pytest.MonkeyPatch) -> None:
    """The intent is written when the action has ended."""
    loop.wrap = Late


class Late:
    """A journal that writes an intent with its outcome."""

    def __init__(self, runs: RunLog) -> None:
        self._runs = runs
        self._intents: list[tuple[int, Step, datetime]] = []
        self.claim, self.ledger = runs.claim, runs.ledger
        self.move, self.finish, self.escalate = runs.move, runs.finish, runs.escalate

    def intend(self, run_id: int, step: Step, now: datetime) -> int | None:
        self._intents.append((run_id, step, now))
        return len(self._intents) - 1

    def outcome(
        self,
        step_row: int,
        outcome: str,
        summary: str,
        evidence: Mapping[str, object],
        now: datetime,
    ) -> None:
        row = self._runs.intend(*self._intents[step_row])
        if row is not None:
            self._runs.outcome(row, outcome, summary, evidence, now)


def believe_the_webhook(loop: Loop, patch: pytest.MonkeyPatch) -> None:
    """What fires is asked once, and remembered."""
    remembered: list[AlertState] = []

    def firing_then(alerts: Alerts) -> AlertState:
        return remembered[0]

    asked = loop.alerts.now

    def now() -> AlertState:
        remembered.append(asked())
        return remembered[-1]

    loop.alerts.now = now  # type: ignore[method-assign]
    for module in (pipeline, resume, steps):
        patch.setattr(module, "firing_now", firing_then)


def believe_anything(loop: Loop, patch: pytest.MonkeyPatch) -> None:
    sync = Intake.sync

    def believing(intake: Intake, firing: list[Told], *, asked_at: datetime, believed: bool) -> int:
        return sync(intake, firing, asked_at=asked_at, believed=True)

    patch.setattr(Intake, "sync", believing)


@contextmanager
def a_loop(path: Path) -> Iterator[Loop]:
    loop = Loop(path)
    yield loop
    loop.close()


PROTECTED: Mapping[str, tuple[Weaken, Callable[[Loop], bool]]] = {
    "never_means_never": (drop_never, never_steps_act_once),
    "one_active_run_per_target": (drop_one_active, two_never_hold_a_target),
    "intent_before_action": (intend_later, a_death_repeats_nothing),
    "alert_asked_again": (believe_the_webhook, nothing_is_done_once_it_has_cleared),
    "believed": (believe_anything, what_cannot_be_seen_has_not_cleared),
}


@pytest.mark.parametrize("name", PROTECTED)
def test_what_is_protected_holds(name: str, tmp_path: Path) -> None:
    with a_loop(tmp_path / "state.sqlite") as loop:
        assert PROTECTED[name][1](loop)


@pytest.mark.parametrize("name", PROTECTED)
def test_weakening_a_protection_is_noticed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weaken, holds = PROTECTED[name]
    with a_loop(tmp_path / "state.sqlite") as loop:
        weaken(loop, monkeypatch)
        assert not holds(loop)

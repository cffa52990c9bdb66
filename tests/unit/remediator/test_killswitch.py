"""The kill switch: any source says off, it survives a restart, and stops between steps."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from remediator.policy import Repeat, Step
from tests.builders import DOWN, Loop, a_policy, a_runbook


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    loop = Loop(tmp_path / "state.sqlite")
    yield loop
    loop.close()


def by_file(loop: Loop) -> None:
    loop.path.with_name("paused").write_text("moving\nhouse\n")


def by_environment(loop: Loop) -> None:
    loop.environment["STACKMEDIC_PAUSED"] = "moving house"


def by_api(loop: Loop) -> None:
    loop.kill_switch.pause("moving house", "ann", None)


def kinds(loop: Loop) -> list[str]:
    rows = loop.database._connection.execute("SELECT kind FROM events ORDER BY id")
    return [row[0] for row in rows if row[0] in {"paused", "resumed"}]


@pytest.mark.parametrize("pause", [by_file, by_environment, by_api])
def test_a_pause_holds_over_a_restart_and_nothing_begins(loop: Loop, pause: object) -> None:
    assert callable(pause)
    pause(loop)
    loop.told(DOWN)
    loop.turn()
    loop.close()
    loop.open()
    loop.turn()

    assert loop.states() == [("restart", "blocked", "paused")]
    assert "moving house" in (loop.kill_switch.paused() or "")
    assert loop.actions["restart"].runs == []
    assert kinds(loop) == ["paused"]
    assert list(loop.records.paused().values()) == ["moving house"]


def test_one_source_is_enough_and_each_is_ended_where_it_was_set(loop: Loop) -> None:
    for pause in (by_file, by_environment, by_api):
        pause(loop)
    loop.told(DOWN)
    loop.turn()

    assert loop.kill_switch.resume("ann")
    assert not loop.kill_switch.resume("ann")
    assert len(loop.kill_switch.look()) == 2
    loop.environment.clear()
    assert len(loop.kill_switch.look()) == 1
    loop.path.with_name("paused").unlink()
    assert loop.kill_switch.paused() is None
    assert kinds(loop) == ["paused"] * 3 + ["resumed"] * 3

    loop.turn()
    assert loop.states() == [("restart", "effective", "verified")]


def test_a_pause_with_an_end_ends(loop: Loop) -> None:
    loop.kill_switch.pause("lunch", "ann", loop.clock() + timedelta(minutes=30))
    loop.pass_seconds(1799)
    assert loop.kill_switch.paused() == "paused by ann (api): lunch"
    loop.pass_seconds(1)
    assert loop.kill_switch.paused() is None
    assert kinds(loop) == ["paused", "resumed"]


@pytest.mark.parametrize("text", ["", "0", "False", " no "])
def test_a_variable_that_says_no_is_no_pause(loop: Loop, text: str) -> None:
    loop.environment["STACKMEDIC_PAUSED"] = text
    assert loop.kill_switch.paused() is None


def test_a_file_that_cannot_be_read_is_a_pause(loop: Loop) -> None:
    loop.path.with_name("paused").mkdir()
    assert "cannot be read" in (loop.kill_switch.paused() or "")


def test_an_empty_file_is_a_pause(loop: Loop) -> None:
    loop.path.with_name("paused").touch()
    assert loop.kill_switch.paused() == "paused by the file (file): no reason given"


def test_a_run_under_way_ends_between_two_steps_and_never_inside_one(tmp_path: Path) -> None:
    steps = tuple(Step(name, name, {}, 10, Repeat.NEVER) for name in ("first", "second"))
    policy = a_policy()
    books = {**policy.runbooks, "restart": a_runbook("restart", steps=steps)}
    loop = Loop(tmp_path / "other.sqlite", policy=replace(policy, runbooks=books))
    loop.actions["first"].on_run = lambda: by_file(loop)
    loop.told(DOWN)
    loop.turn()
    loop.turn()

    assert loop.states() == [("restart", "aborted", "paused"), ("restart", "blocked", "paused")]
    assert [len(loop.actions[name].runs) for name in ("first", "second")] == [1, 0]
    assert loop.incidents()[0]["runs"][0]["steps"][0]["outcome"] == "done"
    assert loop.verifier.looks == 0
    loop.close()

"""Ends and kills for memory: counted once, by name, over a restart of the exporter."""

import json
from pathlib import Path
from typing import Any

import pytest

from exporter.collectors import event_counts
from exporter.collectors.event_counts import UNTOLD_SECONDS, EventCounts
from exporter.readings import Container, ContainerState


def event(at: int, action: str = "die", name: str = "web", code: str = "137") -> dict[str, Any]:
    attributes = {"name": name, "exitCode": code}
    return {"timeNano": at, "Action": action, "Actor": {"ID": "1", "Attributes": attributes}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "events.json"


def test_counts_go_on_after_a_restart_and_nothing_is_counted_twice(file: Path) -> None:
    first = EventCounts(str(file))
    first.take(event(10**9 + 5))
    first.take(event(2 * 10**9, "oom"))
    first.save(0, at_once=True)

    again = EventCounts(str(file))

    assert again.counted() == ({("web", "137"): 1}, {"web": 1})
    assert again.since() == "2.000000000"
    assert not again.take(event(2 * 10**9, "oom"))
    assert again.take(event(2 * 10**9 + 1))
    assert again.counted() == ({("web", "137"): 2}, {"web": 1})


def test_a_recreated_container_counts_on_under_its_name(file: Path) -> None:
    counts = EventCounts(None)
    counts.take(event(1, name="0123456789ab_web"))  # what compose calls it while replacing
    counts.take(event(2))

    assert counts.counted()[0] == {("web", "137"): 2}
    counts.save(0, at_once=True)
    assert not file.exists()


def test_what_was_not_saved_is_asked_for_again(file: Path) -> None:
    counts = EventCounts(str(file))
    counts.take(event(10**9))
    counts.save(100)
    counts.take(event(2 * 10**9))
    counts.save(101)  # too soon after the last time

    killed = EventCounts(str(file))

    assert killed.since() == "1.000000000"
    killed.take(event(2 * 10**9))
    assert killed.counted() == counts.counted()


def test_a_crash_loop_writes_seldom_and_a_quiet_engine_never(file: Path) -> None:
    counts = EventCounts(str(file))
    counts.take(event(1, "start"))
    counts.save(100)
    assert not file.exists()
    counts.take(event(2))
    counts.save(100)
    before = file.stat().st_mtime_ns, file.stat().st_ino
    counts.take(event(3))
    counts.save(101)

    assert (file.stat().st_mtime_ns, file.stat().st_ino) == before
    counts.save(100 + event_counts.SAVE_SECONDS)
    assert json.loads(file.read_text())["last_event_ns"] == 3


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2}', '{"format": 1, "exits": [1]}'])
def test_a_state_file_that_makes_no_sense_is_no_reason_not_to_start(file: Path, text: str) -> None:
    file.parent.mkdir()
    file.write_text(text)

    assert EventCounts(str(file)).counted() == ({}, {})


def test_a_state_file_that_cannot_be_written_is_told_until_it_can(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("not a folder")
    counts = EventCounts(str(tmp_path / "state" / "events.json"))
    counts.take(event(1))
    counts.save(0)
    assert "cannot be written" in counts.problem

    (tmp_path / "state").unlink()
    counts.save(100)

    assert counts.problem == ""


def test_names_stay_bounded_and_the_living_are_kept() -> None:
    counts = EventCounts(None)
    for number in range(event_counts.MAX_NAMES + 50):
        counts.take(event(number + 1, name=f"n{number}"))
    counts.forget({"n0"})

    names = {name for name, _ in counts.counted()[0]}
    assert len(names) == event_counts.MAX_NAMES
    assert "n0" in names
    assert "n1" not in names


SECOND = 10**9


def ended(at: float, state: ContainerState = ContainerState.EXITED, code: int = 137) -> Container:
    return Container("1", "web", "i", state, exit_code=code, finished_at=at)


def settled(counts: EventCounts, container: Container, now: float = 0.0) -> dict[Any, int]:
    """What is counted once the container has said the same for long enough."""
    counts.settle([container], now)
    counts.settle([container], now + UNTOLD_SECONDS)
    return counts.counted()[0]


def test_an_end_that_no_event_told_is_counted_once() -> None:
    counts = EventCounts(None)
    counts.settle([ended(0, ContainerState.RUNNING)], 0)

    counts.settle([ended(50)], 10)
    assert counts.counted()[0] == {}  # its event may still come
    assert settled(counts, ended(50), 10) == {("web", "137"): 1}
    assert settled(counts, ended(50), 100) == {("web", "137"): 1}


def test_an_end_before_anybody_looked_is_history() -> None:
    assert settled(EventCounts(None), ended(50)) == {}


def test_an_end_whose_event_comes_late_is_counted_by_its_event() -> None:
    counts = EventCounts(None)
    counts.settle([ended(0, ContainerState.RUNNING)], 0)
    counts.settle([ended(50)], 10)
    counts.take(event(50 * SECOND + 3))

    assert settled(counts, ended(50), 11) == {("web", "137"): 1}


def test_one_that_runs_again_ended_with_a_code_that_nobody_knows() -> None:
    counts = EventCounts(None)
    counts.settle([ended(0, ContainerState.RUNNING)], 0)

    assert settled(counts, ended(50, ContainerState.RUNNING, 0)) == {("web", "other"): 1}


def test_a_crash_loop_that_is_told_by_events_is_counted_by_them(file: Path) -> None:
    counts = EventCounts(str(file))
    for at in range(1, 100):
        counts.settle([ended(at)], at)
        counts.take(event(at * SECOND))

    assert settled(counts, ended(99), 200) == {("web", "137"): 99}


def test_an_end_while_the_exporter_and_the_engine_were_away_is_counted(file: Path) -> None:
    before = EventCounts(str(file))
    before.settle([ended(0, ContainerState.RUNNING)], 0)
    before.save(0, at_once=True)

    assert settled(EventCounts(str(file)), ended(50)) == {("web", "137"): 1}

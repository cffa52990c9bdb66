"""The worker's threads: woken at once, lanes apart, defects kept in, drained at the end."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from remediator.journal import JournalUnavailable
from remediator.runs import Incident
from remediator.worker import Duties, Worker
from tests.fakes import START

SOON = 5.0


def an_incident(number: int) -> Incident:
    return Incident(
        id=number,
        runbook="restart",
        target=f"t{number}",
        labels={},
        started_at=START,
        firing=True,
        escalated=False,
        last_run=None,
    )


@dataclass
class Bench:
    """A worker on scripted duties. `seen` is what happened, in order; `until` waits for it."""

    incidents: list[Incident] = field(default_factory=list)
    work: dict[int, Callable[[], bool]] = field(default_factory=dict)
    now: dict[int, Incident | None] = field(default_factory=dict)
    page: Callable[[], object] = lambda: None
    interval: float = 60
    seen: list[str] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self.worker = Worker(
            Duties(
                open_incidents=self.look,
                incident=lambda number: self.now.get(number, an_incident(number)),
                remediate=self.remediate,
                abandon=lambda incident, defect: self.note(f"abandon {incident.id} {defect}"),
                reconcile=lambda: self.note("reconcile"),
                page=self.tell,
                beside={},
            ),
            interval_seconds=self.interval,
            clock=lambda: datetime.now(UTC),
        )

    def note(self, what: str) -> None:
        with self.changed:
            self.seen.append(what)
            self.changed.notify_all()

    def look(self) -> list[Incident]:
        self.note("look")
        return list(self.incidents)

    def tell(self) -> None:
        self.note("page")
        self.page()

    def remediate(self, incident: Incident) -> bool:
        moved = incident.target != an_incident(incident.id).target
        self.note(f"start {incident.id}" + (f" on {incident.target}" if moved else ""))
        return self.work.get(incident.id, lambda: False)()

    def until(self, what: str, times: int = 1) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.seen.count(what) >= times, SOON), self.seen


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    assert bench.worker.stop(SOON)


def test_it_looks_reconciles_and_pages_at_the_start(bench: Bench) -> None:
    bench.incidents = [an_incident(1)]
    bench.worker.start()
    for what in ("start 1", "reconcile", "page"):
        bench.until(what)
    assert bench.worker.seconds_since_turn < SOON


def test_a_wake_is_answered_at_once_while_another_lane_works(bench: Bench) -> None:
    gate = threading.Event()
    bench.incidents = [an_incident(1)]
    bench.work[1] = lambda: not gate.wait(SOON)
    bench.worker.start()
    bench.until("start 1")
    bench.incidents.append(an_incident(2))
    bench.worker.wake()
    bench.until("start 2")
    assert bench.seen.count("start 1") == 1, "one lane for an incident"
    gate.set()


def test_a_wake_for_a_busy_lane_is_not_lost(bench: Bench) -> None:
    gate = threading.Event()
    bench.incidents = [an_incident(1)]
    bench.work[1] = lambda: not gate.wait(SOON)
    bench.worker.start()
    bench.until("start 1")
    bench.until("reconcile")
    bench.worker.wake()
    bench.until("reconcile", 2)
    gate.set()
    bench.until("start 1", 2)


def test_a_lane_that_was_asked_for_while_it_was_busy_runs_again_alone(bench: Bench) -> None:
    gate = threading.Event()
    bench.page = lambda: gate.wait(SOON)
    bench.worker.start()
    bench.until("look", 2)  # at the start, and after its reconcile
    bench.until("page")
    bench.worker.page()
    gate.set()
    bench.until("page", 2)
    assert bench.worker.stop(SOON)
    assert bench.seen.count("look") == 2


def test_a_run_that_ended_is_looked_at_again_with_a_fresh_reconcile(bench: Bench) -> None:
    again = iter([True])
    bench.incidents = [an_incident(1)]
    bench.work[1] = lambda: next(again, False)
    bench.worker.start()
    bench.until("start 1", 2)
    bench.until("reconcile", 2)


def test_a_lane_works_on_its_incident_as_it_is_now_not_as_it_was_looked_at(bench: Bench) -> None:
    bench.incidents = [an_incident(1), an_incident(2)]
    bench.now = {1: None, 2: replace(an_incident(2), target="moved")}
    bench.worker.start()
    bench.until("start 2 on moved")
    bench.worker.wake()
    bench.until("start 2 on moved", 2)
    assert "start 1" not in bench.seen


def test_the_interval_alone_is_enough(bench: Bench) -> None:
    timed = Bench(interval=0.02)
    timed.worker.start()
    timed.until("reconcile", 3)
    assert timed.worker.stop(SOON)


def test_a_defect_ends_one_incidents_work_and_calls_for_help(bench: Bench) -> None:
    def defect() -> bool:
        raise KeyError("gone")

    bench.incidents = [an_incident(1), an_incident(2)]
    bench.work[1] = defect
    bench.worker.start()
    bench.until("abandon 1 KeyError('gone')")
    bench.until("start 2")


def test_a_journal_in_trouble_is_waited_for_not_given_up(bench: Bench) -> None:
    def full() -> bool:
        raise JournalUnavailable("disk full")

    bench.incidents = [an_incident(1)]
    bench.work[1] = full
    bench.worker.start()
    bench.until("start 1")
    bench.work.clear()
    bench.worker.wake()
    bench.until("start 1", 2)
    assert not [what for what in bench.seen if what.startswith("abandon")]


def test_stopping_waits_for_what_is_under_way_and_starts_nothing(bench: Bench) -> None:
    gate = threading.Event()
    bench.incidents = [an_incident(1)]
    bench.work[1] = lambda: not gate.wait(SOON)
    bench.worker.start()
    bench.until("start 1")
    assert not bench.worker.stop(0.05)
    bench.worker.wake()
    gate.set()
    assert bench.worker.stop(SOON)
    assert bench.seen.count("start 1") == 1

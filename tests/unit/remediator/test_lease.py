"""Several remediators on one journal: who works on what, who is dead, whose time it is."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from remediator.journal import (
    JournalUnavailable,
    LeaseLost,
    Presence,
    Sharer,
    SqliteDatabase,
)
from remediator.journal.shared_clock import SharedClock
from remediator.metrics import SharingGauges
from remediator.runs import Incident
from remediator.sharing import Sharing
from tests.builders import DOWN, START, Loop, a_policy
from tests.fakes import FakeActions, FakeAlerts
from tests.shared_file import SharedFile

HOUR = 3600.0
LEASE = 30.0


class Two:
    """They see the same alerts and do the same; the clock of `b` is an hour ahead."""

    def __init__(self, folder: Path) -> None:
        self.database = SharedFile(folder / "state.sqlite")
        self.alerts, self.actions = FakeAlerts(), FakeActions()
        self.a, self.b = (self.loop(folder, name) for name in "ab")
        self.b.clock.wait(HOUR)

    def loop(self, folder: Path, name: str) -> Loop:
        path = folder / name / "state"
        path.parent.mkdir(exist_ok=True)
        shared: Callable[[Path], SqliteDatabase] = lambda _: self.database  # noqa: E731
        return Loop(path, name=name, connect=shared, alerts=self.alerts, actions=self.actions)

    def tell(self, status: str = "firing") -> Incident:
        """Both of them; `a` looks first."""
        self.a.told(DOWN, status=status)
        self.b.told(DOWN, status=status)
        taken = self.a.runs.incident(1)
        assert taken is not None
        return taken

    def listen(self, loop: Loop, seconds: float = LEASE, times: int = 3) -> None:
        """After a first beat, so many more in so long a time."""
        loop.lease.beat(loop.clock())
        for _ in range(times):
            loop.pass_seconds(seconds / times)
            loop.lease.beat(loop.clock())

    @property
    def restarts(self) -> int:
        return len(self.actions["restart"].runs)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    two = Two(tmp_path)
    yield two
    two.database.close()


def test_what_one_works_on_the_other_leaves_alone(two: Two) -> None:
    two.tell()
    assert two.b.runs.open_incidents() == []
    assert two.b.runs.incident(1) is None
    two.b.turn()
    assert two.restarts == 0
    two.a.turn()
    assert (two.restarts, two.b.states()) == (1, [("restart", "effective", "verified")])


def test_one_that_is_silent_for_a_lease_loses_its_work(two: Two) -> None:
    two.tell()
    two.listen(two.b, LEASE - 1)
    assert two.b.runs.incident(1) is None
    two.listen(two.b, 1)
    assert two.b.runs.incident(1) is not None
    two.b.turn()
    assert two.restarts == 1


def test_one_that_beats_keeps_its_work_whatever_the_clocks_say(two: Two) -> None:
    two.tell()
    for _ in range(20):
        two.a.lease.beat(two.a.clock())  # whose clock stands still
        two.b.pass_seconds(LEASE)
        two.b.lease.beat(two.b.clock())
    assert two.b.runs.incident(1) is None
    assert two.a.runs.incident(1) is not None


def test_a_clock_that_jumps_kills_nobody(two: Two) -> None:
    two.tell()
    two.b.lease.beat(two.b.clock())
    two.b.pass_seconds(HOUR)
    two.b.lease.beat(two.b.clock())
    assert two.b.runs.incident(1) is None


def test_silence_while_the_journal_fails_does_not_count(two: Two) -> None:
    two.tell()
    two.listen(two.b, LEASE - 1)
    two.database.is_broken = True
    with pytest.raises(JournalUnavailable):
        two.b.lease.beat(two.b.clock())
    two.database.is_broken = False
    two.listen(two.b, LEASE - 1)
    assert two.b.runs.incident(1) is None


def test_who_was_taken_for_dead_writes_nothing_more_and_begins_anew(two: Two) -> None:
    two.tell()

    def frozen() -> None:
        two.listen(two.b)
        assert two.b.runs.interrupt_all(two.b.clock()) == 1

    two.actions["restart"].on_run = frozen
    with pytest.raises(LeaseLost):
        two.a.remediate()
    assert two.a.states() == [("restart", "interrupted", None)]
    with pytest.raises(LeaseLost):
        two.a.runs.finish(1, two.a.runs.incident(1), two.a.clock())  # type: ignore[arg-type]

    number = two.a.lease.number
    two.a.lease.beat(two.a.clock())
    assert two.a.lease.number > number
    assert two.a.runs.incident(1) is None
    two.actions["restart"].on_run = lambda: None
    two.b.turn()
    assert two.a.states()[0][1] == "effective"


def test_one_that_begins_again_under_its_name_takes_up_what_it_had(
    two: Two, tmp_path: Path
) -> None:
    two.tell()
    again = two.loop(tmp_path, "a")
    assert again.runs.incident(1) is not None
    assert two.a.runs.incident(1) is None


def test_one_that_ends_leaves_its_work_to_others_at_once(two: Two) -> None:
    two.tell()
    two.a.lease.end(two.a.clock())
    assert two.b.runs.incident(1) is not None


def test_one_leads_and_the_next_when_it_is_gone(two: Two) -> None:
    assert (two.a.lease.leads(), two.b.lease.leads()) == (True, False)
    two.listen(two.b)
    assert (two.a.lease.leads(), two.b.lease.leads()) == (False, True)


def test_one_that_is_blind_leaves_the_incident_to_one_that_sees(two: Two) -> None:
    two.a.alerts = FakeAlerts(down=True)
    two.tell()
    two.a.remediate()
    assert two.b.states() == [("restart", "blocked", "prometheus_unreachable")]
    two.b.turn()
    assert two.b.states() == [("restart", "effective", "verified")]


def test_a_budget_is_counted_over_all(two: Two) -> None:
    two.b.clock.time = two.a.clock()  # the server's, for both
    for loop in (two.a, two.b):
        loop.policy = a_policy(runs_per_hour=1)
    two.a.told(DOWN, DOWN | {"service": "worker"})
    first, second = (incident.id for incident in two.a.runs.open_incidents())
    assert two.a.runs.incident(first)
    assert two.b.runs.incident(second)
    two.a.remediate()
    two.b.remediate()
    assert two.restarts == 1
    assert two.b.states(1) == [("restart", "blocked", "budget_exhausted")]


def test_a_pause_of_one_holds_all_and_only_it_can_end_it_while_it_lives(two: Two) -> None:
    two.a.path.with_name("paused").write_text("disks")
    two.a.kill_switch.look()
    two.b.told(DOWN)
    two.b.turn()
    assert two.restarts == 0
    two.b.kill_switch.resume("ann")
    assert two.b.kill_switch.paused() == "paused by the file of a (file): disks"

    two.listen(two.b)
    two.b.kill_switch.resume("ann")
    two.b.turn()
    assert two.restarts == 1


# -- who shares it ----------------------------------------------------------------------------


def of(loop: Loop, name: str) -> Sharer:
    (found,) = [one for one in loop.lease.sharers(loop.clock()) if one.name == name]
    return found


def one_clock(two: Two) -> None:
    """The server's, for both."""
    two.b.clock = two.a.clock


def test_each_knows_who_works_on_what_and_when_it_last_spoke(two: Two) -> None:
    one_clock(two)
    two.tell()
    two.a.pass_seconds(5)
    a, b = of(two.b, "a"), of(two.b, "b")
    assert (a.presence, a.is_this, a.leads, a.incidents) == (Presence.WORKS, False, True, 1)
    assert (b.is_this, b.leads, b.incidents) == (True, False, 0)
    assert two.a.clock() - a.heard_at == timedelta(seconds=5)
    assert two.b.incidents()[0]["worked_on_by"] == "a"


def test_silent_lost_and_stopped_are_told_apart(two: Two) -> None:
    one_clock(two)
    two.tell()
    two.listen(two.b, LEASE / 2, times=1)
    assert (of(two.b, "a").presence, of(two.b, "b").presence) == (Presence.SILENT, Presence.WORKS)
    two.listen(two.b)
    assert (of(two.b, "a").presence, of(two.b, "b").leads) == (Presence.LOST, True)
    assert two.b.incidents()[0]["worked_on_by"] is None

    two.a.lease.beat(two.a.clock())
    assert of(two.b, "a").presence is Presence.WORKS, "only its newest part is told"
    two.a.lease.end(two.a.clock())
    assert of(two.b, "a").presence is Presence.STOPPED
    two.b.pass_seconds(24 * HOUR + 1)
    assert [one.name for one in two.b.lease.sharers(two.b.clock())] == ["b"]


def samples(loop: Loop, *, shared: bool = True) -> dict[str, float]:
    sharers = (lambda: loop.lease.sharers(loop.clock())) if shared else None
    registry = CollectorRegistry()
    registry.register(SharingGauges(sharers, loop.records.open_incidents, loop.clock))
    return {
        sample.name.removeprefix("remediator_") + sample.labels.get("state", ""): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def test_a_scrape_tells_who_acts_in_a_bounded_number_of_series(two: Two) -> None:
    one_clock(two)
    two.tell()
    two.listen(two.b, LEASE / 2, times=1)
    told = {"sharingworks": 1, "sharingsilent": 1, "sharing_longest_silence_seconds": 15}
    assert samples(two.a) == told | {"leads": 1, "incidents_held": 1}
    assert samples(two.b) == told | {"leads": 0, "incidents_held": 0}
    two.listen(two.b)
    assert samples(two.b)["sharingsilent"] == 0
    assert samples(two.a)["leads"] == 0, "it was taken for dead"


def test_a_journal_of_its_own_is_worked_on_by_one_that_does_all(tmp_path: Path) -> None:
    loop = Loop(tmp_path / "state", connect=SqliteDatabase)
    loop.told(DOWN)
    told = {"sharingworks": 1, "sharingsilent": 0, "sharing_longest_silence_seconds": 0}
    assert samples(loop, shared=False) == told | {"leads": 1, "incidents_held": 1}
    assert loop.lease.sharers(loop.clock()) == ()
    loop.close()


def sharing_of(loop: Loop, *, is_stuck: bool = False) -> tuple[Sharing, list[str]]:
    calls: list[str] = []
    sharing = Sharing(
        loop.lease,
        clock=loop.clock,
        set_clock=lambda: calls.append("clock"),
        interrupt=loop.runs.interrupt_all,
        wake=lambda: calls.append("wake"),
        is_stuck=lambda: is_stuck,
    )
    return sharing, calls


def test_a_run_of_a_dead_one_is_taken_up_and_the_worker_woken(two: Two) -> None:
    two.tell()
    sharing, calls = sharing_of(two.b)

    def dies() -> None:
        for _ in range(4):
            two.b.pass_seconds(LEASE / 3)
            sharing.turn()

    two.actions["restart"].on_run = dies
    with pytest.raises(LeaseLost):
        two.a.remediate()
    assert calls == ["clock"] * 4 + ["wake"]


def test_one_whose_worker_is_stuck_does_not_beat(two: Two) -> None:
    sharing, calls = sharing_of(two.a, is_stuck=True)
    sharing.turn()
    assert calls == []
    assert two.database.all("at_work", me=two.b.lease.number)[0]["beats"] == 0


def test_a_shared_clock_is_the_servers_however_long_that_does_not_answer() -> None:
    ticks, server = [1000.0], [START]
    clock = SharedClock(lambda: server[0], lambda: ticks[0])
    ticks[0] += HOUR
    assert clock() == START + timedelta(hours=1)

    server[0] = START + timedelta(hours=1, seconds=5)
    clock.set()
    assert clock() == START + timedelta(hours=1, seconds=5)


def test_a_shared_clock_begins_with_its_quickest_answer() -> None:
    ticks, waits = [0.0], [3.0, 0.0, 1.0]

    def ask() -> datetime:
        ticks[0] += waits.pop(0)
        return START + timedelta(seconds=ticks[0])

    assert SharedClock(ask, lambda: ticks[0])() == START + timedelta(seconds=4)


def test_a_slow_answer_moves_a_shared_clock_no_more_than_it_must() -> None:
    ticks = [0.0]

    def slow() -> object:
        ticks[0] += 4.0
        return START + timedelta(seconds=ticks[0])  # said at the end of it

    clock = SharedClock(lambda: START, lambda: ticks[0])
    clock._ask = slow  # type: ignore[assignment]
    clock.set()
    assert clock() == START + timedelta(seconds=4)

"""What the journal forgets, what it may not, and that nobody else can delete an event."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from remediator.breaker import BreakerLimits
from remediator.journal import Housekeeping, prune
from remediator.journal.database import to_text
from remediator.operate import explain_order, order_run
from remediator.outcomes import Reason
from remediator.ports import Check
from tests.builders import DOWN, FULL, Loop, a_desk

YEAR = timedelta(days=366)


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    loop = Loop(tmp_path / "state.sqlite")
    yield loop
    loop.close()


def count(loop: Loop, table: str) -> int:
    rows = loop.database._connection.execute(f"SELECT count(*) FROM {table}")  # noqa: S608 - ours
    return int(rows.fetchone()[0])


def closed_without_a_run(loop: Loop, alerts: int = 1) -> None:
    labels = [DOWN | {"number": str(number)} for number in range(alerts)]
    loop.told(*labels)
    loop.told(*labels, status="resolved")
    loop.alerts.firing.clear()
    loop.reconcile()


def test_an_old_incident_goes_whole_and_a_young_one_stays(loop: Loop) -> None:
    closed_without_a_run(loop)
    loop.orders.reset_breaker("restart", "web", "ann", loop.clock())
    loop.pass_seconds(YEAR.total_seconds())
    closed_without_a_run(loop)
    before = loop.clock() - timedelta(days=1)
    while prune(loop.database, before):
        pass

    assert [incident["id"] for incident in loop.incidents()] == [2]
    assert (count(loop, "signals"), count(loop, "deliveries"), count(loop, "pruning")) == (1, 2, 0)
    assert count(loop, "events") == len((loop.records.incident(2) or {})["events"])
    assert count(loop, "breaker_resets") == 0, "there is no run that it forgives"


def test_old_orders_go_but_those_that_a_guard_still_counts(loop: Loop) -> None:
    def order_all(minutes: int) -> None:
        now = loop.clock()
        until = now + timedelta(minutes=minutes)
        loop.orders.take_deploy_lock("ci", "v2", until, now)
        loop.orders.begin_maintenance("web", "ann", "disks", until, now)
        loop.orders.reset_breaker("restart", "web", "ann", now)

    def kept() -> tuple[int, ...]:
        while prune(loop.database, loop.clock() - timedelta(days=1)):
            pass
        tables = ("deploy_locks", "maintenance", "breaker_resets")
        return tuple(count(loop, table) for table in tables)

    loop.told(DOWN)
    loop.turn()
    loop.pass_seconds(60)
    for _ in range(2):
        order_all(5)
        loop.pass_seconds(600)
    assert kept() == (2, 2, 2)
    loop.pass_seconds(YEAR.total_seconds())
    assert kept() == (1, 0, 1), "the last deployment, and the reset that forgives the last run"
    assert loop.runs.past(loop.clock())[0].forgiven


def test_an_order_goes_with_its_incident(loop: Loop) -> None:
    shown = explain_order(a_desk(loop), "restart", "web", "ann")
    order_run(a_desk(loop), "restart", "web", plan_hash=shown["plan_hash"], by="ann")
    loop.kill_switch.pause("why", "bob", None)
    loop.turn()
    loop.pass_seconds(YEAR.total_seconds())
    while prune(loop.database, loop.clock() - timedelta(days=1)):
        pass
    assert (loop.incidents(), count(loop, "run_orders")) == ([], 0)


def test_it_is_done_in_small_transactions(loop: Loop) -> None:
    closed_without_a_run(loop, alerts=1300)
    total = count(loop, "signals") + count(loop, "events")
    sizes: list[int] = []
    loop.pass_seconds(YEAR.total_seconds())
    changed = loop.database.changed

    def measured(name: str, /, **values: object) -> int:
        rows = changed(name, **values)
        sizes.append(rows)
        return rows

    loop.database.changed = measured  # type: ignore[method-assign]
    while prune(loop.database, loop.clock()):
        pass
    assert max(sizes) <= 500
    assert sum(sizes) >= total
    assert loop.incidents() == []


def forget_all(loop: Loop) -> list[str]:
    loop.pass_seconds(YEAR.total_seconds())
    while prune(loop.database, loop.clock()):
        pass
    return [incident["state"] for incident in loop.incidents()]


def test_what_is_open_or_not_yet_told_stays(loop: Loop) -> None:
    loop.told(DOWN)
    assert forget_all(loop) == ["open"]
    loop.runs.escalate(1, "restart", Reason.NO_DATA, "words", loop.clock())
    loop.pager.down = True
    loop.alerts.firing.clear()
    loop.pass_seconds(3600)
    loop.reconcile()
    loop.page()
    assert forget_all(loop) == ["closed"], "nobody could be told that it is over"
    loop.pager.down = False
    loop.page()
    assert loop.pager.cleared == [1]
    assert forget_all(loop) == []


def test_an_open_breaker_stays_open_however_old_its_runs_are(loop: Loop) -> None:
    loop.policy = replace(loop.policy, breaker=BreakerLimits(failures=2))
    loop.verifier.verdicts = [Check.FAIL]
    for _ in range(2):
        loop.told(FULL)
        loop.turn()
        loop.pass_seconds(3601)
        loop.alerts.firing.clear()
        loop.turn()
        loop.turn()
    past = loop.runs.past(loop.clock())
    loop.pass_seconds(YEAR.total_seconds())
    while prune(loop.database, loop.clock()):
        pass
    kept = [(run.run_id, run.state) for run in loop.runs.past(loop.clock())]
    assert kept == [(run.run_id, run.state) for run in past]
    assert len(loop.incidents()) == 2


def test_only_the_newest_runs_of_an_entry_on_a_target_are_kept(loop: Loop) -> None:
    connection = loop.database._connection
    for number in range(1, 31):
        at = to_text(loop.pass_seconds(3600))
        connection.execute(
            "INSERT INTO incidents VALUES (?, 'restart', 'web', ?, ?, NULL)", (number, at, at)
        )
        connection.execute(
            "INSERT INTO runs (incident_id, runbook, target, state, created_at, claimed_at,"
            " ended_at) VALUES (?, 'restart', 'web', 'effective', ?, ?, ?)",
            (number, at, at, at),
        )
    loop.pass_seconds(YEAR.total_seconds())
    seen = [run.run_id for run in loop.runs.past(loop.clock())]
    while prune(loop.database, loop.clock()):
        pass
    assert [run.run_id for run in loop.runs.past(loop.clock())] == seen == list(range(11, 31))
    assert (count(loop, "incidents"), count(loop, "runs")) == (20, 20)


@pytest.mark.parametrize("when", ["never", "of an open incident", "too young"])
def test_the_file_refuses_any_other_deletion_of_an_event(loop: Loop, when: str) -> None:
    closed_without_a_run(loop)
    connection = loop.database._connection
    if when == "of an open incident":
        connection.execute("UPDATE incidents SET closed_at = NULL")
    if when != "never":
        before = loop.clock() + (YEAR if when == "of an open incident" else timedelta(0))
        connection.execute("INSERT INTO pruning VALUES (1, ?)", (to_text(before),))
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute("DELETE FROM events")
    assert count(loop, "events") > 0


def test_housekeeping_prunes_once_an_hour_and_moves_the_log(loop: Loop) -> None:
    closed_without_a_run(loop)
    house = Housekeeping(loop.database, timedelta(days=7), loop.clock)
    house.turn()
    assert len(loop.incidents()) == 1
    loop.pass_seconds(8 * 24 * 3600)
    house.turn()
    assert loop.incidents() == []
    closed_without_a_run(loop)
    house._retention = timedelta(0)
    loop.pass_seconds(60)
    house.turn()
    assert len(loop.incidents()) == 1
    with sqlite3.connect(f"file:{loop.path}?mode=ro&immutable=1", uri=True) as alone:
        (moved,) = alone.execute("SELECT count(*) FROM incidents").fetchone()
    alone.close()
    assert moved == 1, "it is in the file itself, without its log"

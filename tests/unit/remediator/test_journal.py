"""The journal on a real file: one owner, all or nothing, and a death at every write."""

import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from remediator.journal import JournalLocked, JournalUnavailable, RunLog, SqliteDatabase
from remediator.journal.database import SCHEMA_VERSION
from remediator.outcomes import Reason, State
from remediator.pipeline import RunJournal
from remediator.planner import Plan
from remediator.policy import Step
from remediator.ports import Check
from remediator.runs import Ending, Incident, Judgement, Ledger, Run
from tests.builders import DB_DOWN, DOWN, Loop, a_policy
from tests.fakes import START

VERSION_1 = Path(__file__).resolve().parents[2] / "golden" / "remediator" / "journal-1.sql"


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    loop = Loop(tmp_path / "state" / "remediator.sqlite")
    yield loop
    loop.close()


def test_a_second_process_on_the_same_file_is_refused(loop: Loop) -> None:
    code = (
        "import sys, pathlib\n"
        "from remediator.journal import JournalLocked, SqliteDatabase\n"
        "try:\n    SqliteDatabase(pathlib.Path(sys.argv[1]))\n"
        "except JournalLocked as error:\n    sys.exit(f'refused: {error}')\n"
    )
    second = subprocess.run(
        [sys.executable, "-c", code, loop.path], capture_output=True, text=True, check=False
    )
    assert second.returncode == 1
    assert "refused: another remediator works on this state file" in second.stderr

    with pytest.raises(JournalLocked):
        SqliteDatabase(loop.path)
    loop.close()
    loop.open()


def test_it_is_durable_at_each_commit(loop: Loop) -> None:
    connection = loop.database._connection
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL


def read_only(loop: Loop) -> None:
    loop.database._connection.execute("PRAGMA query_only = 1")


def full(loop: Loop) -> None:
    """As a full disk: no page may be added, and none is free."""
    connection = loop.database._connection
    connection.execute("PRAGMA max_page_count = 1")
    connection.execute("CREATE TEMP TABLE t (x)")


def gone(loop: Loop) -> None:
    loop.database._connection.close()


def locked_out(loop: Loop) -> None:
    """Somebody else holds the write lock, a backup tool perhaps."""
    loop.database._connection.execute("PRAGMA busy_timeout = 50")
    loop.thief = sqlite3.connect(loop.path, isolation_level=None)  # type: ignore[attr-defined]
    loop.thief.execute("BEGIN IMMEDIATE")  # type: ignore[attr-defined]


@pytest.mark.parametrize("trouble", [read_only, full, gone, locked_out])
def test_a_journal_in_trouble_stores_nothing_and_nothing_is_acted_on(
    loop: Loop, trouble: Callable[[Loop], None]
) -> None:
    loop.told(DOWN)
    trouble(loop)
    labels = [DOWN | {"service": "edge", "n": f"{n}{'x' * 4000}"} for n in range(50)]
    with pytest.raises(JournalUnavailable):
        loop.told(*labels)
    if trouble is not full:  # a claim still fits in the last page
        with pytest.raises(JournalUnavailable):
            loop.turn()
        assert loop.actions["restart"].runs == []
    if trouble is locked_out:
        loop.thief.close()  # type: ignore[attr-defined]
    if trouble is full:
        assert len(loop.incidents()[0]["alerts"]) == 1


@pytest.mark.parametrize("text", [b"not a database" * 400, b"SQLite format 3\0" + b"\xff" * 8192])
def test_a_corrupt_file_is_refused_with_a_sentence(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "state.sqlite"
    path.write_bytes(text)
    with pytest.raises(JournalUnavailable, match="cannot be opened"):
        SqliteDatabase(path)


def test_a_file_of_another_version_is_refused(loop: Loop) -> None:
    loop.database._connection.execute("PRAGMA user_version = 99")
    loop.close()
    with pytest.raises(JournalUnavailable, match="schema is version 99"):
        SqliteDatabase(loop.path)
    connection = sqlite3.connect(loop.path)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.close()
    loop.open()


def test_a_file_of_version_1_is_migrated_with_what_it_holds(tmp_path: Path, loop: Loop) -> None:
    old = sqlite3.connect(tmp_path / "old.sqlite")
    old.executescript(VERSION_1.read_text())
    old.execute("INSERT INTO incidents VALUES (7, 'restart', 'web', '', NULL)")
    old.commit()
    old.close()

    migrated = SqliteDatabase(tmp_path / "old.sqlite")
    migrated.close()
    SqliteDatabase(tmp_path / "old.sqlite").close()
    assert shape(tmp_path / "old.sqlite") == shape(loop.path)
    with closing(sqlite3.connect(tmp_path / "old.sqlite")) as connection:
        assert connection.execute("SELECT id FROM incidents").fetchall() == [(7,)]


def shape(path: Path) -> set[tuple[str, str, str]]:
    """Every table, index and trigger, with its words; a column added later joins them oddly."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql NOT NULL")
        return {
            (kind, name, re.sub(r"\s*([,()])\s*", r"\1", " ".join(sql.split())))
            for kind, name, sql in rows
        }


@pytest.mark.parametrize("verb", ["UPDATE events SET kind = 'x'", "DELETE FROM events"])
def test_events_are_append_only(loop: Loop, verb: str) -> None:
    loop.told(DOWN)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        loop.database._connection.execute(verb)


def test_the_file_itself_refuses_two_active_runs_on_a_target(loop: Loop) -> None:
    loop.told(DOWN)
    insert = (
        "INSERT INTO runs (incident_id, runbook, target, state, created_at)"
        " VALUES (1, 'x', 'web', 'executing', '')"
    )
    loop.database._connection.execute(insert)
    with pytest.raises(sqlite3.IntegrityError):
        loop.database._connection.execute(insert)


def test_an_alert_told_again_with_another_start_is_the_same_alert(loop: Loop) -> None:
    loop.told(DOWN)
    loop.clock.wait(60)
    loop.told(DOWN)
    loop.told(DOWN, status="resolved")
    loop.told(DOWN, status="resolved")
    (alert,) = loop.incidents()[0]["alerts"]
    assert (alert["status"], alert["resolved_at"]) == ("resolved", "2026-01-05T12:01:00.000Z")


class Killed(BaseException):
    """The process is gone: nothing after it runs."""


class Mortal:
    """A journal that dies at its n-th write, before or after the commit."""

    def __init__(self, runs: RunLog, at: int, *, after: bool) -> None:
        self._runs, self._left, self._after = runs, at, after

    def _die(self, *, after: bool) -> None:
        if after is self._after:
            self._left -= 1
            if self._left == 0:
                raise Killed

    def claim(
        self,
        incident_id: int,
        plan: Plan,
        judge: Callable[[Ledger], Judgement],
        now: datetime,
    ) -> Run | None:
        self._die(after=False)
        run = self._runs.claim(incident_id, plan, judge, now)
        self._die(after=True)
        return run

    def ledger(self, run_id: int, now: datetime) -> Ledger:
        return self._runs.ledger(run_id, now)

    def intend(self, run_id: int, step: Step, now: datetime) -> int | None:
        self._die(after=False)
        row = self._runs.intend(run_id, step, now)
        self._die(after=True)
        return row

    def outcome(
        self,
        step_row: int,
        outcome: str,
        summary: str,
        evidence: Mapping[str, object],
        now: datetime,
    ) -> None:
        self._die(after=False)
        self._runs.outcome(step_row, outcome, summary, evidence, now)
        self._die(after=True)

    def move(self, run_id: int, state: State, now: datetime) -> None:
        self._die(after=False)
        self._runs.move(run_id, state, now)
        self._die(after=True)

    def finish(self, run_id: int, ending: Ending, now: datetime) -> None:
        self._die(after=False)
        self._runs.finish(run_id, ending, now)
        self._die(after=True)

    def escalate(
        self, incident_id: int, runbook: str, reason: Reason, summary: str, now: datetime
    ) -> None:
        self._die(after=False)
        self._runs.escalate(incident_id, runbook, reason, summary, now)
        self._die(after=True)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, 7))
@pytest.mark.parametrize("mended", [True, False], ids=["mended", "not-mended"])
def test_a_death_at_any_write_never_repeats_a_never_step_and_ends_well(
    loop: Loop, at: int, *, after: bool, mended: bool
) -> None:
    def mortal(runs: RunLog) -> RunJournal:
        return Mortal(runs, at, after=after)

    loop.verifier.verdicts = [Check.PASS if mended else Check.FAIL]
    loop.wrap = mortal
    loop.told(DB_DOWN)
    try:
        loop.turn()
    except Killed:
        loop.close()
        loop.clock.wait(timedelta(seconds=5).total_seconds())
        loop.wrap = lambda runs: runs
        loop.open()
    loop.turn()
    loop.turn()

    (incident,) = loop.incidents()
    states = [run["state"] for run in incident["runs"]]
    assert len(loop.actions["restart-db"].runs) <= 1
    assert set(states) <= {"cancelled", "effective", "ineffective"}, states
    if mended:
        assert (states[-1], incident["state"]) == ("effective", "closed")
    else:
        assert (states[-1], len(loop.pager.paged)) == ("ineffective", 1)


def taken(loop: Loop) -> list[Incident]:
    """As the worker takes them up."""
    found = map(loop.runs.incident, [incident.id for incident in loop.runs.open_incidents()])
    return [incident for incident in found if incident is not None]


def test_no_run_begins_in_an_incident_that_was_closed_since_it_was_looked_at(loop: Loop) -> None:
    loop.told(DOWN)
    (incident,) = taken(loop)
    loop.told(DOWN, status="resolved")
    loop.runs.close_mended(START)

    plan = Plan(loop.policy.runbooks["restart"], loop.policy.topology["web"], DOWN)
    judged = loop.runs.claim(incident.id, plan, lambda _: Judgement(State.CLAIMED, ()), START)
    assert judged is None
    assert loop.states() == []
    assert loop.runs.incident(incident.id) is None


def test_a_run_that_has_ended_is_never_taken_for_one_that_was_cut_off(loop: Loop) -> None:
    loop.told(DOWN)
    seen: list[Incident] = []
    loop.actions["restart"].on_run = lambda: seen.extend(loop.runs.open_incidents())
    loop.turn()
    assert (loop.states(), len(seen)) == ([("restart", "effective", "verified")], 1)

    late = seen[0].last_run  # as somebody read it while it was under way
    assert late is not None
    assert late.state is State.EXECUTING
    assert loop.runs.incident(seen[0].id) is None
    with pytest.raises(AssertionError, match="has ended"):
        loop.runs.move(late.id, State.INTERRUPTED, loop.clock())
    assert loop.states() == [("restart", "effective", "verified")]


def test_the_guards_count_what_the_claim_reads_in_its_own_transaction(loop: Loop) -> None:
    loop.policy = a_policy(runs_per_hour=1)
    loop.told(DOWN)
    loop.told(DOWN | {"service": "worker"})
    seen: list[list[str]] = []

    def judge(ledger: Ledger) -> Judgement:
        seen.append([run.target for run in ledger.past])
        return Judgement(State.CLAIMED, ())

    incidents = {incident.target: incident.id for incident in taken(loop)}
    for target in ("web", "worker"):
        plan = Plan(loop.policy.runbooks["restart"], loop.policy.topology[target], DOWN)
        loop.runs.claim(incidents[target], plan, judge, START)
    assert seen == [[], ["web"]]

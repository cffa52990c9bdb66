"""The remediator as one process: the real code on a real file, killed and started again.

Rule: it starts, turns and drops work as `remediator.worker` does, in simulated time.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from remediator.alerts import Malformed, read_webhook
from remediator.journal import (
    Calls,
    Database,
    Intake,
    JournalUnavailable,
    Orders,
    Records,
    RunLog,
    SqliteDatabase,
)
from remediator.journal.database import to_time
from remediator.killswitch import KillSwitch
from remediator.metrics import Metrics
from remediator.outcomes import Reason, State
from remediator.pages import Pages
from remediator.pipeline import Ports, remediate
from remediator.planner import triage
from remediator.policy import Policy, Step
from remediator.ports import Action, Alerts, Pager, Stopped, Verifier
from remediator.reconcile import Reconciler
from remediator.runs import Change, Ending, Incident
from tests.fakes import START
from tests.simulation.alertmanager import GONE, OK, UNAVAILABLE
from tests.simulation.world import Broken, Killed, World

INTERVAL = 15.0
LONGEST_REST = 1200.0
TURNS_AT_ONCE = 500


class Fate:
    """When the process dies at a write, and whether the disk takes one."""

    def __init__(self) -> None:
        self.is_disk_full = False
        self.writes_left: int | None = None
        self.where = "before"  # before, inside or after its commit

    def at(self, where: str) -> None:
        if self.is_disk_full and where == "before":
            raise JournalUnavailable("the disk is full")
        if self.writes_left is None or where != self.where:
            return
        self.writes_left -= 1
        if self.writes_left <= 0:
            self.writes_left = None
            raise Killed


class MortalDatabase(SqliteDatabase):
    def __init__(self, path: Path, fate: Fate) -> None:
        super().__init__(path)
        self._fate = fate

    @contextmanager
    def transaction(self) -> Iterator[Database]:
        self._fate.at("before")
        with super().transaction() as database:
            yield database
            self._fate.at("inside")
        self._fate.at("after")


@dataclass
class Outside:
    """All that the process reaches; it outlives each of its lives."""

    alerts: Alerts
    verifier: Verifier
    pager: Pager
    action: Callable[[Step], Action]
    changed: Callable[[Change], None]
    stored: Callable[[dict[str, Any]], None]
    started: Callable[[], None]
    reconciled: Callable[[int], None]


@dataclass
class Process:
    world: World
    path: Path
    policy: Policy
    outside: Outside
    chance: Random
    slow: float = 0.0  # how often a thread is late
    fate: Fate = field(default_factory=Fate)
    is_up: bool = False
    turns: int = 0
    deaths: set[float] = field(default_factory=set)
    _alarm: int = 0

    def start(self) -> None:
        self.database = MortalDatabase(self.path, self.fate)
        memory = timedelta(seconds=self.policy.memory_seconds)
        self.metrics = Metrics(self.policy, "0") if self.turns == 0 else self.metrics
        self.runs = RunLog(self.database, memory, self.outside.changed, self.metrics.escalated)
        self.calls = Calls(self.database)
        self.intake = Intake(self.database)
        self.orders = Orders(self.database)
        self.records = Records(self.database)
        self.kill_switch = KillSwitch(
            self.path.with_name("paused"), {}, self.orders, self.world.clock
        )
        self.pages = Pages(
            self.calls, self.records, self.outside.pager, "http://r/incidents", self.world.clock
        )
        self.reconciler = Reconciler(
            self.policy, self.outside.alerts, self.intake, self.runs, self.metrics, self.world.clock
        )
        self.ports = Ports(
            journal=self.runs,
            alerts=self.outside.alerts,
            verifier=self.outside.verifier,
            action=self.outside.action,
            clock=self.world.clock,
            wait=self.world.lanes.wait,
            paused=self.kill_switch.paused,
        )
        self.is_up = True
        self._died = False
        self._busy: set[str] = set()
        self._again: set[str] = set()
        self._wanted = self._wants_reconcile = False
        self._turns_now = (0.0, 0)
        self._quiet_turns, self._seen_event, self._event = 0, -1, -1
        self.world.tell("PROCESS starts")
        try:
            self.runs.interrupt_all(self.world.clock())
        except Killed:
            self.crash("while it started")
            return
        except JournalUnavailable:
            self.crash("because the disk is full")
            return
        self.outside.started()
        self.wake()

    def crash(self, why: str) -> None:
        """Now; it is started again a while later."""
        if not self.is_up:
            return
        self.world.tell(f"PROCESS dies {why}")
        self.is_up = False
        self.deaths.add(self.world.seconds)
        self._alarm += 1
        self.world.lanes.kill()
        self.database.close()
        self.fate.writes_left = None
        self.world.after(self.chance.choice((1.0, 30.0, 300.0, 3600.0)), self.start)

    def within(self, work: Callable[[], None]) -> bool:
        """Something outside asks the process; False when it did not live to answer."""
        if not self.is_up:
            return False
        try:
            work()
        except Killed:
            self.crash("at a write")
            return False
        return self.is_up

    def receive(self, body: dict[str, Any]) -> int:
        """The webhook. GONE: nobody answered."""
        codes = [GONE]

        def store() -> None:
            delivery = read_webhook(body)
            if isinstance(delivery, Malformed):
                raise Broken(f"a good body was refused: {delivery.sentence}")
            try:
                self.intake.deliver(*triage(delivery.alerts, self.policy), self.world.clock())
            except JournalUnavailable:
                codes[0] = UNAVAILABLE
                return
            codes[0] = OK

        if not self.within(store):
            return GONE
        if codes[0] == OK:
            self.outside.stored(body)
            self.wake()
        return codes[0]

    # -- as remediator.worker ------------------------------------------------------------

    def wake(self) -> None:
        self._demand(reconcile=True)

    def _demand(self, *, reconcile: bool) -> None:
        if not self.is_up:
            return
        self._wants_reconcile = self._wants_reconcile or reconcile
        if not self._wanted:
            self._wanted = True
            self._alarm += 1
            self.world.after(0, partial(self._turn, self._alarm))

    def _turn(self, alarm: int) -> None:
        if not self.is_up or alarm != self._alarm:
            return
        reconcile = self._wants_reconcile or not self._wanted
        self._wanted = self._wants_reconcile = False
        self.turns += 1
        at, count = self._turns_now
        self._turns_now = (self.world.seconds, count + 1 if at == self.world.seconds else 0)
        if self._turns_now[1] > TURNS_AT_ONCE:
            raise Broken("it turns and turns, and time does not pass")
        self._event = self._last_event()
        self._start("look", self._look, waits=False)
        if reconcile:
            slow = self.chance.random() < self.slow
            self._start("reconcile", self._reconcile, waits=slow)
        self._start("page", self.pages.send, waits=False)
        if self.is_up and not self._wanted:
            self._rest()

    def _rest(self) -> None:
        """Until the next turn: an interval, but longer and longer while nothing changes.

        A turn in which nothing is different says what the last one said.
        """
        last = self._last_event()
        self._quiet_turns = 0 if last != self._seen_event else self._quiet_turns + 1
        self._seen_event = last
        self._alarm += 1
        if self._quiet_turns > 1 and not self.has_work():
            return
        seconds = min(INTERVAL * 2**self._quiet_turns, LONGEST_REST)
        held = self.peek("SELECT min(hold_until) FROM runs WHERE state = 'effective'")[0][0]
        due = self.world.seconds + seconds
        if held is not None:
            due = min(
                due, max((to_time(held) - START).total_seconds(), self.world.seconds) + INTERVAL
            )
        self.world.at(due, partial(self._turn, self._alarm))

    def _last_event(self) -> int:
        return int(self.peek("SELECT coalesce(max(id), 0) FROM events")[0][0])

    def stir(self) -> None:
        """The world is different: look at it within an interval, as it always does."""
        if self.is_up and not self._wanted:
            self._quiet_turns = 0
            self._alarm += 1
            late = self.chance.uniform(0, INTERVAL)
            self.world.after(late, partial(self._turn, self._alarm))

    def has_work(self) -> bool:
        return bool(
            self.peek("SELECT 1 FROM incidents WHERE closed_at IS NULL")
            or self.peek("SELECT 1 FROM escalations WHERE cleared_at IS NULL")
        )

    def peek(self, sql: str, *values: object) -> list[Any]:
        """What is on disk. Never in a transaction."""
        if self.database._connection.in_transaction:
            raise Broken("something waits or acts inside a transaction")
        return self.database._connection.execute(sql, values).fetchall()

    def _start(self, lane: str, work: Callable[[], None], *, waits: bool = True) -> None:
        """`waits` False: it needs no lane of its own, for it waits for nothing."""
        if not self.is_up:
            return
        if lane in self._busy:
            self._again.add(lane)
            return
        if not waits:
            try:
                self._guarded(work)
            except Killed:
                self.crash(f"at a write in {lane}")
            return
        self._busy.add(lane)
        self.world.lanes.start(lane, partial(self._guarded, work), partial(self._ended, lane))

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (JournalUnavailable, Stopped) as error:
            self.world.tell(f"a lane stops: {error}")
        except Killed:
            self._died = True
            raise

    def _ended(self, lane: str) -> None:
        if not self.is_up:
            return
        if self._died:
            self._died = False
            self.crash(f"at a write in {lane}")
            return
        self._busy.discard(lane)
        if lane in self._again:
            self._again.discard(lane)
            self._demand(reconcile=lane == "reconcile")

    def _look(self) -> None:
        self._incidents = self.runs.open_incidents()
        for incident in self._incidents:
            work = partial(self._incident, incident)
            late = self.chance.uniform(0, 2) if self.chance.random() < self.slow else 0.0
            self.world.after(late, partial(self._start, f"incident-{incident.id}", work))

    def _incident(self, incident: Incident) -> None:
        try:
            now = self.runs.incident(incident.id)
            if now is not None and remediate(now, self.policy, self.ports):
                self._demand(reconcile=True)
        except (JournalUnavailable, Stopped):
            raise
        except Exception as defect:  # noqa: BLE001 - the worker's edge
            self.world.tell(f"a defect: {defect!r}")
            detail = f"a defect in the remediator: {defect!r}"
            ending = Ending(State.FAILED, Reason.OUTCOME_UNKNOWN, detail)
            self.runs.abandon(incident, ending, self.world.clock())

    def _reconcile(self) -> None:
        self.kill_switch.look()
        before, at = self._last_event(), self.world.seconds
        self.reconciler.once()
        if at == self.world.seconds:
            self.outside.reconciled(before)
        if self._event != self._last_event():  # what is the same would be judged the same
            self._demand(reconcile=False)

"""Plays a history: the real intake, pipeline and journal, woken as the worker wakes them.

Rule: the journal is a file of its own that is gone afterwards; time passes only when something
waits. Lanes start, turn and are left alone as in `remediator/worker.py`.
"""

import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from remediator.alerts import Alert, AlertStatus
from remediator.config import Config
from remediator.journal import Database, Intake, Orders, Records, Refusal, RunLog, SqliteDatabase
from remediator.journal.records import ALL
from remediator.killswitch import KillSwitch
from remediator.metrics import Metrics
from remediator.outcomes import State
from remediator.pipeline import Ports, remediate
from remediator.planner import triage
from remediator.policy import Step
from remediator.reconcile import Reconciler
from remediator.replay.edges import (
    SEEN_AFTER_SECONDS,
    Actions,
    Monitoring,
    PlayedAction,
)
from remediator.replay.history import History, OrderKind, Played, PlayedAlert, PlayedOrder
from remediator.replay.lanes import Lanes, Timeline
from remediator.runs import Change, Decision, Incident
from remediator.topology import Target

AFTERWARDS = timedelta(hours=1)
LIVELY = timedelta(minutes=15)
QUIET_SECONDS = 60.0
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it


@dataclass(frozen=True, slots=True)
class Wishes:
    """`approve_after_seconds` None: nobody answers a question."""

    actions: Actions = Actions.RECORDED
    approve_after_seconds: float | None = None


def play(
    history: History,
    config: Config,
    wishes: Wishes = Wishes(),
    progress: Callable[[float], None] = lambda _: None,
) -> Played:
    """`progress` is told how much of the time has passed, from 0 to 1."""
    folder = MEMORY if MEMORY.is_dir() else None
    with (
        tempfile.TemporaryDirectory(prefix="stackmedic-replay-", dir=folder) as name,
        closing(SqliteDatabase(Path(name) / "replay.sqlite")) as database,
    ):
        return _Player(history, config, wishes, database, Path(name)).play(progress)


class _Player:
    def __init__(
        self, history: History, config: Config, wishes: Wishes, database: Database, folder: Path
    ) -> None:
        self._history, self._config, self._wishes = history, config, wishes
        self._policy = config.policy
        self._time = Timeline(history.begins)
        self._lanes = Lanes(self._time.after)
        clock = self._time.now
        metrics = Metrics(self._policy, "replay")
        memory = timedelta(seconds=self._policy.memory_seconds)
        self._runs = RunLog(database, memory, self._changed)
        self._intake, self._orders = Intake(database), Orders(database)
        self._records = Records(database)
        self._switch = KillSwitch(folder / "paused", {}, self._orders, clock)
        self._monitoring = Monitoring(self._policy, config.dependency_settle_seconds, clock)
        self._reconciler = Reconciler(
            self._policy, self._monitoring, self._intake, self._runs, metrics, clock
        )
        self._ports = Ports(
            journal=self._runs,
            alerts=self._monitoring,
            verifier=self._monitoring,
            action=self._action,
            clock=clock,
            wait=self._lanes.wait,
            paused=self._switch.paused,
        )
        self._busy: set[str] = set()
        self._again: set[str] = set()
        self._turn_is_due = False
        self._alarm = 0
        self._stirred_at = history.begins
        self._unplanned: Counter[str] = Counter()

    def play(self, progress: Callable[[float], None]) -> Played:
        for alert in self._history.alerts:
            self._time.at(alert.fires_at, partial(self._fires, alert))
            if alert.ends_at is not None:
                self._time.at(alert.ends_at, partial(self._ends, alert))
        for order in self._history.orders:
            self._time.at(order.starts_at, partial(self._ordered, order))
        try:
            until = self._history.ends + AFTERWARDS
            length = (until - self._history.begins) / 100
            for part in range(1, 101):
                self._time.run(self._history.begins + length * part)
                progress(part / 100)
            self._time.run(until)
        finally:
            self._lanes.kill()
        numbers = sorted(incident["id"] for incident in self._records.incidents(limit=ALL))
        stories = [self._records.incident(number) for number in numbers]
        return Played(tuple(story for story in stories if story is not None), self._unplanned)

    # -- what happens ----------------------------------------------------------------------

    def _fires(self, alert: PlayedAlert) -> None:
        self._monitoring.fires(alert)
        self._tell(alert, AlertStatus.FIRING)

    def _ends(self, alert: PlayedAlert) -> None:
        if self._monitoring.ends(alert):
            self._tell(alert, AlertStatus.RESOLVED)

    def _tell(self, alert: PlayedAlert, status: AlertStatus) -> None:
        told, counts = triage([Alert(alert.labels, status, alert.active_at)], self._policy)
        if not told and status is AlertStatus.FIRING:
            self._unplanned.update(
                f"{alert.labels['alertname']}: {reason}" for reason in counts.elements()
            )
        self._intake.deliver(told, counts, self._time.now())
        self._stir()

    def _ordered(self, order: PlayedOrder) -> None:
        now, words = self._time.now(), (order.by, order.reason)
        match order.kind:
            case OrderKind.DEPLOY:
                self._deploys(order)
            case OrderKind.MAINTENANCE:
                self._orders.begin_maintenance(order.target, *words, order.ends_at, now)
            case OrderKind.PAUSE:
                self._switch.pause(order.reason, order.by, order.ends_at)
        self._time.at(order.ends_at, self._stir)
        self._stir()

    def _deploys(self, order: PlayedOrder) -> None:
        """It waits for what works, as the command does."""
        now = self._time.now()
        if now < order.ends_at:
            try:
                self._orders.take_deploy_lock(order.by, order.reason, order.ends_at, now)
            except Refusal:
                self._time.after(2.0, partial(self._deploys, order))

    def _action(self, step: Step) -> PlayedAction:
        return PlayedAction(
            step, self._wishes.actions, self._history.steps, self._lanes.wait, self._acted
        )

    def _acted(self, step: Step, target: Target) -> None:
        if self._wishes.actions is Actions.WORK and any(
            step == entry.steps[-1] for entry in self._policy.runbooks.values()
        ):
            for alert in self._monitoring.of_target(target.key):
                self._time.after(SEEN_AFTER_SECONDS, partial(self._ends, alert))

    def _changed(self, change: Change) -> None:
        self._stirred_at = self._time.now()
        patience = self._wishes.approve_after_seconds
        if change.state is State.AWAITING_APPROVAL and patience is not None:
            self._time.after(patience, self._approve)

    def _approve(self) -> None:
        now = self._time.now()
        for asked in self._orders.approvals():
            self._orders.decide(
                asked["run_id"], asked["plan_hash"], Decision.APPROVED, "the replay", now
            )
        self._stir()

    # -- as the worker -----------------------------------------------------------------------

    def _stir(self) -> None:
        self._stirred_at = self._time.now()
        if not self._turn_is_due:
            self._turn_is_due = True
            self._time.after(0, self._turn)

    def _turn(self) -> None:
        self._turn_is_due = False
        self._alarm += 1
        self._look()
        self._switch.look()
        self._reconciler.once()
        if self._runs.open_incidents():
            self._time.after(self._rest(), partial(self._wake, self._alarm))

    def _rest(self) -> float:
        """After a while in which nothing changed, only what waits for its time can."""
        interval = self._config.reconcile_interval_seconds
        lively = self._time.now() - self._stirred_at < LIVELY
        return interval if lively else max(interval, QUIET_SECONDS)

    def _wake(self, alarm: int) -> None:
        if alarm == self._alarm and not self._turn_is_due:
            self._turn()

    def _look(self) -> None:
        for incident in self._runs.open_incidents():
            lane = f"incident-{incident.id}"
            if lane in self._busy:
                self._again.add(lane)
                continue
            self._busy.add(lane)
            work = partial(self._remediate, incident)
            self._lanes.start(lane, work, partial(self._ended, lane))

    def _remediate(self, incident: Incident) -> None:
        now = self._runs.incident(incident.id)
        if now is not None and remediate(now, self._policy, self._ports):
            self._stir()

    def _ended(self, lane: str) -> None:
        self._busy.discard(lane)
        if lane in self._again:
            self._again.discard(lane)
            self._stir()

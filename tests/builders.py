"""Values that the remediator's tests start from, and one loop of it without threads."""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

from remediator.alerts import Delivery, read_webhook
from remediator.checks import AlertCleared, ProbesCheck, Verification
from remediator.journal import (
    Calls,
    Intake,
    Lease,
    Orders,
    Records,
    RunLog,
    RunOrders,
    SqliteDatabase,
)
from remediator.killswitch import KillSwitch
from remediator.metrics import Metrics
from remediator.oncall import BusinessHours, Rota, Turn
from remediator.operate import Desk
from remediator.pages import Pages
from remediator.pipeline import Ports, RunJournal, remediate
from remediator.planner import triage
from remediator.policy import Mode, Policy, Repeat, Risk, Runbook, RunLimits, Step, StormLimits
from remediator.reconcile import Reconciler
from remediator.runs import Change
from remediator.topology import Target
from tests.fakes import START, FakeActions, FakeAlerts, FakeClock, FakePager, ScriptedVerifier

DOWN = {"alertname": "ServiceDown", "service": "web"}
DB_DOWN = {"alertname": "DatabaseDown", "service": "db"}
FULL = {"alertname": "CacheFull", "service": "cache"}


def a_rota() -> Rota:
    """Two weeks from the morning of START on."""
    begins, week = START.replace(hour=8), timedelta(weeks=1)
    turns = (
        Turn("a", begins, begins + week),
        Turn("b", begins + week, begins + 2 * week, why="a swap"),
    )
    hours = BusinessHours((0, 1, 2, 3, 4), time(9), time(18))
    return Rota({"a": "Team A", "b": "Team B"}, UTC, turns, hours)


def a_runbook(name: str, **changes: Any) -> Runbook:  # noqa: ANN401 - the fields of a Runbook
    runbook = Runbook(
        id=name,
        alerts=(),
        target_key=None,
        target_label="service",
        risk=Risk.DISRUPTIVE,
        firing_for_seconds=0,
        limits=RunLimits(cooldown_seconds=600, attempts=2, per_seconds=3600),
        steps=(Step("do", name, {}, 10, Repeat.IF_NOT_DONE),),
        verify=Verification((ProbesCheck(), AlertCleared()), 30, 1, 2),
        ladder=(),
    )
    return replace(runbook, **changes)


def a_policy(**changes: Any) -> Policy:  # noqa: ANN401 - the fields of a Policy
    """web and worker need db; cache has a ladder of two; db is restarted once a day at most."""
    never = (Step("do", "restart-db", {}, 10, Repeat.NEVER),)
    runbooks = [
        a_runbook("restart", alerts=("ServiceDown",)),
        a_runbook(
            "restart-db",
            alerts=("DatabaseDown",),
            target_label=None,
            target_key="db",
            limits=RunLimits(600, 1, 86400),
            steps=never,
        ),
        a_runbook("flush-keys", alerts=("CacheFull",), ladder=("flush-all",)),
        a_runbook("flush-all"),
    ]
    policy = Policy(
        mode=Mode.AUTO,
        max_data_age_seconds=45,
        runs_per_hour=6,
        runs_per_day=12,
        topology={
            "web": Target("web", "app", "c-web", ("web-ready",), ("db",), frozenset({"edge"})),
            "worker": Target("worker", "app", "c-worker", (), ("db",)),
            "edge": Target("edge", "edge", excludes=frozenset({"web"})),
            "db": Target("db", "data", "c-db", ("db",)),
            "cache": Target("cache", "data", "c-cache"),
        },
        runbooks={runbook.id: runbook for runbook in runbooks},
        storm=StormLimits(at_least=4),
        runbook_of_alert={name: book.id for book in runbooks for name in book.alerts},
    )
    return replace(policy, **changes)


def a_body(*alerts: Mapping[str, str], status: str = "firing", **changes: object) -> dict[str, Any]:
    """A webhook as Alertmanager sends it."""
    return {
        "version": "4",
        "groupKey": '{}:{alertname="X"}',
        "truncatedAlerts": 0,
        "status": status,
        "receiver": r"remediator\.main",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "notification_reason": "first notification",
        "alerts": [
            {
                "status": status,
                "labels": dict(labels),
                "annotations": {"summary": "s"},
                "startsAt": "2026-01-05T11:59:00.123456789Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "http://prometheus:9090/graph",
                "fingerprint": "a1b2c3d4e5f60718",
            }
            for labels in alerts
        ],
        **changes,
    }


JOURNAL: ContextVar[Callable[[Path], Any]] = ContextVar("JOURNAL", default=SqliteDatabase)
"""Opens the journal of a loop: a file, or what stands for it on a server."""


@dataclass
class Loop:
    """The remediator without its threads and its web: told, then turned by hand.

    `wrap` may put a fake around the journal that the pipeline writes to.
    """

    path: Path
    policy: Policy = field(default_factory=a_policy)
    clock: FakeClock = field(default_factory=FakeClock)
    alerts: FakeAlerts = field(default_factory=FakeAlerts)
    verifier: ScriptedVerifier = field(default_factory=ScriptedVerifier)
    actions: FakeActions = field(default_factory=FakeActions)
    pager: FakePager = field(default_factory=FakePager)
    wait: Callable[[float], None] | None = None
    wrap: Callable[[RunLog], RunJournal] = lambda runs: runs
    changes: list[Change] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    connect: Callable[[Path], Any] = field(default_factory=JOURNAL.get)
    name: str = ""

    def __post_init__(self) -> None:
        self.verifier.on_pass = self.clear
        self.open()

    def clear(self, labels: Mapping[str, str]) -> None:
        """What is verified does not fire any more."""
        self.alerts.firing[:] = [a for a in self.alerts.firing if not a.items() <= labels.items()]

    def open(self) -> None:
        """Start, or start again on the same file after `close`."""
        self.database = self.connect(self.path)
        memory = timedelta(seconds=self.policy.memory_seconds)
        self.metrics = Metrics(self.policy, "0")
        self.lease = Lease(self.database, self.name)
        self.runs = RunLog(self.database, memory, self.changed, self.metrics.escalated, self.lease)
        self.calls = Calls(self.database)
        self.intake = Intake(self.database)
        self.records = Records(self.database)
        self.orders = Orders(self.database)
        self.kill_switch = KillSwitch(
            self.path.with_name("paused"), self.environment, self.orders, self.clock, self.name
        )
        self.lease.begin(self.clock())
        self.runs.interrupt_all(self.clock())

    def changed(self, change: Change) -> None:
        self.changes.append(change)
        self.metrics.run_changed(change)

    def close(self) -> None:
        self.database.close()

    def told(self, *alerts: Mapping[str, str], status: str = "firing") -> None:
        """By a webhook; a firing one fires in Prometheus too."""
        if status == "firing":
            self.alerts.firing += [a for a in alerts if a not in self.alerts.firing]
        delivery = read_webhook(a_body(*alerts, status=status))
        assert isinstance(delivery, Delivery)
        self.intake.deliver(*triage(delivery.alerts, self.policy), self.clock())

    def turn(self) -> None:
        """Every incident until it rests, then reconcile, then the pager."""
        while self.remediate():
            pass
        self.reconcile()
        self.page()

    def page(self) -> None:
        Pages(
            self.calls, self.records, self.pager, "http://remediator/api/v1/incidents", self.clock
        ).send()

    def remediate(self, *, but: int | None = None) -> bool:
        """Each open incident once, `but` one whose lane is busy. Whether any wants another look."""
        ports = Ports(
            journal=self.wrap(self.runs),
            alerts=self.alerts,
            verifier=self.verifier,
            action=self.actions,
            clock=self.clock,
            wait=self.wait or self.clock.wait,
            paused=self.kill_switch.paused,
        )
        due = [incident.id for incident in self.runs.open_incidents() if incident.id != but]
        return True in [
            remediate(incident, self.policy, ports)
            for incident in map(self.runs.incident, due)
            if incident is not None
        ]

    def reconcile(self) -> None:
        Reconciler(
            self.policy, self.alerts, self.intake, self.runs, self.metrics, self.clock
        ).once()

    def pass_seconds(self, seconds: float) -> datetime:
        self.clock.wait(seconds)
        return self.clock()

    def incidents(self) -> list[dict[str, Any]]:
        """The oldest first."""
        return self.records.incidents()[::-1]

    def states(self, incident: int = 0) -> list[tuple[str, str, str | None]]:
        """(runbook, state, reason) of each run of the n-th incident."""
        runs = self.incidents()[incident]["runs"]
        return [(run["runbook"], run["state"], run["reason"]) for run in runs]


def a_desk(loop: Loop, **changes: Any) -> Desk:  # noqa: ANN401 - the fields of a Desk
    """The functions of operators, on the same journal."""
    fields: dict[str, Any] = {
        "policy": loop.policy,
        "records": loop.records,
        "runs": loop.runs,
        "orders": loop.orders,
        "run_orders": RunOrders(loop.database),
        "kill_switch": loop.kill_switch,
        "alerts": loop.alerts,
        "verifier": loop.verifier,
        "metrics": loop.metrics,
        "wake": lambda: None,
        "late": lambda: False,
        "trouble": lambda: None,
        "clock": loop.clock,
        "version": "0",
        "sharers": lambda: loop.lease.sharers(loop.clock()),
    }
    return Desk(**fields | changes)


__all__ = [
    "DB_DOWN",
    "DOWN",
    "FULL",
    "START",
    "Loop",
    "a_body",
    "a_desk",
    "a_policy",
    "a_rota",
    "a_runbook",
]

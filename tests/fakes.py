"""Fakes of the remediator's ports: they satisfy the Protocols and do what a test scripts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from remediator.checks import CheckSpec
from remediator.outcomes import Reason
from remediator.policy import Step
from remediator.ports import (
    Action,
    AlertState,
    Check,
    Done,
    Effect,
    Finding,
    FiringAlert,
    Notice,
    NotifiedAlert,
    NotYet,
    Ready,
    Refused,
    RemediationError,
    Transient,
)
from remediator.topology import Target

START = datetime(2026, 1, 5, 12, tzinfo=UTC)


class FakeClock:
    """Stands still until somebody waits."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time

    def wait(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@dataclass
class FakeAlerts:
    """Prometheus. `down`: it cannot be asked; `active_at`: since when all of `firing` fires."""

    firing: list[Mapping[str, str]] = field(default_factory=list)
    data_age_seconds: float | None = 1.0
    down: bool = False
    muted: Reason | None = None
    active_at: datetime = START

    def now(self) -> AlertState:
        if self.down:
            raise Transient("cannot ask Prometheus; see that it runs")
        alerts = tuple(FiringAlert(labels, self.active_at) for labels in self.firing)
        notified = tuple(NotifiedAlert(labels, self.muted) for labels in self.firing)
        return AlertState(alerts, self.data_age_seconds, notified=notified)


@dataclass
class ScriptedVerifier:
    """Gives the next look's verdict; the last one for ever. `on_pass` is told the alert."""

    verdicts: list[Check] = field(default_factory=lambda: [Check.PASS])
    looks: int = 0
    on_pass: Callable[[Mapping[str, str]], None] = lambda _labels: None

    def look(
        self, checks: tuple[CheckSpec, ...], target: Target, alert_labels: Mapping[str, str]
    ) -> tuple[Finding, ...]:
        verdict = self.verdicts[min(self.looks, len(self.verdicts) - 1)]
        self.looks += 1
        if verdict is Check.PASS:
            self.on_pass(alert_labels)
        return (Finding("scripted", verdict, f"the script says {verdict}"),)


@dataclass
class FakeAction:
    """Counts its runs. `on_run` may raise what a real one would."""

    runs: list[str] = field(default_factory=list)
    probes: list[datetime] = field(default_factory=list)
    ready: Ready | Refused | NotYet = field(default_factory=Ready)
    effect: Effect | RemediationError = Effect.UNKNOWN
    on_run: Callable[[], None] = lambda: None

    def precheck(self, target: Target) -> Ready | Refused | NotYet:
        return self.ready

    def run(self, target: Target, *, timeout_seconds: float) -> Done:
        self.runs.append(target.key)
        self.on_run()
        return Done("did it", {"target": target.key})

    def probe(self, target: Target, *, intended_at: datetime) -> Effect:
        self.probes.append(intended_at)
        if isinstance(self.effect, RemediationError):
            raise self.effect
        return self.effect


class FakeActions:
    """Makes a step's action: one fake for each action name, kept over restarts."""

    def __init__(self) -> None:
        self.by_name: dict[str, FakeAction] = {}

    def __getitem__(self, name: str) -> FakeAction:
        return self.by_name.setdefault(name, FakeAction())

    def __call__(self, step: Step) -> Action:
        return self[step.action]


@dataclass
class FakePager:
    """Remembers calls. `down`: nobody can be told.

    `paged` and `cleared` are of escalations; `said` holds every notice, `over` the ended ones.
    """

    paged: list[tuple[int, str, Reason]] = field(default_factory=list)
    cleared: list[int] = field(default_factory=list)
    said: list[Notice] = field(default_factory=list)
    over: list[Notice] = field(default_factory=list)
    down: bool = False

    def fire(self, notice: Notice) -> None:
        self._reached()
        self.said.append(notice)
        labels = notice.labels
        if labels["alertname"] == "RemediationEscalated":
            call = (int(labels["incident"]), labels["service"], Reason(labels["reason"]))
            self.paged.append(call)

    def end(self, notice: Notice) -> None:
        self._reached()
        self.over.append(notice)
        if notice.labels["alertname"] == "RemediationEscalated":
            self.cleared.append(int(notice.labels["incident"]))

    def _reached(self) -> None:
        if self.down:
            raise Transient("cannot tell Alertmanager; see that it runs")

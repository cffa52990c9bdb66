"""One random history: a day of faults, orders, outages and deaths, and then rest.

Rule: what breaks, when and what would mend it is drawn before anything runs, so that two
histories of one seed differ only by what is asked to differ.
"""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random

from remediator.checks import CheckSpec
from remediator.policy import Risk, Step
from remediator.ports import (
    Action,
    AlertState,
    Done,
    Effect,
    Finding,
    Notice,
    NotYet,
    Permanent,
    Ready,
    Refused,
    Transient,
)
from remediator.prometheus import Sample
from remediator.topology import Target
from remediator.verify import MonitoringVerifier
from remediator.watch import Watch
from tests.simulation.alertmanager import Alertmanagers, Network, Timing
from tests.simulation.auditor import Auditor
from tests.simulation.faults import DAY, faults_apart, faults_of_a_day
from tests.simulation.humans import Humans
from tests.simulation.process import Outside, Process
from tests.simulation.prometheus import Prometheus
from tests.simulation.site import DB_DOWN, DOWN, Site, a_policy
from tests.simulation.vigil import Vigil
from tests.simulation.world import World

REST = 3 * 3600.0
MEMORY = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a history may hold. The default is everything."""

    noise: float | None = 0.3
    zeal: float = 0.25
    outages: float = 5.0
    deaths: float = 4.0
    slow: float = 0.1
    is_fair: bool = False  # actions do what they say, in no time that matters


class _Source:
    """One verifier serves every history: making its client costs more than a history."""

    prometheus: Prometheus

    def now(self) -> AlertState:
        return self.prometheus.now()

    def query(self, expr: str) -> tuple[Sample, ...]:
        return self.prometheus.query(expr)


_SOURCE = _Source()
_VERIFIER = MonitoringVerifier("http://127.0.0.1:9", _SOURCE, max_data_age_seconds=45)


class History:
    """Everything of one seed, tied; `run` raises Broken."""

    def __init__(self, seed: int, kind: Kind = Kind(), path: Path | None = None) -> None:
        self.world = World(seed)
        self.kind = kind
        self.chance = self.world.chance("history")
        self._folder = Path(
            tempfile.mkdtemp(prefix="stackmedic-history-", dir=MEMORY if MEMORY.is_dir() else None)
        )
        self.policy = a_policy(self.world.chance("policy"))
        if kind.is_fair:
            plenty = {"runs_per_hour": 100, "runs_per_day": 100}
            at_once = {
                name: replace(book, firing_for_seconds=0.0)
                for name, book in self.policy.runbooks.items()
            }
            self.policy = replace(self.policy, quiet_windows=(), runbooks=at_once, **plenty)
        self.site = Site(self.world)
        self.network = Network(self.world, self.world.chance("network"), kind.noise, self._receive)
        self.prometheus = Prometheus(self.world, self.site, self._tell)
        self.alertmanagers = Alertmanagers(
            self.world, self._timing(), self.network, self._firing_now
        )
        outside = Outside(
            alerts=Answers(self),
            verifier=Looks(self),
            pager=Phone(self),
            action=lambda step: Doing(self, step),
            changed=lambda change: self.auditor.changed(change),  # noqa: PLW0108 - it is made last
            stored=lambda body: self.auditor.stored(body),  # noqa: PLW0108 - it is made last
            started=lambda: self.auditor.kept(),  # noqa: PLW0108 - it is made last
            reconciled=lambda event: self.auditor.reconciled(event),  # noqa: PLW0108 - it is made last
        )
        self.process = Process(
            self.world,
            path or self._folder / "remediator.sqlite",
            self.policy,
            outside,
            self.world.chance("process"),
            kind.slow,
        )
        self.humans = Humans(self.world, self.process, self.world.chance("humans"), kind.zeal)
        self.auditor = Auditor(
            self.world,
            self.policy,
            self.prometheus,
            self.humans,
            self.process,
        )
        self.vigil = Vigil(
            self.world,
            self.policy,
            self.prometheus,
            self.humans,
            self.process,
            self.alertmanagers.muted,
            self.auditor.paged,
        )
        self.applied: dict[tuple[str, str], bool | None] = {}
        self.tried: dict[tuple[str, str], int] = {}
        self.pager_is_down = False

    def run(self) -> None:
        _SOURCE.prometheus = self.prometheus
        try:
            self._plan()
            self.process.start()
            self.vigil.watch()
            self.world.run(DAY)
            self._finish()
            self.world.run(DAY + REST)
            self.auditor.at_rest()
        finally:
            self.close()

    def close(self) -> None:
        self.process.is_up = False
        self.world.lanes.kill()
        self.process.database.close()
        shutil.rmtree(self._folder)

    def wait_a_little(self) -> None:
        """As an answer over a network; a lane only may wait."""
        if self.world.lanes.current is not None and self.chance.random() < self.kind.slow:
            self.world.lanes.wait(self.chance.uniform(0, 3))

    # -- what happens --------------------------------------------------------------------

    def _plan(self) -> None:
        stir = self.process.stir
        self.prometheus.on_change.append(stir)
        self.humans.on_order += [stir, self.vigil.disturb]
        faults = self.world.chance("faults")
        plan = faults_apart if self.kind.is_fair else faults_of_a_day
        begins = []
        for at, fault in plan(faults):
            self.world.at(at, partial(self.site.breaks, fault))
            begins.append(at)
        if self.kind.is_fair:
            return
        self.humans.begin(begins)
        chance = self.world.chance("outages")
        for at in _moments(chance, self.kind.outages, begins):
            out, back = chance.choice(self._outages())
            self.world.at(at, partial(self._disturbed, out))
            lasts = chance.choice((40.0, 200.0, 600.0, 2400.0))
            self.world.at(at + lasts, partial(self._disturbed, back))
        chance = self.world.chance("deaths")
        for at in _moments(chance, self.kind.deaths, begins):
            self.world.at(at, partial(self._doom, chance.randrange(60), chance.randrange(4)))

    def _disturbed(self, event: Callable[[], None]) -> None:
        event()
        self.vigil.disturb()
        self.process.stir()

    def _doom(self, writes: int, how: int) -> None:
        """Die now, or at one of the next writes: before, inside or after it."""
        if how == 0:
            self.process.crash("just so")
        elif self.process.is_up:
            self.process.fate.where = ("before", "inside", "after")[how - 1]
            self.process.fate.writes_left = writes + 1

    def _outages(self) -> list[tuple[Callable[[], None], Callable[[], None]]]:
        prometheus, first, second = self.prometheus, *self.alertmanagers.peers
        return [
            (prometheus.dies, prometheus.comes_back),
            (partial(prometheus.exporter, up=False), partial(prometheus.exporter, up=True)),
            (partial(prometheus.stuck, begins=True), partial(prometheus.stuck, begins=False)),
            (first.dies, first.comes_back),
            (second.dies, second.comes_back),
            (
                partial(self.alertmanagers.partition, begins=True),
                partial(self.alertmanagers.partition, begins=False),
            ),
            (partial(self._disk, is_full=True), partial(self._disk, is_full=False)),
            (partial(self._pager, is_down=True), partial(self._pager, is_down=False)),
            (self._silences, lambda: None),
            (self._silences, lambda: None),
        ]

    def _disk(self, *, is_full: bool) -> None:
        self.world.tell(f"DISK is {'full' if is_full else 'good again'}")
        self.process.fate.is_disk_full = is_full

    def _pager(self, *, is_down: bool) -> None:
        self.pager_is_down = is_down

    def _silences(self) -> None:
        symptom = self.chance.choice([(DOWN, "web-a"), (DOWN, "worker"), (DB_DOWN, "db")])
        until = self.world.seconds + self.chance.choice((60.0, 1800.0, 7200.0))
        self.world.tell(f"SILENCE of {symptom}")
        self.alertmanagers.silenced_until[symptom] = until

    def _finish(self) -> None:
        self.world.tell("THE DAY is over: everything is mended, every order is ended")
        self.process.fate = self.process.database._fate = type(self.process.fate)()
        self.site.finish()
        self.humans.finish()
        self.alertmanagers.silenced_until.clear()
        self.pager_is_down = False
        self.vigil.disturb()
        self.process.stir()

    # -- ties ----------------------------------------------------------------------------

    def _receive(self, body: dict[str, object]) -> int:
        return self.process.receive(body)

    def _tell(self, symptom: tuple[str, str], fired_at: float | None) -> None:
        self.alertmanagers.tell(symptom, fired_at)

    def _firing_now(self) -> Mapping[tuple[str, str], float]:
        if not self.prometheus.is_up:
            return {}
        alerts = self.prometheus.alerts
        return {s: alert.fired_at for s, alert in alerts.items() if alert.fired_at is not None}

    def _timing(self) -> Timing:
        if self.kind.noise is None or self.kind.noise == 0:
            return Timing()
        chance = self.world.chance("alertmanager")
        return Timing(
            chance.choice((10.0, 30.0)),
            chance.choice((60.0, 300.0)),
            chance.choice((3600.0, 14400.0)),
            chance.choice((0, 0, 1, 2)),
        )


@dataclass(frozen=True, slots=True)
class Answers:
    """The real Watch over the simulated two; the auditor hears what was answered."""

    history: History

    def now(self) -> AlertState:
        history = self.history
        try:
            state = Watch(history.prometheus, history.alertmanagers).now()
        except Transient:
            history.auditor.seen(None)
            raise
        history.auditor.seen(state)
        history.wait_a_little()
        return state


@dataclass(frozen=True, slots=True)
class Looks:
    history: History

    def look(
        self, checks: tuple[CheckSpec, ...], target: Target, alert_labels: Mapping[str, str]
    ) -> tuple[Finding, ...]:
        findings = _VERIFIER.look(checks, target, alert_labels)
        self.history.auditor.looked(target, alert_labels, findings, n=len(checks))
        self.history.wait_a_little()
        return findings


@dataclass(frozen=True, slots=True)
class Phone:
    """Humans who are called come, and mostly mend it."""

    history: History

    def fire(self, notice: Notice) -> None:
        self._reached()
        labels = notice.labels
        if labels["alertname"] != "RemediationEscalated":
            return
        incident, target, runbook = int(labels["incident"]), labels["service"], labels["runbook"]
        known = self.history.auditor.paged.get(incident)
        self.history.auditor.page(incident, target, runbook)
        if self.history.kind.is_fair:
            return
        if known is None and self.history.chance.random() < 0.6:
            come = partial(self._comes, target, runbook)
            self.history.world.after(self.history.chance.uniform(600, 9000), come)

    def end(self, notice: Notice) -> None:
        self._reached()

    def _reached(self) -> None:
        if self.history.pager_is_down:
            raise Transient("cannot tell Alertmanager; see that it runs")

    def _comes(self, target: str, runbook: str) -> None:
        for fault in [f for f in self.history.site.faults if f.symptom[1] == target]:
            self.history.site.ends(fault, "by a human")
        if self.history.chance.random() < 0.5:
            self.history.humans.reset(runbook, target)
        self.history.vigil.disturb()


class Doing(Action):
    """One step's action. It works, is useless, fails, is slow, or dies in the middle."""

    def __init__(self, history: History, step: Step) -> None:
        self._history = history
        self._step = step

    def precheck(self, target: Target) -> Ready | Refused | NotYet:
        if self._history.kind.is_fair:
            return Ready()
        mood = self._history.chance.random()
        if mood < 0.05:
            return NotYet("it is still starting")
        return Refused("it is stopped by a human") if mood < 0.07 else Ready()

    def run(self, target: Target, *, timeout_seconds: float) -> Done:
        history, key = self._history, (target.key, self._step.action)
        effect = history.auditor.begins(self._step, target)
        history.tried[key] = n = history.tried.get(key, 0) + 1
        chance = Random(f"{history.world.seed}/{key}/{n}")
        history.applied[key] = None
        outcome = "works" if history.kind.is_fair else chance.choices(*_OUTCOMES)[0]
        disrupts = history.policy.runbooks[effect.runbook].risk is not Risk.SAFE
        try:
            self._begin(target, disrupts=disrupts)
            self._act(target, outcome, chance, timeout_seconds)
        finally:
            effect.ended_at = history.world.seconds
            if disrupts:
                history.site.restarts(target.key, begins=False)
        return Done("did it", {"target": target.key})

    def probe(self, target: Target, *, intended_at: object) -> Effect:
        applied = self._history.applied.get((target.key, self._step.action))
        if self._history.chance.random() < 0.2:
            return Effect.UNKNOWN
        return Effect.DONE if applied else Effect.NOT_DONE

    def _begin(self, target: Target, *, disrupts: bool) -> None:
        if disrupts:
            self._history.site.restarts(target.key, begins=True)

    def _act(self, target: Target, outcome: str, chance: Random, timeout_seconds: float) -> None:
        history, key = self._history, (target.key, self._step.action)
        if outcome == "fails":
            raise Permanent(f"{key} is refused; see why")
        if outcome == "defect":
            raise ValueError(f"{key} is None")
        first, second = chance.uniform(0, 10), chance.uniform(0, 10)
        history.world.lanes.wait(1.0 if history.kind.is_fair else first)
        if outcome != "useless":
            history.site.acted(self._step.action, target.key)
        history.applied[key] = True
        if outcome == "slow":
            history.world.lanes.wait(timeout_seconds - first)
            raise Transient(f"{key} took too long")
        if not history.kind.is_fair:
            history.world.lanes.wait(second)


_OUTCOMES = (("works", "useless", "fails", "defect", "slow"), (70, 10, 10, 3, 7))


def _moments(chance: Random, mean: float, faults: list[float]) -> list[float]:
    """About so many; most of them soon before or after a fault, where they matter."""
    count = int(chance.expovariate(1 / mean)) if mean else 0
    near = [chance.choice(faults) + chance.uniform(-200, 400) for _ in range(count)]
    return [max(0.0, at) if chance.random() < 0.7 else chance.uniform(0, DAY * 0.95) for at in near]

"""A simulated Prometheus: scrapes, evaluates, is late, loses its data, dies and comes back."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from remediator.ports import AlertState, FiringAlert, Transient
from remediator.prometheus import Sample
from tests.fakes import START
from tests.simulation.site import BLOAT, DB_DOWN, DOWN, FULL, LEAK, Site, Symptom
from tests.simulation.world import World

INTERVAL = 15.0
LOOKBACK = 300.0
SETTLE = 30.0
FOR = {DOWN: 15.0, DB_DOWN: 0.0, FULL: 60.0, LEAK: 60.0, BLOAT: 60.0}
KEEP_FIRING = {DOWN: 0.0, DB_DOWN: 0.0, FULL: 120.0, LEAK: 0.0, BLOAT: 0.0}
RESOLVES_ALONE_AFTER = 240.0
"""Alertmanager takes an alert for resolved when Prometheus has not sent it for so long."""


def labels_of(symptom: Symptom) -> dict[str, str]:
    return {"alertname": symptom[0], "service": symptom[1], "severity": "critical"}


@dataclass
class _Alert:
    active_at: float
    fired_at: float | None = None
    seen_at: float = 0.0


@dataclass
class Prometheus:
    """`tell(symptom, fired_at or None)` sends what has changed to the Alertmanagers."""

    world: World
    site: Site
    tell: Callable[[Symptom, float | None], None]
    is_up: bool = True
    exporter_up: bool = True
    stuck_since: float | None = None
    alerts: dict[Symptom, _Alert] = field(default_factory=dict)
    on_change: list[Callable[[], None]] = field(default_factory=list)
    _ended: dict[str, float] = field(default_factory=dict)
    _ticks: bool = False
    _running: Mapping[str, bool] | None = None
    _symptoms: set[Symptom] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.site.on_change.append(self.look)
        self._scrape()

    # -- what the remediator asks --------------------------------------------------------

    def now(self) -> AlertState:
        if not self.is_up:
            raise Transient("cannot ask Prometheus; see that it runs")
        running = {} if self._running is None else dict(self._running)
        return AlertState(
            firing=self._told(pending=False),
            data_age_seconds=self.data_age(),
            lately=frozenset(s for s, t in self._ended.items() if self.world.seconds - t < SETTLE)
            | {s for (_, s), alert in self.alerts.items() if alert.fired_at is not None},
            running=running,
            pending=self._told(pending=True),
        )

    def _told(self, *, pending: bool) -> tuple[FiringAlert, ...]:
        return tuple(
            FiringAlert(labels_of(symptom), START + timedelta(seconds=alert.active_at))
            for symptom, alert in self.alerts.items()
            if (alert.fired_at is None) is pending
        )

    def query(self, expr: str) -> tuple[Sample, ...]:
        """The one query that the checks of a history ask."""
        if not self.is_up:
            raise Transient("cannot ask Prometheus; see that it runs")
        state = self.now().running
        return tuple(Sample({}, float(up)) for key, up in state.items() if f'"{key}"' in expr)

    def data_age(self) -> float | None:
        if not self.exporter_up or self._running is None:
            return None
        if self.stuck_since is not None:
            return self.world.seconds - math.floor(self.stuck_since / INTERVAL) * INTERVAL
        return self.world.seconds % INTERVAL

    def fires(self, symptom: Symptom) -> bool:
        alert = self.alerts.get(symptom)
        return alert is not None and alert.fired_at is not None

    # -- what happens to it --------------------------------------------------------------

    def dies(self) -> None:
        self.world.tell("PROMETHEUS is down")
        self.is_up = False
        self.world.after(RESOLVES_ALONE_AFTER, self._resolves_alone)
        self._changed()

    def comes_back(self) -> None:
        """Its pending and firing alerts begin again; so moves the start that it tells."""
        self.world.tell("PROMETHEUS is back")
        self.is_up = True
        self.alerts = {symptom: _Alert(self.world.seconds) for symptom in self.alerts}
        self.look()
        self._changed()

    def exporter(self, *, up: bool) -> None:
        self.world.tell(f"EXPORTER is {'up' if up else 'down'}")
        self.exporter_up = up
        self.look()
        self._changed()

    def stuck(self, *, begins: bool) -> None:
        self.world.tell(f"PROMETHEUS gets {'no new' if begins else 'new'} data")
        self.stuck_since = self.world.seconds if begins else None
        self.look()
        self._changed()

    def look(self) -> None:
        """Something may be different: scrape and evaluate until nothing changes any more."""
        if not self._ticks:
            self._ticks = True
            at = (math.floor(self.world.seconds / INTERVAL) + 1) * INTERVAL
            self.world.at(at, self._tick)

    def _tick(self) -> None:
        if not self.is_up:
            self._ticks = False
            return
        self._scrape()
        for symptom in sorted(self._symptoms | set(self.alerts)):
            self._evaluate(symptom)
        unsettled = self.stuck_since is not None and self._running is not None
        pending = any(
            alert.fired_at is None or alert.seen_at < self.world.seconds
            for alert in self.alerts.values()
        )
        self._ticks = False
        if unsettled or pending:
            self.look()

    def _scrape(self) -> None:
        if not self.exporter_up:
            self._running, self._symptoms = None, set()
        elif self.stuck_since is None:
            self._running, self._symptoms = self.site.running(), self.site.symptoms()
            self._symptoms |= {(DOWN, s) for s in self.site.restarting if s != "db"}
        elif self.world.seconds - self.stuck_since > LOOKBACK:
            self._running, self._symptoms = None, set()

    def _evaluate(self, symptom: Symptom) -> None:
        now, alert = self.world.seconds, self.alerts.get(symptom)
        if symptom in self._symptoms:
            alert = self.alerts.setdefault(symptom, _Alert(now))
            alert.seen_at = now
            if alert.fired_at is None and now - alert.active_at >= FOR[symptom[0]]:
                alert.fired_at = now
                self.world.tell(f"FIRING {symptom[0]} on {symptom[1]}")
                self.tell(symptom, alert.fired_at)
                self._changed()
        elif alert is not None:
            if alert.fired_at is not None:
                if now - alert.seen_at < KEEP_FIRING[symptom[0]]:
                    return
                self.world.tell(f"RESOLVED {symptom[0]} on {symptom[1]}")
                self._ended[symptom[1]] = now
                self.tell(symptom, None)
                self._changed()
            del self.alerts[symptom]

    def _resolves_alone(self) -> None:
        if not self.is_up:
            for symptom in self.alerts:
                self.tell(symptom, None)

    def _changed(self) -> None:
        for told in self.on_change:
            told()

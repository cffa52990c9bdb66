"""For each guard one scene in which it alone stands in the way of a run.

Rule: a scene is all that the guard must be known by. A test that passes without the guard knows
nothing of it; `test_every_guard.py` asks both.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

from typing_extensions import override

from remediator.checks import RunningCheck
from remediator.journal.database import to_text
from remediator.outcomes import Reason
from remediator.policy import Group, Mode, Policy, StormLimits
from remediator.ports import AlertState, Check, FiringAlert, NotifiedAlert
from remediator.windows import Window
from tests.builders import DOWN, START, Loop, a_policy
from tests.fakes import FakeAlerts

Scene = Callable[[Path], Loop]


@dataclass
class Monitoring(FakeAlerts):
    """Says what it is made to say; `fires` False: only Alertmanager still holds the alert."""

    fires: bool = True
    others: tuple[FiringAlert, ...] = ()
    running: Mapping[str, bool] = field(default_factory=dict)
    probes: Mapping[str, bool] = field(default_factory=dict)
    sees: bool | None = None

    @override
    def now(self) -> AlertState:
        own = (FiringAlert(DOWN, START),) if self.fires else ()
        notified = (NotifiedAlert(DOWN, self.muted),)
        return replace(
            super().now(),
            firing=own + self.others,
            notified=notified,
            running=self.running,
            probes=self.probes,
            sees=self.sees,
        )


def a_scene(path: Path, *, entry: Mapping[str, Any] | None = None, **changes: Any) -> Loop:  # noqa: ANN401 - the fields of a Policy
    """web is down and would be restarted; `entry` changes what the runbook says of that."""
    policy: Policy = a_policy()
    books = {**policy.runbooks, "restart": replace(policy.runbooks["restart"], **(entry or {}))}
    policy = replace(policy, runbooks=books, **changes)
    loop = Loop(path, policy=policy, alerts=Monitoring())
    loop.told(DOWN)
    loop.clock.wait(60)
    return loop


def monitoring(loop: Loop) -> Monitoring:
    assert isinstance(loop.alerts, Monitoring)
    return loop.alerts


def a_run(
    loop: Loop, runbook: str, target: str, state: str, *, claimed: float, ended: float
) -> None:
    """Of another incident: so many seconds ago; `ended` 0: it is under way."""
    now = loop.clock()
    at = [to_text(now - timedelta(seconds=seconds)) for seconds in (claimed, ended)]
    connection = loop.database._connection
    connection.execute(
        "INSERT INTO incidents (runbook, target, opened_at, closed_at) VALUES ('old', ?, ?, ?)",
        (target, at[0], at[0]),
    )
    connection.execute(
        "INSERT INTO runs (incident_id, runbook, target, state, created_at, claimed_at, ended_at)"
        " VALUES ((SELECT max(id) FROM incidents), ?, ?, ?, ?, ?, ?)",
        (runbook, target, state, at[0], at[0], at[1] if ended else None),
    )


def paused(path: Path) -> Loop:
    loop = a_scene(path)
    loop.kill_switch.pause("why", "me", None)
    return loop


def observed(path: Path) -> Loop:
    return a_scene(path, mode=Mode.OBSERVE)


def stale(path: Path) -> Loop:
    loop = a_scene(path)
    loop.alerts.data_age_seconds = 46
    return loop


def blind(path: Path) -> Loop:
    loop = a_scene(path)
    monitoring(loop).sees = False
    return loop


def cleared(path: Path) -> Loop:
    loop = a_scene(path)
    monitoring(loop).fires = False
    return loop


def young(path: Path) -> Loop:
    return a_scene(path, entry={"firing_for_seconds": 3600})


def silenced(path: Path) -> Loop:
    loop = a_scene(path)
    loop.alerts.muted = Reason.SILENCED
    return loop


def worked_on(path: Path) -> Loop:
    loop = a_scene(path)
    loop.orders.begin_maintenance(
        "web", "me", "disks", loop.clock() + timedelta(hours=1), loop.clock()
    )
    return loop


def too_early(path: Path) -> Loop:
    later = (START + timedelta(hours=3)).time(), (START + timedelta(hours=4)).time()
    window = Window(frozenset(range(7)), *later, zone=UTC)
    return a_scene(path, entry={"window": "night"}, windows={"night": window})


def deploying(path: Path) -> Loop:
    loop = a_scene(path)
    loop.orders.take_deploy_lock("me", "v2", loop.clock() + timedelta(hours=1), loop.clock())
    return loop


def without_its_database(path: Path) -> Loop:
    loop = a_scene(path)
    monitoring(loop).others = (FiringAlert({"alertname": "Any", "service": "db"}, START),)
    return loop


def out_of_the_way(path: Path) -> Loop:
    loop = a_scene(path, entry={"unless_firing": frozenset({"Migration"})})
    monitoring(loop).others = (FiringAlert({"alertname": "Migration"}, START),)
    return loop


def without_a_second_signal(path: Path) -> Loop:
    loop = a_scene(path, entry={"confirm": (RunningCheck(),)})
    loop.verifier.verdicts = [Check.PASS]
    loop.verifier.on_pass = lambda _labels: None
    return loop


def stormy(path: Path) -> Loop:
    return a_scene(path, storm=StormLimits(targets=0))


def last_one_that_serves(path: Path) -> Loop:
    loop = a_scene(path, groups={"app": Group(("web", "worker"), 1)})
    monitoring(loop).running = {"web": True, "worker": False}
    monitoring(loop).probes = {"web-ready": True}
    return loop


def excluded(path: Path) -> Loop:
    loop = a_scene(path, concurrency=2)
    a_run(loop, "x", "edge", "executing", claimed=5, ended=0)
    return loop


def one_at_a_time(path: Path) -> Loop:
    loop = a_scene(path)
    a_run(loop, "x", "cache", "executing", claimed=5, ended=0)
    return loop


def cooling(path: Path) -> Loop:
    loop = a_scene(path)
    a_run(loop, "restart", "web", "held", claimed=700, ended=10)
    return loop


def tried(path: Path) -> Loop:
    loop = a_scene(path)
    for claimed in (1800, 3000):
        a_run(loop, "restart", "web", "held", claimed=claimed, ended=claimed - 60)
    return loop


def spent(path: Path) -> Loop:
    loop = a_scene(path, runs_per_hour=1)
    a_run(loop, "x", "cache", "held", claimed=1800, ended=1700)
    return loop


def tripped(path: Path) -> Loop:
    loop = a_scene(path)
    for hours in (2, 3, 4):
        a_run(loop, "restart", "web", "held", claimed=hours * 3600, ended=hours * 3600 - 60)
    return loop


def unasked(path: Path) -> Loop:
    return a_scene(path, mode=Mode.APPROVE)


def ours(path: Path) -> Loop:
    return a_scene(path, never_touch=frozenset({"c-web"}))


SCENES: Mapping[str, tuple[Scene, Reason]] = {
    "kill_switch": (paused, Reason.PAUSED),
    "mode": (observed, Reason.MODE_OBSERVE),
    "fresh_data": (stale, Reason.DATA_STALE),
    "sighted": (blind, Reason.EXPORTER_BLIND),
    "still_firing": (cleared, Reason.NOT_FIRING),
    "firing_age": (young, Reason.TOO_YOUNG),
    "not_muted": (silenced, Reason.SILENCED),
    "maintenance": (worked_on, Reason.MAINTENANCE),
    "window": (too_early, Reason.OUTSIDE_WINDOW),
    "deploy": (deploying, Reason.DEPLOYING),
    "dependencies": (without_its_database, Reason.DEPENDENCY_FIRING),
    "unless_firing": (out_of_the_way, Reason.OTHER_ALERT_FIRING),
    "confirmed": (without_a_second_signal, Reason.NOT_CONFIRMED),
    "storm_brake": (stormy, Reason.STORM),
    "capacity": (last_one_that_serves, Reason.CAPACITY),
    "target_free": (excluded, Reason.TARGET_BUSY),
    "concurrency": (one_at_a_time, Reason.TOO_MANY_RUNS),
    "cooldown": (cooling, Reason.COOLDOWN),
    "attempts": (tried, Reason.ATTEMPTS_EXHAUSTED),
    "budget": (spent, Reason.BUDGET_EXHAUSTED),
    "circuit_breaker": (tripped, Reason.BREAKER_OPEN),
    "approval": (unasked, Reason.NEEDS_APPROVAL),
    "target_allowed": (ours, Reason.TARGET_DENIED),
}

"""What is looked after in a history: services, the faults they have, the runbook for them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, time
from random import Random

from remediator.checks import AlertCleared, RunningCheck, Verification
from remediator.policy import (
    Group,
    Mode,
    Policy,
    Repeat,
    Risk,
    Runbook,
    RunLimits,
    Step,
    StormLimits,
)
from remediator.topology import Target
from remediator.windows import Window
from tests.simulation.world import World

DOWN, DB_DOWN, FULL, LEAK, BLOAT = "ServiceDown", "DatabaseDown", "CacheFull", "MemoryHigh", "Bloat"
Symptom = tuple[str, str]
"""(alert name, service)."""

NEEDS = {"web-a": ("db", "cache"), "web-b": ("db", "cache"), "worker": ("db", "cache")}
TOPOLOGY = {
    "db": Target("db", "data", "c-db"),
    "cache": Target("cache", "data", "c-cache"),
    "web-a": Target("web-a", "app", "c-web-a", (), NEEDS["web-a"], frozenset({"edge"})),
    "web-b": Target("web-b", "app", "c-web-b", (), NEEDS["web-b"], frozenset({"edge"})),
    "worker": Target("worker", "app", "c-worker", (), NEEDS["worker"]),
    "edge": Target("edge", "edge", "c-edge", (), (), frozenset({"web-a", "web-b"})),
    "mail": Target("mail", "app", "c-mail"),
    "monitor": Target("monitor", "ops", "c-prometheus"),
}
DAY_LONG = frozenset(range(7))


def a_policy(chance: Random) -> Policy:
    """The runbook of one history; what may be chosen in a configuration is chosen."""
    books = _runbooks(chance)
    night = Window(DAY_LONG, time(22), time(4), UTC)
    quiet = Window(DAY_LONG, time(17), time(17, 30), UTC)
    return Policy(
        mode=chance.choices((Mode.AUTO, Mode.APPROVE, Mode.OBSERVE), (18, 2, 1))[0],
        max_data_age_seconds=45,
        runs_per_hour=chance.choice((3, 6)),
        runs_per_day=chance.choice((6, 12)),
        topology=TOPOLOGY,
        runbooks={book.id: book for book in books},
        runbook_of_alert={name: book.id for book in books for name in book.alerts},
        storm=StormLimits(targets=chance.choice((3, 5)), at_least=4),
        concurrency=chance.choice((1, 1, 2)),
        windows={"night": night, "quiet": quiet},
        quiet_windows=("quiet",) if chance.random() < 0.3 else (),
        groups={"web": Group(("web-a", "web-b"), 1)},
        never_touch=frozenset({"c-prometheus"}),
    )


def _runbooks(chance: Random) -> list[Runbook]:
    once = Repeat.NEVER
    maybe: Callable[[float], bool] = lambda share: chance.random() < share  # noqa: E731
    ask = Mode.APPROVE if maybe(0.4) else Mode.AUTO
    return [
        _book(
            "restart",
            chance,
            alerts=(DOWN,),
            ladder=("recreate",) if maybe(0.5) else (),
            after_deploy=maybe(0.3),
        ),
        _book("recreate", chance, steps=("recreate",), repeat=once),
        _book(
            "restart-db",
            chance,
            alerts=(DB_DOWN,),
            target_key="db",
            risk=Risk.DATA,
            limits=RunLimits(600, 1, 86400),
            repeat=once,
            mode=ask,
            confirm=(RunningCheck(),),
        ),
        _book(
            "flush-keys",
            chance,
            alerts=(FULL,),
            target_key="cache",
            risk=Risk.SAFE,
            ladder=("flush-all",),
        ),
        _book(
            "flush-all", chance, target_key="cache", risk=Risk.DATA, repeat=once, mode=Mode.APPROVE
        ),
        _book(
            "recycle",
            chance,
            alerts=(LEAK,),
            steps=("drain", "recycle"),
            unless_firing=frozenset({FULL}),
            mode=Mode.OBSERVE if maybe(0.1) else Mode.AUTO,
        ),
        _book(
            "vacuum",
            chance,
            alerts=(BLOAT,),
            target_key="db",
            risk=Risk.SAFE,
            window="night" if maybe(0.5) else None,
        ),
    ]


def _book(
    name: str,
    chance: Random,
    *,
    steps: tuple[str, ...] = (),
    repeat: Repeat = Repeat.IF_NOT_DONE,
    **changes: object,
) -> Runbook:
    verify = Verification(
        (RunningCheck(), AlertCleared()),
        within_seconds=chance.choice((120.0, 180.0)),
        interval_seconds=5.0,
        consecutive=chance.choice((1, 2, 3)),
        settle_seconds=chance.choice((0.0, 15.0)),
        hold_seconds=chance.choice((0.0, 600.0, 1800.0)),
    )
    plain: dict[str, object] = {
        "alerts": (),
        "target_key": None,
        "target_label": None if changes.get("target_key") else "service",
        "risk": Risk.DISRUPTIVE,
        "firing_for_seconds": chance.choice((0.0, 60.0)),
        "limits": RunLimits(chance.choice((300.0, 600.0)), 2, 3600),
        "steps": tuple(Step(step, step, {}, 30.0, repeat) for step in steps or (name,)),
        "verify": verify,
        "ladder": (),
    }
    return Runbook(id=name, **(plain | changes))  # type: ignore[arg-type]


@dataclass(eq=False)
class Fault:
    """What makes a symptom. `mended_by` are the actions that help, after `tries` of them.

    `comes_back` seconds after it was mended, for ever: a leak. `ends_after`: by itself.
    `spreads`: to whatever needs its service, a while later.
    """

    symptom: Symptom
    mended_by: frozenset[str] = frozenset()
    tries: int = 1
    comes_back: float | None = None
    ends_after: float | None = None
    spreads: bool = False


@dataclass
class Site:
    """What is true, whoever knows it. `on_change` is told whenever it changes."""

    world: World
    faults: list[Fault] = field(default_factory=list)
    restarting: set[str] = field(default_factory=set)
    on_change: list[Callable[[], None]] = field(default_factory=list)
    is_over: bool = False  # nothing breaks any more

    def symptoms(self) -> set[Symptom]:
        return {fault.symptom for fault in self.faults}

    def running(self) -> dict[str, bool]:
        down = {s for name, s in self.symptoms() if name in {DOWN, DB_DOWN}} | self.restarting
        return {service: service not in down for service in TOPOLOGY}

    def breaks(self, fault: Fault) -> None:
        if self.is_over:
            return
        self.world.tell(f"FAULT {fault.symptom[0]} on {fault.symptom[1]}")
        self.faults.append(fault)
        self._changed()
        if fault.ends_after is not None:
            self.world.after(fault.ends_after, lambda: self.ends(fault, "by itself"))
        for user in [u for u, needs in NEEDS.items() if fault.symptom[1] in needs]:
            if fault.spreads:
                self.world.after(20, lambda user=user: self._spreads(fault, user))

    def ends(self, fault: Fault, why: str) -> None:
        if fault in self.faults:
            self.faults.remove(fault)
            self.world.tell(f"ENDED {fault.symptom[0]} on {fault.symptom[1]} {why}")
            self._changed()

    def acted(self, action: str, target: str) -> None:
        """An action has had its effect."""
        for fault in [f for f in self.faults if f.symptom[1] == target]:
            if action not in fault.mended_by:
                continue
            fault.tries -= 1
            if fault.tries > 0:
                continue
            self.ends(fault, f"by {action}")
            if fault.comes_back is not None:
                fault.tries = 1
                self.world.after(fault.comes_back, lambda fault=fault: self.breaks(fault))

    def restarts(self, service: str, *, begins: bool) -> None:
        (self.restarting.add if begins else self.restarting.discard)(service)
        self._changed()

    def finish(self) -> None:
        """Humans have mended everything for good."""
        self.is_over = True
        for fault in list(self.faults):
            self.ends(fault, "for good")

    def _spreads(self, fault: Fault, user: str) -> None:
        if fault not in self.faults or self.is_over:
            return
        victim = Fault((DOWN, user), frozenset({"restart"}))
        self.breaks(victim)

        def recovers() -> None:
            if fault in self.faults:
                self.world.after(30, recovers)
            else:
                self.ends(victim, "because what it needs is back")

        self.world.after(60, recovers)

    def _changed(self) -> None:
        for told in self.on_change:
            told()

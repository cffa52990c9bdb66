"""Humans who order, answer, forget and mend at random; and what they have said so far.

Rule: what is recorded here is the least that they may rely on. An order that forbids counts
once it was answered; one that allows counts from the moment it was sent.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from random import Random

from remediator.journal import JournalUnavailable, Refusal, RunOrders
from remediator.operate.explaining import joins
from remediator.planner import Plan, labels_of
from remediator.runs import Decision
from tests.fakes import START
from tests.simulation.process import Process
from tests.simulation.site import TOPOLOGY
from tests.simulation.world import World


@dataclass(slots=True)
class Work:
    number: int
    target: str | None
    at: float
    until: float


@dataclass
class Humans:
    """`zeal` 0: they only answer, always the same; 1: they order something every hour."""

    world: World
    process: Process
    chance: Random
    zeal: float
    approved: dict[int, tuple[str, float]] = field(default_factory=dict)
    resets: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    ordered: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    on_order: list[Callable[[], None]] = field(default_factory=list)
    _works: list[Work] = field(default_factory=list)
    _api_until: float = -math.inf
    _file: bool = False
    _deploy_until: float = -math.inf
    _unsure_until: float = -math.inf
    _is_asked: bool = False
    _is_done: bool = False

    # -- what they may rely on -----------------------------------------------------------

    def is_paused(self) -> bool:
        return self._file or self.world.seconds < self._api_until

    def deploys(self) -> bool:
        return self.world.seconds < self._deploy_until

    def since_deploy(self) -> float | None:
        """Seconds since the last one ended."""
        since = self.world.seconds - self._deploy_until
        return since if 0 <= since < math.inf else None

    def are_unsure(self) -> bool:
        """An order was not answered; whatever it was may hold, and ends by itself."""
        return self.world.seconds < self._unsure_until

    def works_on(self, target: str, since: float) -> bool:
        """In maintenance since then until now."""
        return any(
            work.target in (None, target) and work.at < since and self.world.seconds < work.until
            for work in self._works
        )

    # -- what they do --------------------------------------------------------------------

    def begin(self, faults: list[float]) -> None:
        """They order something now and then, and when something has broken."""
        if self.zeal == 0:
            return
        self._later()
        for at in faults:
            if self.chance.random() < self.zeal:
                self.world.at(at + self.chance.uniform(-100, 200), self._orders_once)

        chance = self.world.chance("runs")
        for at in faults:
            if chance.random() < self.zeal:
                self.world.at(at + chance.uniform(-100, 300), partial(self._orders_run, chance))
                self.world.at(at + chance.uniform(0, 3600), partial(self._orders_run, chance))

    def _later(self) -> None:
        self.world.after(self.chance.expovariate(self.zeal / 3600), self._order)

    def _order(self) -> None:
        self._orders_once()
        self._later()

    def _orders_once(self) -> None:
        if self._is_done:
            return
        order = self.chance.choice(
            (self._pauses, self._file_pauses, self._deploys, self._works_somewhere, self._resets)
        )
        order()
        self._told()

    def asked(self) -> None:
        """A question is open: somebody looks at it in a while, or never."""
        if not self._is_asked:
            self._is_asked = True
            after = self.chance.choice((20.0, 120.0, 600.0, 1200.0)) if self.zeal else 60.0
            self.world.after(after, self._answer)

    def finish(self) -> None:
        """They go home: every order is ended."""
        self._is_done = True
        self._is_asked = True
        self._resumes()
        self._file_resumes()
        self._releases()
        for work in self._works:
            self._ends_work(work)

    def _says(self, what: str, order: Callable[[], object]) -> bool:
        """Whether the order was taken, as far as they know."""
        good = [False]

        def ask() -> None:
            try:
                order()
            except (Refusal, JournalUnavailable) as error:
                self.world.tell(f"HUMAN {what}: refused, {error}")
            else:
                good[0] = True
                self.world.tell(f"HUMAN {what}")

        if self.process.within(ask) and good[0]:
            self.process.wake()
            return True
        self._unsure_until = self.world.seconds + 3600
        return False

    def _pauses(self) -> None:
        minutes = self.chance.choice((5, 30, 120, None))
        until = None if minutes is None else self.world.clock() + timedelta(minutes=minutes)
        ends = math.inf if minutes is None else self.world.seconds + minutes * 60
        self._api_until = min(self._api_until, ends)
        if self._says("pauses", lambda: self.process.kill_switch.pause("why", "me", until)):
            self._api_until = ends
            if minutes is None:
                self.world.after(self.chance.uniform(60, 7200), self._resumes)
        else:
            self._resumes()  # it may be paused and nobody knows

    def _resumes(self) -> None:
        """Until it is answered."""
        self._api_until = -math.inf
        if not self._says("resumes", lambda: self.process.kill_switch.resume("me")):
            self.world.after(60, self._resumes)
        self._told()

    def _file_pauses(self) -> None:
        self.process.path.with_name("paused").write_text("deep trouble")
        self._file = True
        self.world.tell("HUMAN writes the file that pauses")
        self.world.after(self.chance.uniform(60, 3600), self._file_resumes)

    def _file_resumes(self) -> None:
        self._file = False
        self.process.path.with_name("paused").unlink(missing_ok=True)
        self._told()

    def _deploys(self) -> None:
        now = self.world.seconds
        seconds = self.chance.choice((300.0, 900.0, 3600.0))
        until = START + timedelta(seconds=now + seconds)
        take = partial(self._take_lock, until)
        if self._says("takes the deploy lock", take):
            self._deploy_until = now + seconds
            if self.chance.random() < 0.7:
                self.world.after(self.chance.uniform(30, 900), self._releases)

    def _take_lock(self, until: object) -> None:
        self.process.orders.take_deploy_lock("me", "v2", until, self.world.clock())  # type: ignore[arg-type]

    def _releases(self) -> None:
        self._deploy_until = min(self._deploy_until, self.world.seconds)
        release = lambda: self.process.orders.release_deploy_lock("me", self.world.clock())  # noqa: E731
        self._says("releases the deploy lock", release)
        self._told()

    def _works_somewhere(self) -> None:
        target = self.chance.choice((None, *TOPOLOGY))
        seconds = self.chance.choice((600.0, 3600.0))
        until = self.world.clock() + timedelta(seconds=seconds)
        number: list[int] = []

        def begin() -> None:
            now = self.world.clock()
            orders = self.process.orders
            number.append(orders.begin_maintenance(target, "me", "disks", until, now))

        if self._says(f"begins maintenance of {target or 'everything'}", begin):
            now = self.world.seconds
            work = Work(number[0], target, now, now + seconds)
            self._works.append(work)
            if self.chance.random() < 0.5:
                self.world.after(self.chance.uniform(60, 600), partial(self._ends_work, work))

    def _ends_work(self, work: Work) -> None:
        work.until = min(work.until, self.world.seconds)
        number, now = work.number, self.world.clock()
        end = lambda: self.process.orders.end_maintenance(number, "me", now)  # noqa: E731
        self._says("ends maintenance", end)
        self._told()

    def _resets(self) -> None:
        books = self.process.policy.runbooks
        self.reset(self.chance.choice(sorted(books)), self.chance.choice(sorted(TOPOLOGY)))

    def reset(self, runbook: str, target: str) -> None:
        self.resets.setdefault((runbook, target), []).append(self.world.seconds)
        now = self.world.clock()
        self._says(
            f"resets the breaker of {runbook} on {target}",
            lambda: self.process.orders.reset_breaker(runbook, target, "me", now),
        )

    def _orders_run(self, chance: Random) -> None:
        """What waits, or an entry on a target, whether anything is wrong there or not."""
        if self._is_done or not self.process.is_up:
            return
        policy = self.process.policy
        waits = self.process.peek(
            "SELECT runbook, target FROM runs WHERE state IN ('blocked', 'awaiting_approval')"
        )
        name, key = chance.choice(sorted(policy.runbooks)), chance.choice(sorted(TOPOLOGY))
        if waits and chance.random() < 0.7:
            name, key = chance.choice(waits)
        book = policy.runbooks[name]
        target = TOPOLOGY[book.target_key or key]
        plan = Plan(book, target, labels_of(book, target))
        self.ordered.setdefault((book.id, target.key), []).append(self.world.seconds)

        def place() -> None:
            now, orders = self.world.clock(), RunOrders(self.process.database)
            orders.place(plan, joins(policy, book.id), "me", "", now)

        self._says(f"orders {book.id} on {target.key}", place)
        self._told()

    def _answer(self) -> None:
        self._is_asked = False
        asked: list[dict[str, object]] = []
        if not self.process.within(lambda: asked.extend(self.process.orders.approvals())):
            return
        for question in asked:
            about = f"{question['runbook']}/{question['target']}"
            mood = (self.chance if self.zeal else self.world.chance(about)).random()
            if mood < 0.75:
                run, plan = int(str(question["run_id"])), str(question["plan_hash"])
                yes = mood < 0.65
                self._decides(run, plan, Decision.APPROVED if yes else Decision.DENIED)
        self._told()

    def _decides(self, run: int, plan: str, decision: Decision) -> None:
        if decision is Decision.APPROVED:
            self.approved[run] = (plan, self.world.seconds)
        now = self.world.clock()
        self._says(
            f"says {decision} to run {run}",
            lambda: self.process.orders.decide(run, plan, decision, "me", now),
        )

    def _told(self) -> None:
        for told in self.on_order:
            told()

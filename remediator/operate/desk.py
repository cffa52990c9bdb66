"""What the functions of operators are made of: the policy, the journal, and eyes to look with.

Rule: values and ports only; whoever serves it makes one.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from remediator.journal import Orders, Records, RunLog, RunOrders, Sharer
from remediator.killswitch import KillSwitch
from remediator.metrics import Metrics
from remediator.policy import Policy
from remediator.ports import Alerts, Verifier
from remediator.runs import Via
from remediator.watchdog import Watchdog

EXPLAINED_AT_ONCE = 2
"""So that questions, which wait for Prometheus, leave threads for webhooks."""


class Unknown(Exception):
    """There is no such entry, target or incident; the sentence says which."""


class Busy(Exception):
    """Too many ask at once; ask again."""


@dataclass(frozen=True, slots=True)
class Desk:
    """`wake` must not block; `late` tells of a stuck worker, `trouble` of a dead journal.

    `retention`: how far back figures of entries go. `sharers`: who works on a shared journal.
    """

    policy: Policy
    records: Records
    runs: RunLog
    orders: Orders
    run_orders: RunOrders
    kill_switch: KillSwitch
    alerts: Alerts
    verifier: Verifier
    metrics: Metrics
    wake: Callable[[], None]
    late: Callable[[], bool]
    trouble: Callable[[], str | None]
    clock: Callable[[], datetime]
    version: str
    watchdog: Watchdog | None = None
    retention: timedelta = timedelta(days=90)
    sharers: Callable[[], tuple[Sharer, ...]] = tuple
    explaining: threading.Semaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(EXPLAINED_AT_ONCE)
    )

    def through(self, via: Via) -> "Desk":
        """The same, for orders that are given there."""
        return replace(
            self,
            orders=self.orders.through(via),
            run_orders=self.run_orders.through(via),
            kill_switch=replace(self.kill_switch, via=via),
        )

    @property
    def paused(self) -> Callable[[], str | None]:
        return self.kill_switch.paused

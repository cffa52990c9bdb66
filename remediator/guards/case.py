"""What the guards look at, all of it, as values.

Rule: pure. A guard is a function of a Case alone, so that it can be asked about any moment.
"""

from dataclasses import dataclass
from datetime import datetime

from remediator.outcomes import Reason
from remediator.planner import Plan
from remediator.policy import Policy
from remediator.ports import AlertState, Finding
from remediator.runs import Allowed, Approval, Blocked, DeployLock, Maintenance, PastRun


@dataclass(frozen=True, slots=True)
class Case:
    """All that the guards look at. `state` None: Prometheus could not be asked.

    `started_at` is when the alert began; `past` are the runs that were ever allowed within
    `policy.memory_seconds`, this run not among them. `paused` says why nothing may begin;
    `storm_at` is when it last stormed; `deploy` is the last deployment; `maintenance` are
    humans' works that have not ended; `approval` is what was asked about this run; `confirmed`
    is what the entry's `confirm` checks say.
    """

    plan: Plan
    policy: Policy
    started_at: datetime
    state: AlertState | None
    past: tuple[PastRun, ...]
    now: datetime
    paused: str | None = None
    storm_at: datetime | None = None
    deploy: DeployLock | None = None
    maintenance: tuple[Maintenance, ...] = ()
    approval: Approval | None = None
    confirmed: tuple[Finding, ...] = ()


def ordered(case: Case, no_need: str) -> Allowed | None:
    """A human's order stands in for the alert and for the approval, and for nothing else."""
    order = case.plan.order
    return None if order is None else Allowed(f"{order.by} ordered it: {no_need}")


BLIND = Blocked(Reason.PROMETHEUS_UNREACHABLE, "Prometheus could not be asked")

"""Which runbook entry an alert calls for, on which target: a Plan, or NoPlan with its reason.

Rule: pure. Labels are untrusted: a target is a key of the topology or there is no plan,
and an empty label never means "all".
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from remediator.alerts import Alert, AlertStatus
from remediator.checks import CheckSpec, ProbesCheck
from remediator.outcomes import MENDED, NOT_MENDED, Reason, State
from remediator.policy import Mode, Policy, Runbook
from remediator.runs import Incident, Run, RunOrder
from remediator.topology import Target


@dataclass(frozen=True, slots=True)
class Plan:
    """One runbook entry on one target, because of the alert with these labels, or of an order."""

    runbook: Runbook
    target: Target
    labels: Mapping[str, str]
    order: RunOrder | None = None

    @property
    def checks(self) -> tuple[CheckSpec, ...]:
        """What verifies it; `probes: target` asks nothing of a target without probes."""
        return tuple(
            check
            for check in self.runbook.verify.checks
            if self.target.probes or not (isinstance(check, ProbesCheck) and check.names is None)
        )

    @property
    def shown(self) -> dict[str, object]:
        """What will be done, for the human who is asked to approve it."""
        return {
            "runbook": self.runbook.id,
            "risk": self.runbook.risk.value,
            "target": self.target.key,
            "container": self.target.container,
            "steps": [
                {
                    "id": step.id,
                    "action": step.action,
                    "with": dict(step.params),
                    "timeout_seconds": step.timeout_seconds,
                    "repeat": step.repeat.value,
                }
                for step in self.runbook.steps
            ],
        }

    @property
    def hash(self) -> str:
        """What an approval is bound to: whatever is changed in the plan changes it."""
        told = json.dumps(self.shown, sort_keys=True, default=str)
        return hashlib.sha256(told.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class NoPlan:
    reason: Reason
    detail: str


def plan_for(labels: Mapping[str, str], policy: Policy) -> Plan | NoPlan:
    """The plan of the alert's own runbook."""
    name = labels.get("alertname", "")
    runbook_id = policy.runbook_of_alert.get(name)
    if runbook_id is None:
        return NoPlan(Reason.UNKNOWN_ALERT, f"no runbook lists the alert {name[:100]!r}")
    return plan_of(runbook_id, labels, policy)


def plan_of(runbook_id: str, labels: Mapping[str, str], policy: Policy) -> Plan | NoPlan:
    """The plan of a given runbook, a higher rung perhaps, for the alert with these labels."""
    runbook = policy.runbooks[runbook_id]
    key = runbook.target_key
    if runbook.target_label is not None:
        key = labels.get(runbook.target_label)
    target = policy.topology.get(key) if key else None
    if target is None:
        return NoPlan(Reason.UNKNOWN_TARGET, f"{(key or '')[:100]!r} is not a key of the topology")
    return Plan(runbook, target, labels)


ORDERED = "ManualRun"
"""The alert that is said to fire when a human orders an entry that no alert calls for."""


def labels_of(runbook: Runbook, target: Target) -> dict[str, str]:
    """What stands in for an alert's labels in an order: those of the alert that would ask for it.

    So a verification that waits for the alert to clear looks at that one.
    """
    name = runbook.alerts[0] if runbook.alerts else ORDERED
    return {"alertname": name, runbook.target_label or "service": target.key}


def plan_of_order(order: RunOrder, labels: Mapping[str, str], policy: Policy) -> Plan | NoPlan:
    """What a human has ordered, if the runbook knows it still."""
    runbook, target = policy.runbooks.get(order.runbook), policy.topology.get(order.target)
    if runbook is None or target is None:
        gone = f"{order.runbook} on {order.target} is no longer configured"
        return NoPlan(Reason.UNKNOWN_TARGET, gone)
    if runbook.target_key not in (None, target.key):
        only = f"{runbook.id} works on {runbook.target_key} only"
        return NoPlan(Reason.UNKNOWN_TARGET, only)
    return Plan(runbook, target, labels, order)


class Told(NamedTuple):
    """An alert that a runbook answers, with the plan that says on which target."""

    alert: Alert
    plan: Plan


ACCEPTED = "accepted"
"""How an alert counts that fires and has a plan; every other one counts under a Reason."""


def triage(alerts: Iterable[Alert], policy: Policy) -> tuple[tuple[Told, ...], Counter[str]]:
    """The alerts that have a plan, and how many counted as what."""
    told: list[Told] = []
    counts: Counter[str] = Counter()
    for alert in alerts:
        plan = plan_for(alert.labels, policy)
        if isinstance(plan, NoPlan):
            counts[plan.reason.value] += 1
            continue
        told.append(Told(alert, plan))
        fires = alert.status is AlertStatus.FIRING
        counts[ACCEPTED if fires else Reason.RESOLVED.value] += 1
    return tuple(told), counts


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing is to be done for an incident now."""


def next_plan(incident: Incident, policy: Policy) -> Plan | NoPlan | Rest:
    """What an open incident calls for now: its own runbook, the rung it waits at, or the next.

    What a human has ordered comes first. NoPlan: the ladder has ended, and a human must be
    called; or what was ordered cannot be.
    """
    last = incident.last_run
    if incident.order is not None:
        return plan_of_order(incident.order, incident.labels, policy)
    if incident.runbook not in policy.runbooks:
        return Rest()  # an older config's incident: it closes when its alert is not known any more
    rungs = policy.rungs(incident.runbook)
    rung = rungs.index(last.runbook) if last is not None and last.runbook in rungs else 0
    if last is not None and last.state in NOT_MENDED:
        rung += 1
        if rung == len(rungs):
            reason = last.reason or Reason.NOT_VERIFIED
            return NoPlan(reason, f"{last.runbook} ended {last.state}, and it was the last rung")
    elif last is not None and last.state in MENDED:
        rung = 0  # the fault came back
    if not incident.firing:
        return Rest()
    return _left_alone(last, policy) or plan_of(rungs[rung], incident.labels, policy)


def _left_alone(last: Run | None, policy: Policy) -> NoPlan | Rest | None:
    """Why the same is not tried again although the alert fires."""
    if last is None:
        return None
    if last.reason is Reason.DENIED:
        return Rest()  # a human knows, and wants nothing done
    if last.state is State.EFFECTIVE and last.hold_until is not None:
        return Rest()  # it is watched
    if last.reason is Reason.APPROVAL_EXPIRED:
        return NoPlan(last.reason, f"nobody answered whether {last.runbook} may run")
    runbook = policy.runbooks.get(last.runbook)
    if last.state is State.SKIPPED and runbook and policy.mode_of(runbook) is Mode.OBSERVE:
        return Rest()
    return None

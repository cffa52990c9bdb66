"""What would happen now, and why: the entry, the exact steps, and what each guard says.

Rule: asks what the pipeline would ask, with the same guards, and writes nothing.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from remediator.checks import name_of
from remediator.journal.judgements import verdicts_of
from remediator.operate.desk import Busy, Desk, Unknown
from remediator.outcomes import State
from remediator.planner import NoPlan, Plan, Rest, labels_of, next_plan, plan_for, plan_of_order
from remediator.policy import Policy
from remediator.ports import AlertState
from remediator.resume import same_alerts
from remediator.runs import ACTIVE, Incident, Judgement, RunOrder
from remediator.steps import firing_now, guarded

Json = dict[str, Any]

VERDICTS = {
    State.CLAIMED: ("would_run", "it would be run now"),
    State.SKIPPED: ("would_observe", "it would be run now, if the mode were not observe"),
    State.AWAITING_APPROVAL: ("would_ask", "a human would be asked now"),
}


def explain_alert(desk: Desk, labels: Mapping[str, str]) -> Json:
    """Of an alert with these labels, whether it fires or not. Errors: Busy, JournalUnavailable."""
    own = plan_for(labels, desk.policy)
    if isinstance(own, NoPlan):
        return _told(labels, None, "no_plan", own.detail) | {"reason": own.reason.value}
    with _one_of_few(desk):
        state = firing_now(desk.alerts)
        incident = _incident_of(desk, own, state)
        found = _next(incident, desk.policy)
        if isinstance(found, NoPlan):
            told = _told(labels, incident, "no_plan", found.detail)
            return told | {"reason": found.reason.value, "entry": own.runbook.id}
        plan = own if isinstance(found, str) else found
        judgement = _judged(desk, incident, plan, state)
    told = _explained(labels, incident, plan, judgement, desk.policy)
    return told | {"verdict": "rests", "detail": found} if isinstance(found, str) else told


def explain_order(desk: Desk, entry: str, target: str, by: str) -> Json:
    """As if a human ordered it now. Errors: Unknown, Busy, JournalUnavailable."""
    plan = ordered_plan(desk, entry, target, by)
    joined, obstacle = desk.run_orders.obstacle(plan, joins(desk.policy, entry))
    with _one_of_few(desk):
        state = firing_now(desk.alerts)
        incident = _as_incident(plan, desk, joined or 0)
        judgement = _judged(desk, incident, plan, state)
    told = _explained(None, incident, plan, judgement, desk.policy)
    if judgement.state is not State.CLAIMED:
        told["verdict"] = "blocked"  # an order waits for nothing
    return told | {"verdict": "blocked", "detail": obstacle} if obstacle else told


def ordered_plan(desk: Desk, entry: str, target: str, by: str) -> Plan:
    """What a human would order. Errors: Unknown."""
    runbook, place = desk.policy.runbooks.get(entry), desk.policy.topology.get(target)
    if runbook is None:
        raise Unknown(f"There is no runbook entry {entry!r}.")
    if place is None:
        raise Unknown(f"There is no target {target!r}.")
    labels = labels_of(runbook, place)
    plan = plan_of_order(RunOrder(0, entry, target, "", by, desk.clock()), labels, desk.policy)
    if isinstance(plan, NoPlan):
        raise Unknown(f"{plan.detail}.")
    if plan.order is None:
        raise AssertionError("the plan of an order has it")
    return replace(plan, order=replace(plan.order, plan_hash=plan.hash))


def joins(policy: Policy, entry: str) -> tuple[str, ...]:
    """The entries whose open incident an order of this one joins: its own, or a ladder's."""
    ladders = [other for other in policy.runbooks if entry in policy.rungs(other)]
    return (entry, *(other for other in ladders if other != entry))


@contextmanager
def _one_of_few(desk: Desk) -> Iterator[None]:
    if not desk.explaining.acquire(blocking=False):
        raise Busy("Others ask the same now. Ask again in a moment.")
    try:
        yield
    finally:
        desk.explaining.release()


def _next(incident: Incident, policy: Policy) -> Plan | NoPlan | str:
    """What the pipeline would look at; the sentence that says why it looks at nothing."""
    last = incident.last_run
    if last is not None and last.state in ACTIVE:
        return f"run {last.id} ({last.runbook}) works on it"
    found = next_plan(incident, policy)
    if not isinstance(found, Rest):
        return found
    why = f"run {last.id} is {last.state}" if last is not None else "its alert does not fire"
    return f"incident {incident.id} rests: {why}"


def _incident_of(desk: Desk, plan: Plan, state: AlertState | None) -> Incident:
    """The open one that the alert belongs to, or the one that it would open."""
    place = (plan.runbook.id, plan.target.key)
    for incident in desk.runs.open_incidents():
        if (incident.runbook, incident.target) == place:
            return replace(incident, labels=plan.labels)
    since = [alert.active_at for alert in same_alerts(state, plan.labels)]
    return replace(_as_incident(plan, desk, 0), started_at=min(since, default=desk.clock()))


def _as_incident(plan: Plan, desk: Desk, number: int) -> Incident:
    return Incident(
        id=number,
        runbook=plan.runbook.id,
        target=plan.target.key,
        labels=plan.labels,
        started_at=desk.clock(),
        firing=True,
        escalated=False,
        last_run=None,
    )


def _judged(desk: Desk, incident: Incident, plan: Plan, state: AlertState | None) -> Judgement:
    judge = guarded(incident, plan, state, desk.policy, desk)
    waiting = incident.last_run if plan.order is None else None
    return judge(desk.runs.ledger(waiting.id if waiting is not None else 0, desk.clock()))


def _explained(
    labels: Mapping[str, str] | None,
    incident: Incident,
    plan: Plan,
    judgement: Judgement,
    policy: Policy,
) -> Json:
    verdict, detail = VERDICTS.get(judgement.state, ("blocked", ""))
    if judgement.blocks:
        detail = judgement.why_not
    verify = plan.runbook.verify
    return _told(labels, incident, verdict, detail) | {
        "entry": plan.runbook.id,
        "target": plan.target.key,
        "reason": judgement.blocks[0].reason.value if judgement.blocks else None,
        "plan": plan.shown,
        "plan_hash": plan.hash,
        "mode": policy.mode_of(plan.runbook).value,
        "verify": {
            "checks": [name_of(check) for check in plan.checks],
            "within_seconds": verify.within_seconds,
            "consecutive": verify.consecutive,
        },
        "ladder": list(policy.rungs(plan.runbook.id)[1:]),
        "guards": verdicts_of(judgement),
    }


def _told(
    labels: Mapping[str, str] | None, incident: Incident | None, verdict: str, detail: str
) -> Json:
    return {
        "alert": None if labels is None else dict(labels),
        "entry": None,
        "target": None,
        "incident_id": None if incident is None or incident.id == 0 else incident.id,
        "verdict": verdict,
        "detail": detail,
        "reason": None,
        "plan": None,
        "plan_hash": None,
        "mode": None,
        "verify": None,
        "ladder": [],
        "guards": [],
    }

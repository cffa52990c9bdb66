"""What became of a run while nobody worked on it: it was cut off, answered, or came back.

Rule: never act twice on a guess. An action says itself what it sees of a step that was begun.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from remediator.alerts import is_same_alert
from remediator.outcomes import Reason, State
from remediator.planner import Plan
from remediator.policy import Policy, Repeat, Step
from remediator.ports import AlertState, Effect, FiringAlert, RemediationError
from remediator.runs import Decision, Ending, Incident, Run
from remediator.steps import Again, Ports, act, firing_now, verify


def resume(incident: Incident, run: Run, policy: Policy, ports: Ports) -> Ending:
    """Take up a run whose process or journal died under it; never act twice on a guess."""
    if run.state is not State.INTERRUPTED:
        ports.journal.move(run.id, State.INTERRUPTED, ports.clock())
    if not run.steps:
        untouched = "interrupted before anything was touched; it is judged afresh"
        return Ending(State.CANCELLED, Reason.OUTCOME_UNKNOWN, untouched)
    runbook, target = policy.runbooks.get(run.runbook), policy.topology.get(run.target)
    if runbook is None or target is None:
        gone = "interrupted, and its runbook or target is no longer configured"
        return Ending(State.FAILED, Reason.OUTCOME_UNKNOWN, gone)
    plan = Plan(runbook, target, incident.labels, run.order)
    done, broken = _settle(plan, run, ports)
    again = Again(incident, plan, run, policy, ports)
    if not (done or broken) and (no_more := again.unwanted()) is not None:
        # Not cancelled: it was begun, and counts, or what kills us could be begun for ever.
        return replace(no_more, state=State.ABORTED)
    failed = None if broken else act(again, done)
    ending = failed or verify(plan, run, ports)
    if broken and ending.state is not State.EFFECTIVE:
        ending = Ending(State.INEFFECTIVE, Reason.OUTCOME_UNKNOWN, broken, ending.findings)
    return ending


def _settle(plan: Plan, run: Run, ports: Ports) -> tuple[frozenset[str], str | None]:
    """Ask what became of the step that was cut off.

    The steps that are done now, and a sentence when none may follow them.
    """
    done = frozenset(record.step_id for record in run.steps if record.outcome == "done")
    last = run.steps[-1]
    if last.outcome == "failed":
        return done, f"step {last.step_id} had failed when the process stopped"
    if last.outcome == Effect.UNKNOWN:
        return done, f"step {last.step_id} was interrupted and is not repeated"
    if last.outcome is not None and last.outcome != Effect.NOT_DONE:
        return done, None
    step = next((step for step in plan.runbook.steps if step.id == last.step_id), None)
    effect = _effect(step, plan, last.intent_at, ports)
    found = f"found after an interruption: {effect}"
    ports.journal.outcome(last.step_row, effect.value, found, {}, ports.clock())
    if effect is Effect.DONE:
        return done | {last.step_id}, None
    tries = sum(1 for record in run.steps if record.step_id == last.step_id)
    repeats = step is not None and step.repeat is Repeat.IF_NOT_DONE
    if effect is Effect.NOT_DONE and repeats and tries == 1:  # what kills us would do so for ever
        return done, None
    return done, f"step {last.step_id} was interrupted ({effect}) and is not repeated"


def _effect(step: Step | None, plan: Plan, intended_at: datetime, ports: Ports) -> Effect:
    if step is None:
        return Effect.UNKNOWN
    try:
        return ports.action(step).probe(plan.target, intended_at=intended_at)
    except RemediationError:
        return Effect.UNKNOWN


def overtaken(incident: Incident, last: Run, ports: Ports) -> Ending | None:
    """What became of a run without our doing: a human's answer, or a success that was none."""
    now, asked = ports.clock(), last.approval
    if last.state in {State.AWAITING_APPROVAL, State.BLOCKED} and asked is not None:
        if asked.decision is Decision.DENIED:
            return Ending(State.ABORTED, Reason.DENIED, f"{asked.by} denied it")
        waits = last.state is State.AWAITING_APPROVAL and asked.decision is None
        if waits and now >= asked.expires_at:
            late = f"nobody answered about plan {asked.plan_hash} in time"
            return Ending(State.ABORTED, Reason.APPROVAL_EXPIRED, late)
    if last.state is State.EFFECTIVE and last.hold_until is not None and incident.firing:
        return _watched(incident, last.ended_at or now, last.hold_until, ports)
    return None


def _watched(
    incident: Incident, mended_at: datetime, hold_until: datetime, ports: Ports
) -> Ending | None:
    """A success whose alert is told to fire: perhaps by a webhook that was late."""
    alerts = same_alerts(firing_now(ports.alerts), incident.labels)
    if any(mended_at < alert.active_at <= hold_until for alert in alerts):
        return Ending(State.RECURRED, Reason.CAME_BACK, "the alert came back while it was watched")
    if not alerts or ports.clock() < hold_until:
        return None
    if any(alert.active_at <= mended_at for alert in alerts):
        detail = "the alert has not cleared for as long as it was watched"
        return Ending(State.RECURRED, Reason.CAME_BACK, detail)
    detail = "it stayed away for as long as it was watched; what fires now began later"
    return Ending(State.HELD, Reason.VERIFIED, detail)


def same_alerts(state: AlertState | None, labels: Mapping[str, str]) -> list[FiringAlert]:
    """Those of this alert that fire; none when nobody can tell."""
    firing = () if state is None else state.firing
    return [alert for alert in firing if is_same_alert(alert.labels, labels)]

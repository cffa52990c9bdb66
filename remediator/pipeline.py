"""One open incident, once through: alert -> plan -> guard -> action -> verify -> record.

Rule: the order stands in `remediate`, on one screen. It knows ports only: no client, no
clock of its own. Errors of the journal and Stopped pass through; what they leave behind in
the journal is taken up again by `resume`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from remediator import guards
from remediator.alerts import is_same_alert
from remediator.outcomes import NOT_MENDED, Reason, State
from remediator.planner import NoPlan, Plan, next_plan
from remediator.policy import Policy, Repeat, Step
from remediator.ports import (
    Action,
    Alerts,
    AlertState,
    Check,
    Effect,
    FiringAlert,
    NotYet,
    Refused,
    RemediationError,
    Transient,
    Verifier,
)
from remediator.runs import ACTIVE, Decision, Ending, Incident, Judgement, Ledger, Run

LOOK_AGAIN_SECONDS = 1.0


class RunJournal(Protocol):
    """What the pipeline writes down; `remediator.journal.RunLog` is the real one."""

    def claim(
        self,
        incident_id: int,
        plan: Plan,
        judge: Callable[[Ledger], Judgement],
        now: datetime,
    ) -> Run | None: ...

    def ledger(self, run_id: int, now: datetime) -> Ledger: ...

    def intend(self, run_id: int, step: Step, now: datetime) -> int | None: ...

    def outcome(
        self,
        step_row: int,
        outcome: str,
        summary: str,
        evidence: Mapping[str, object],
        now: datetime,
    ) -> None: ...

    def move(self, run_id: int, state: State, now: datetime) -> None: ...

    def finish(self, run_id: int, ending: Ending, now: datetime) -> None: ...

    def escalate(
        self, incident_id: int, runbook: str, reason: Reason, summary: str, now: datetime
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Ports:
    """All that the pipeline reaches. `wait` may raise Stopped; `action` makes a step's action.

    `paused` says why nothing may begin, and is asked before each step.
    """

    journal: RunJournal
    alerts: Alerts
    verifier: Verifier
    action: Callable[[Step], Action]
    clock: Callable[[], datetime]
    wait: Callable[[float], None]
    paused: Callable[[], str | None]


def remediate(incident: Incident, policy: Policy, ports: Ports) -> bool:
    """Take an incident as far as it goes now. True: look at it again, something has changed."""
    last = incident.last_run
    if last is not None and last.state in ACTIVE:
        return resume(incident, last, policy, ports)
    if last is not None and (ending := _overtaken(incident, last, ports)) is not None:
        return record(incident, last, ending, policy, ports)
    plan = next_plan(incident, policy)  # alert -> plan
    if not isinstance(plan, Plan):
        return isinstance(plan, NoPlan) and _call_human(incident, plan.reason, plan.detail, ports)
    state = _firing_now(ports.alerts)
    if _just_mended(incident, state):
        return False

    run = claim(incident, plan, state, policy, ports)  # guard
    if run is None or run.state is not State.CLAIMED:
        return run is not None and _call_human_if_stuck(incident, run, ports)

    ending = act(plan, run, ports, partial(_unwanted, incident, plan, run, policy, ports))  # action
    if ending is None:
        ending = verify(plan, run, ports)  # verify
    return record(incident, run, ending, policy, ports)  # record


def claim(
    incident: Incident, plan: Plan, state: AlertState | None, policy: Policy, ports: Ports
) -> Run | None:
    """Ask the guards, in the transaction that counts the run against its limits.

    None: the incident has been closed meanwhile.
    """
    judge = _guards(incident, plan, state, policy, ports)
    return ports.journal.claim(incident.id, plan, judge, ports.clock())


def _guards(
    incident: Incident, plan: Plan, state: AlertState | None, policy: Policy, ports: Ports
) -> Callable[[Ledger], Judgement]:
    """What is known outside of the journal now; the guards' answer once that is read too."""
    wanted = plan.runbook.confirm
    confirmed = ports.verifier.look(wanted, plan.target, plan.labels) if wanted else ()
    paused, now = ports.paused(), ports.clock()

    def judge(ledger: Ledger) -> Judgement:
        case = guards.Case(
            plan=plan,
            policy=policy,
            started_at=incident.started_at,
            state=state,
            past=ledger.past,
            now=now,
            paused=paused,
            storm_at=ledger.storm_at,
            deploy=ledger.deploy,
            maintenance=ledger.maintenance,
            approval=ledger.approval,
            confirmed=confirmed,
        )
        return guards.judge(case)

    return judge


Unwanted = Callable[[], Ending | None]
"""Asks again, before anything was done, whether it may still be begun; the Ending if not."""


def act(
    plan: Plan, run: Run, ports: Ports, unwanted: Unwanted, done: frozenset[str] = frozenset()
) -> Ending | None:
    """The steps that are not done yet, in order. An Ending when one of them did not go well."""
    for step in plan.runbook.steps:
        if step.id not in done:
            ending = _take(step, plan, run, ports, unwanted)
            if ending is not None:
                return ending
    return None


def _take(step: Step, plan: Plan, run: Run, ports: Ports, unwanted: Unwanted) -> Ending | None:
    """1. look  2. is it still allowed  3. write the intent  4. act  5. write the outcome."""
    action, row, began = ports.action(step), None, ports.clock()
    try:
        refused = _until_ready(action, step, plan, run, ports, unwanted=unwanted)
        if refused is not None:
            return refused
        began = ports.clock()
        paused = ports.paused()
        if paused is not None:
            return Ending(State.ABORTED, Reason.PAUSED, f"before step {step.id}: {paused}")
        row = ports.journal.intend(run.id, step, began)
        if row is None:
            never = f"step {step.id} was tried in this incident already and is never repeated"
            return Ending(State.FAILED, Reason.OUTCOME_UNKNOWN, never)
        done = action.run(plan.target, timeout_seconds=step.timeout_seconds)
    except RemediationError as error:
        now = ports.clock()
        if row is not None:
            ports.journal.outcome(row, "failed", str(error), error.evidence, now)
        overran = now - began >= timedelta(seconds=step.timeout_seconds)
        reason = Reason.ACTION_TIMEOUT if overran else Reason.ACTION_FAILED
        return Ending(State.FAILED, reason, str(error))
    ports.journal.outcome(row, "done", done.summary, done.evidence, ports.clock())
    return None


def _until_ready(
    action: Action, step: Step, plan: Plan, run: Run, ports: Ports, *, unwanted: Unwanted
) -> Ending | None:
    """Ask the pre-check until it says yes or no. The Ending when it is not yes."""
    until = ports.clock() + timedelta(seconds=step.timeout_seconds)
    waited = False
    while isinstance(ready := action.precheck(plan.target), NotYet):
        if ports.clock() >= until:
            return Ending(State.FAILED, Reason.PRECHECK_REFUSED, ready.detail)
        waited = True
        ports.wait(LOOK_AGAIN_SECONDS)
    if isinstance(ready, Refused):
        return Ending(State.FAILED, ready.reason, ready.detail)
    is_first = not run.steps and step == plan.runbook.steps[0]
    return unwanted() if waited and is_first else None


def verify(plan: Plan, run: Run, ports: Ports) -> Ending:
    """Look until all checks pass so many times in a row, or the time is over."""
    wanted = plan.runbook.verify
    ports.journal.move(run.id, State.VERIFYING, ports.clock())
    ports.wait(wanted.settle_seconds)
    until = ports.clock() + timedelta(seconds=wanted.within_seconds)
    in_a_row = 0
    while True:
        findings = ports.verifier.look(plan.checks, plan.target, plan.labels)
        verdicts = {finding.verdict for finding in findings}
        in_a_row = in_a_row + 1 if verdicts == {Check.PASS} else 0
        if in_a_row >= wanted.consecutive:
            good = f"all checks passed {in_a_row} times in a row"
            hold = timedelta(seconds=wanted.hold_seconds)
            watched = ports.clock() + hold if hold else None
            return Ending(State.EFFECTIVE, Reason.VERIFIED, good, findings, watched)
        if ports.clock() >= until:
            break
        ports.wait(wanted.interval_seconds)
    if Check.FAIL in verdicts:
        failed = "; ".join(f.detail for f in findings if f.verdict is Check.FAIL)
        return Ending(State.INEFFECTIVE, Reason.NOT_VERIFIED, failed, findings)
    unknown = "; ".join(f.detail for f in findings if f.verdict is Check.INCONCLUSIVE)
    if not unknown:
        unknown = f"the checks passed {in_a_row} times in a row, {wanted.consecutive} are wanted"
    return Ending(State.INCONCLUSIVE, Reason.NO_DATA, unknown, findings)


def record(incident: Incident, run: Run, ending: Ending, policy: Policy, ports: Ports) -> bool:
    """Write how the run ended; call a human when nothing is left to try. Always True."""
    now = ports.clock()
    ports.journal.finish(run.id, ending, now)
    rungs = policy.rungs(incident.runbook) if incident.runbook in policy.runbooks else ()
    is_last = not rungs or run.runbook == rungs[-1] or run.runbook not in rungs
    if ending.state in NOT_MENDED and is_last:
        summary = f"{run.runbook} on {run.target} ended {ending.state}: {ending.detail}"
        ports.journal.escalate(incident.id, run.runbook, ending.reason, summary, now)
    return True


def resume(incident: Incident, run: Run, policy: Policy, ports: Ports) -> bool:
    """Take up a run whose process or journal died under it; never act twice on a guess."""
    if run.state is not State.INTERRUPTED:
        ports.journal.move(run.id, State.INTERRUPTED, ports.clock())
    if not run.steps:
        untouched = "interrupted before anything was touched; it is judged afresh"
        ending = Ending(State.CANCELLED, Reason.OUTCOME_UNKNOWN, untouched)
        return record(incident, run, ending, policy, ports)
    runbook, target = policy.runbooks.get(run.runbook), policy.topology.get(run.target)
    if runbook is None or target is None:
        gone = "interrupted, and its runbook or target is no longer configured"
        ending = Ending(State.FAILED, Reason.OUTCOME_UNKNOWN, gone)
        return record(incident, run, ending, policy, ports)
    plan = Plan(runbook, target, incident.labels)
    done, broken = _settle(plan, run, ports)
    again = partial(_unwanted, incident, plan, run, policy, ports)
    if not (done or broken) and (unwanted := again()) is not None:
        # Not cancelled: it was begun, and counts, or what kills us could be begun for ever.
        return record(incident, run, replace(unwanted, state=State.ABORTED), policy, ports)
    failed = None if broken else act(plan, run, ports, again, done)
    ending = failed or verify(plan, run, ports)
    if broken and ending.state is not State.EFFECTIVE:
        ending = Ending(State.INEFFECTIVE, Reason.OUTCOME_UNKNOWN, broken, ending.findings)
    return record(incident, run, ending, policy, ports)


def _unwanted(
    incident: Incident, plan: Plan, run: Run, policy: Policy, ports: Ports
) -> Ending | None:
    """Nothing was done yet, and time has passed since it was allowed: may it be done now?"""
    state = _firing_now(ports.alerts)
    judge = _guards(incident, plan, state, policy, ports)
    blocks = judge(ports.journal.ledger(run.id, ports.clock())).blocks
    if not blocks:
        return None
    gone = blocks[0].reason is Reason.NOT_FIRING
    why = f"nothing was done yet, and now: {blocks[0].detail}"
    return Ending(State.CANCELLED, Reason.RESOLVED if gone else blocks[0].reason, why)


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


def _firing_now(alerts: Alerts) -> AlertState | None:
    """None when nobody can tell; the guards say no to that."""
    try:
        return alerts.now()
    except Transient:
        return None


def _overtaken(incident: Incident, last: Run, ports: Ports) -> Ending | None:
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
    alerts = _same(_firing_now(ports.alerts), incident.labels)
    if any(mended_at < alert.active_at <= hold_until for alert in alerts):
        return Ending(State.RECURRED, Reason.CAME_BACK, "the alert came back while it was watched")
    if not alerts or ports.clock() < hold_until:
        return None
    if any(alert.active_at <= mended_at for alert in alerts):
        detail = "the alert has not cleared for as long as it was watched"
        return Ending(State.RECURRED, Reason.CAME_BACK, detail)
    detail = "it stayed away for as long as it was watched; what fires now began later"
    return Ending(State.HELD, Reason.VERIFIED, detail)


def _same(state: AlertState | None, labels: Mapping[str, str]) -> list[FiringAlert]:
    """Those of this alert that fire; none when nobody can tell."""
    firing = () if state is None else state.firing
    return [alert for alert in firing if is_same_alert(alert.labels, labels)]


def _just_mended(incident: Incident, state: AlertState | None) -> bool:
    """Its run worked, the alert is gone, only the incident has not been closed yet."""
    last = incident.last_run
    return (
        last is not None
        and last.state is State.EFFECTIVE
        and state is not None
        and not _same(state, incident.labels)
    )


def _call_human(incident: Incident, reason: Reason, why: str, ports: Ports) -> bool:
    """Once in an incident; True when it was now."""
    if incident.escalated:
        return False
    summary = f"{incident.runbook} on {incident.target}: {why}"
    ports.journal.escalate(incident.id, incident.runbook, reason, summary, ports.clock())
    return True


def _call_human_if_stuck(incident: Incident, run: Run, ports: Ports) -> bool:
    now = ports.clock()
    reason = guards.needs_human(run.blocks, run.blocked_since or now, now)
    if reason is None:
        return False
    why = f"the alert fires and nothing is done, blocked by {reason}"
    return _call_human(incident, reason, why, ports)

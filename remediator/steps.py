"""A run that was allowed, step by step: look, intend, act, write down; then verify.

Rule: as in `pipeline.py`, ports only. What a run reaches stands here in `Ports`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from remediator import guards
from remediator.outcomes import Reason, State
from remediator.planner import Plan
from remediator.policy import Policy, Step
from remediator.ports import (
    Action,
    Alerts,
    AlertState,
    Check,
    Finding,
    NotYet,
    Refused,
    RemediationError,
    Transient,
    Verifier,
)
from remediator.runs import Ending, Incident, Judgement, Ledger, Run, RunOrder

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

    def claim_ordered(
        self,
        incident_id: int,
        plan: Plan,
        judge: Callable[[Ledger], Judgement],
        now: datetime,
    ) -> Run | None: ...

    def refuse_order(self, order: RunOrder, incident_id: int, why: str, now: datetime) -> None: ...

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


class Eyes(Protocol):
    """What is looked at before the guards are asked."""

    @property
    def verifier(self) -> Verifier: ...

    @property
    def clock(self) -> Callable[[], datetime]: ...

    @property
    def paused(self) -> Callable[[], str | None]: ...


def firing_now(alerts: Alerts) -> AlertState | None:
    """None when nobody can tell; the guards say no to that."""
    try:
        return alerts.now()
    except Transient:
        return None


def guarded(
    incident: Incident, plan: Plan, state: AlertState | None, policy: Policy, eyes: Eyes
) -> Callable[[Ledger], Judgement]:
    """What is known outside of the journal now; the guards' answer once that is read too."""
    wanted, ask = plan.runbook.confirm, plan.runbook.confirm and plan.order is None
    confirmed = eyes.verifier.look(wanted, plan.target, plan.labels) if ask else ()
    case = _case(incident, plan, state, policy, eyes, confirmed=confirmed)
    return lambda ledger: guards.judge(case(ledger))


def _case(
    incident: Incident,
    plan: Plan,
    state: AlertState | None,
    policy: Policy,
    eyes: Eyes,
    *,
    confirmed: tuple[Finding, ...] = (),
) -> Callable[[Ledger], guards.Case]:
    paused, now = eyes.paused(), eyes.clock()
    return lambda ledger: guards.Case(
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


@dataclass(frozen=True, slots=True)
class Again:
    """Asks again about a run that is under way, before its steps."""

    incident: Incident
    plan: Plan
    run: Run
    policy: Policy
    ports: Ports

    def unwanted(self) -> Ending | None:
        """Nothing was done yet, and time has passed since it was allowed: may it be done now?"""
        state = firing_now(self.ports.alerts)
        judge = guarded(self.incident, self.plan, state, self.policy, self.ports)
        blocks = judge(self._ledger()).blocks
        if not blocks:
            return None
        gone = blocks[0].reason is Reason.NOT_FIRING
        why = f"nothing was done yet, and now: {blocks[0].detail}"
        return Ending(State.CANCELLED, Reason.RESOLVED if gone else blocks[0].reason, why)

    def stopped(self, step: Step) -> Ending | None:
        """Something was done: is the next step still wanted?"""
        state = firing_now(self.ports.alerts)
        case = _case(self.incident, self.plan, state, self.policy, self.ports)
        found = guards.stopped(case(self._ledger()), step)
        if found is None:
            return None
        return Ending(State.ABORTED, found.reason, f"before step {step.id}: {found.detail}")

    def _ledger(self) -> Ledger:
        return self.ports.journal.ledger(self.run.id, self.ports.clock())


def act(again: Again, done: frozenset[str] = frozenset()) -> Ending | None:
    """The steps that are not done yet, in order. An Ending when one of them did not go well."""
    first = again.plan.runbook.steps[0]
    for step in again.plan.runbook.steps:
        if step.id not in done:
            ending = _take(step, again, is_first=step == first and not again.run.steps)
            if ending is not None:
                return ending
    return None


def _take(step: Step, again: Again, *, is_first: bool) -> Ending | None:
    """1. look  2. is it still wanted  3. write the intent  4. act  5. write the outcome."""
    plan, run, ports = again.plan, again.run, again.ports
    action, row, began = ports.action(step), None, ports.clock()
    try:
        refused = _until_ready(action, step, again, is_first=is_first)
        if refused is None and not is_first:
            refused = again.stopped(step)
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


def _until_ready(action: Action, step: Step, again: Again, *, is_first: bool) -> Ending | None:
    """Ask the pre-check until it says yes or no. The Ending when it is not yes."""
    ports = again.ports
    until = ports.clock() + timedelta(seconds=step.timeout_seconds)
    waited = False
    while isinstance(ready := action.precheck(again.plan.target), NotYet):
        if ports.clock() >= until:
            return Ending(State.FAILED, Reason.PRECHECK_REFUSED, ready.detail)
        waited = True
        ports.wait(LOOK_AGAIN_SECONDS)
    if isinstance(ready, Refused):
        return Ending(State.FAILED, ready.reason, ready.detail)
    return again.unwanted() if waited and is_first else None


def verify(plan: Plan, run: Run, ports: Ports) -> Ending:
    """Look until all checks pass so many times in a row, or the time is over.

    The time is not lengthened by interruptions: whoever is started again and again must call a
    human too. So many looks as are wanted there always are.
    """
    wanted = plan.runbook.verify
    ports.journal.move(run.id, State.VERIFYING, ports.clock())
    ports.wait(wanted.settle_seconds)
    now, began_at = ports.clock(), run.acted_at
    until = now + timedelta(seconds=wanted.within_seconds)
    if began_at is not None:
        least = now + timedelta(seconds=wanted.consecutive * wanted.interval_seconds)
        until = max(least, began_at + timedelta(seconds=wanted.settle_seconds) + (until - now))
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

"""One open incident, once through: alert -> plan -> guard -> action -> verify -> record.

Rule: the order stands in `remediate`, on one screen. It knows ports only: no client, no
clock of its own. Errors of the journal and Stopped pass through; what they leave behind in
the journal is taken up again by `resume`.
"""

from remediator import guards
from remediator.outcomes import NOT_MENDED, Reason, State
from remediator.planner import NoPlan, Plan, next_plan
from remediator.policy import Policy
from remediator.ports import AlertState
from remediator.resume import overtaken, resume, same_alerts
from remediator.runs import ACTIVE, Ending, Incident, Run
from remediator.steps import Again, Ports, RunJournal, act, firing_now, guarded, verify

__all__ = ["Ports", "RunJournal", "remediate"]


def remediate(incident: Incident, policy: Policy, ports: Ports) -> bool:
    """Take an incident as far as it goes now. True: look at it again, something has changed."""
    last = incident.last_run
    if last is not None and last.state in ACTIVE:
        return record(incident, last, resume(incident, last, policy, ports), policy, ports)
    if last is not None and (ending := overtaken(incident, last, ports)) is not None:
        return record(incident, last, ending, policy, ports)
    plan = next_plan(incident, policy)  # alert -> plan
    if not isinstance(plan, Plan):
        return isinstance(plan, NoPlan) and _no_plan(incident, plan, ports)
    state = firing_now(ports.alerts)
    if plan.order is None and _just_mended(incident, state):
        return False

    run = claim(incident, plan, state, policy, ports)  # guard
    if run is None or run.state is not State.CLAIMED:
        return plan.order is not None or _call_human_if_stuck(incident, run, ports)

    ending = act(Again(incident, plan, run, policy, ports))  # action
    if ending is None:
        ending = verify(plan, run, ports)  # verify
    return record(incident, run, ending, policy, ports)  # record


def claim(
    incident: Incident, plan: Plan, state: AlertState | None, policy: Policy, ports: Ports
) -> Run | None:
    """Ask the guards, in the transaction that counts the run against its limits.

    None: the incident has been closed meanwhile, or the guards say no to what was ordered.
    """
    judge = guarded(incident, plan, state, policy, ports)
    journal = ports.journal
    ask = journal.claim if plan.order is None else journal.claim_ordered
    return ask(incident.id, plan, judge, ports.clock())


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


def _just_mended(incident: Incident, state: AlertState | None) -> bool:
    """Its run worked, the alert is gone, only the incident has not been closed yet."""
    last = incident.last_run
    return (
        last is not None
        and last.state is State.EFFECTIVE
        and state is not None
        and not same_alerts(state, incident.labels)
    )


def _no_plan(incident: Incident, why: NoPlan, ports: Ports) -> bool:
    if incident.order is None:
        return _call_human(incident, why.reason, why.detail, ports)
    ports.journal.refuse_order(incident.order, incident.id, why.detail, ports.clock())
    return True


def _call_human(incident: Incident, reason: Reason, why: str, ports: Ports) -> bool:
    """Once in an incident; True when it was now."""
    if incident.escalated:
        return False
    summary = f"{incident.runbook} on {incident.target}: {why}"
    ports.journal.escalate(incident.id, incident.runbook, reason, summary, ports.clock())
    return True


def _call_human_if_stuck(incident: Incident, run: Run | None, ports: Ports) -> bool:
    if run is None:
        return False
    now = ports.clock()
    reason = guards.needs_human(run.blocks, run.blocked_since or now, now)
    if reason is None:
        return False
    why = f"the alert fires and nothing is done, blocked by {reason}"
    return _call_human(incident, reason, why, ports)

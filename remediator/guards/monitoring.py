"""What the monitoring says now: does it fire, is that fresh, is it the right moment?

Rule: pure; who cannot tell says no.
"""

from remediator import storm
from remediator.alerts import explains, is_same_alert
from remediator.guards.case import BLIND, Case, ordered
from remediator.outcomes import Reason
from remediator.policy import Risk
from remediator.ports import AlertState, Check
from remediator.runs import ACTIVE, Allowed, Blocked, RunOrder
from remediator.topology import Target


def fresh_data(case: Case) -> Allowed | Blocked:
    if case.state is None:
        return BLIND
    age, limit = case.state.data_age_seconds, case.policy.max_data_age_seconds
    if age is None or not age <= limit:
        told = "there is no data" if age is None else f"the newest data is {age:.0f} s old"
        return Blocked(Reason.DATA_STALE, f"{told}, at most {limit:.0f} s is believed")
    return Allowed(f"the newest data is {max(age, 0):.0f} s old")


def sighted(case: Case) -> Allowed | Blocked:
    """An exporter that lost its network calls everything down, and everything may be well."""
    if by_order := ordered(case, "it is no matter what the exporter sees"):
        return by_order
    if case.state is None:
        return BLIND
    if case.state.sees is not False:
        return Allowed("the exporter reaches something over the network")
    if case.state.running.get(case.plan.target.key) is False:
        return Allowed("the exporter reaches nothing, but the engine says that this is down")
    told = "the exporter reaches nothing over the network: what it calls down may be well"
    return Blocked(Reason.EXPORTER_BLIND, told)


def still_firing(case: Case) -> Allowed | Blocked:
    if by_order := ordered(case, "no alert needs to fire"):
        return by_order
    if case.state is None:
        return BLIND
    if any(is_same_alert(alert.labels, case.plan.labels) for alert in case.state.firing):
        return Allowed("Prometheus says the alert fires")
    return Blocked(Reason.NOT_FIRING, "Prometheus does not say that the alert fires")


def firing_age(case: Case) -> Allowed | Blocked:
    if case.plan.order is not None:
        return _order_age(case, case.plan.order)
    age = (case.now - case.started_at).total_seconds()
    wanted, most = case.plan.runbook.firing_for_seconds, case.policy.max_age_seconds
    if age > most and case.plan.runbook.window is None:
        # Whatever it needs, a machine that tries now what it did not try a day ago is guessing.
        # What waits for its window was only not tried yet.
        return Blocked(Reason.TOO_OLD, f"firing for {age:.0f} s, longer than {most:.0f} s")
    detail = f"firing for {age:.0f} s, {wanted:.0f} s are wanted"
    return Allowed(detail) if age >= wanted else Blocked(Reason.TOO_YOUNG, detail)


def _order_age(case: Case, order: RunOrder) -> Allowed | Blocked:
    """What was wanted before a long interruption is perhaps not wanted after it."""
    age, most = (case.now - order.at).total_seconds(), case.policy.approval_seconds
    detail = f"{order.by} ordered it {max(age, 0):.0f} s ago"
    if age <= most:
        return Allowed(f"{detail}: no alert has an age")
    return Blocked(Reason.TOO_OLD, f"{detail}, longer than {most:.0f} s; order it again")


def not_muted(case: Case) -> Allowed | Blocked:
    """A human who silences an alert wants quiet, from machines too."""
    if by_order := ordered(case, "it is no matter whether an alert is silenced"):
        return by_order
    if case.state is None:
        return BLIND
    if case.state.notified is None:
        told = "Alertmanager could not be asked whether the alert is silenced"
        return Blocked(Reason.ALERTMANAGER_UNREACHABLE, told)
    same = [a for a in case.state.notified if is_same_alert(a.labels, case.plan.labels)]
    for alert in same:
        if alert.muted is not None:
            return Blocked(alert.muted, f"the alert is {alert.muted} in Alertmanager")
    if not same:
        # It is on its way there; until it has come, no silence can be seen.
        return Blocked(Reason.NOT_NOTIFIED, "Alertmanager does not hold the alert")
    return Allowed("neither silenced nor inhibited")


def dependencies(case: Case) -> Allowed | Blocked:
    needed = case.plan.target.depends_on
    if not needed:
        return Allowed("the target depends on nothing")
    if case.state is None:
        return BLIND
    # Pending too: the fault of a dependency is often told later than what it does to its clients.
    for alerts, does in ((case.state.firing, "fires"), (case.state.pending, "is pending")):
        for alert in alerts:
            if alert.labels.get("service") in needed and explains(alert.labels):
                name, service = alert.labels.get("alertname"), alert.labels["service"]
                detail = f"{name} {does} on {service}: mend that first"
                return Blocked(Reason.DEPENDENCY_FIRING, detail)
    for service in needed:
        if service in case.state.lately:
            detail = f"an alert on {service} has just ended: the target may find back by itself"
            return Blocked(Reason.DEPENDENCY_FIRING, detail)
    return Allowed(f"no alert fires on {', '.join(needed)}")


def unless_firing(case: Case) -> Allowed | Blocked:
    """Alerts which the entry itself says it must keep out of the way of."""
    others = case.plan.runbook.unless_firing
    if not others:
        return Allowed("the entry waits for no other alert")
    if case.state is None:
        return BLIND
    for alert in case.state.firing:
        if alert.labels.get("alertname") in others:
            return Blocked(Reason.OTHER_ALERT_FIRING, f"{alert.labels['alertname']} fires")
    return Allowed(f"none of {', '.join(sorted(others))} fires")


def confirmed(case: Case) -> Allowed | Blocked:
    """One metric is no diagnosis: the entry's own checks must fail too."""
    wanted = case.plan.runbook.confirm
    if not wanted:
        return Allowed("the entry asks for no second signal")
    if by_order := ordered(case, "a human has looked, no second signal is needed"):
        return by_order
    if len(case.confirmed) != len(wanted):
        return Blocked(Reason.NOT_CONFIRMED, "the second signal was not asked for")
    for finding in case.confirmed:
        if finding.verdict is not Check.FAIL:
            detail = f"{finding.check} says {finding.verdict}: {finding.detail}"
            return Blocked(Reason.NOT_CONFIRMED, detail)
    return Allowed("; ".join(finding.detail for finding in case.confirmed))


def storm_brake(case: Case) -> Allowed | Blocked:
    """Many faults at once have one cause, which no runbook entry knows."""
    if case.state is None:
        return BLIND
    found = storm_now(case)
    if found is not None:
        return Blocked(Reason.STORM, found)
    if case.storm_at is not None:
        calm, wanted = (case.now - case.storm_at).total_seconds(), case.policy.storm.calm_seconds
        if calm < wanted:
            detail = f"calm for {max(calm, 0):.0f} s after a storm, {wanted:.0f} s are wanted"
            return Blocked(Reason.STORM, detail)
    return Allowed("no storm")


def capacity(case: Case) -> Allowed | Blocked:
    """What still serves is not taken down unless enough others serve."""
    target = case.plan.target
    groups = [group for group in case.policy.groups.values() if target.key in group.members]
    if case.plan.runbook.risk is Risk.SAFE or not groups:
        return Allowed("nothing that others must stand in for")
    if case.state is None:
        return BLIND
    if _serves(case.state, target) is False:
        return Allowed(f"{target.key} does not serve as it is")
    busy = {run.target for run in case.past if run.state in ACTIVE}
    for group in groups:
        others = [
            key
            for key in group.members
            if key not in busy | {target.key}
            and _serves(case.state, case.policy.topology[key]) is True
        ]
        if len(others) < group.min_healthy:
            detail = f"{len(others)} others serve, {group.min_healthy} must stand in for it"
            return Blocked(Reason.CAPACITY, detail)
    return Allowed("enough others serve")


def storm_now(case: Case) -> str | None:
    """The sentence for a human when it storms now."""
    if case.state is None:
        return None
    in_flight = [run.target for run in case.past if run.state in ACTIVE]
    return storm.seen(case.state, in_flight, case.policy, case.now)


def _serves(state: AlertState, target: Target) -> bool | None:
    """None: nobody can tell."""
    signs = [state.running.get(target.key), *(state.probes.get(name) for name in target.probes)]
    if False in signs:
        return False
    return None if None in signs else True

"""Whether so much is broken at once that single faults are not the cause: the storm brake.

Rule: pure. A target that a run works on counts as broken, whatever its alert says now. The
first rule counts what depends on a broken service too, so that the dependency gate hides
nothing; the second counts causes, so that one database is not a storm by itself. What no
entry mends counts only when it says that the service itself is broken: a minor alert says that
something is not as expected, errors are as likely another's, and a call to humans is no fault.
"""

from collections.abc import Iterable
from datetime import datetime

from remediator.alerts import explains
from remediator.planner import Plan, plan_for
from remediator.policy import Policy
from remediator.ports import AlertState, FiringAlert


def seen(state: AlertState, in_flight: Iterable[str], policy: Policy, now: datetime) -> str | None:
    """The sentence for a human when it storms now."""
    limits, busy = policy.storm, frozenset(in_flight)
    fresh = busy | {
        plan.target.key
        for alert in state.firing
        if (now - alert.active_at).total_seconds() <= limits.within_seconds
        and isinstance(plan := plan_for(alert.labels, policy), Plan)
    }
    if len(fresh) > limits.targets:
        return f"{len(fresh)} targets broke within {limits.within_seconds:.0f} s"
    services = {key for key, target in policy.topology.items() if target.container}
    told = {a.labels.get("service", "") for a in state.firing if _says_broken(a, policy)}
    broken = (busy | told) & services
    causes = {key for key in broken if not broken & set(policy.topology[key].depends_on)}
    if len(causes) >= limits.at_least and len(causes) > limits.share * len(services):
        return f"{len(causes)} of {len(services)} services are broken, each by itself"
    return None


def _says_broken(alert: FiringAlert, policy: Policy) -> bool:
    if isinstance(plan_for(alert.labels, policy), Plan):
        return True
    return explains(alert.labels) and alert.labels.get("category") != "errors"

"""What people have ordered: stop, observe, ask first, keep out while we deploy or work.

Rule: pure. An order ends by itself at its time; what it forbids stays forbidden until then.
"""

from remediator.guards.case import Case
from remediator.outcomes import Reason
from remediator.policy import Mode
from remediator.runs import Allowed, Approval, Blocked, Decision, RunOrder


def kill_switch(case: Case) -> Allowed | Blocked:
    if case.paused is not None:
        return Blocked(Reason.PAUSED, case.paused)
    return Allowed("nobody has paused the remediator")


def mode(case: Case) -> Allowed | Blocked:
    found = case.policy.mode_of(case.plan.runbook)
    if found is Mode.OBSERVE:
        return Blocked(Reason.MODE_OBSERVE, "mode is observe: nothing is touched")
    return Allowed(f"mode is {found}")


def works_here(case: Case) -> Blocked | None:
    """A human, on the target or on everything."""
    for work in case.maintenance:
        if work.target in (None, case.plan.target.key) and case.now < work.until:
            until = f"until {work.until:%H:%M} UTC"
            detail = f"{work.by} works on {work.target or 'everything'} {until}: {work.reason}"
            return Blocked(Reason.MAINTENANCE, detail)
    return None


def maintenance(case: Case) -> Allowed | Blocked:
    if work := works_here(case):
        return work
    quiet = set(case.policy.quiet_windows) - {case.plan.runbook.window}
    for name in sorted(quiet):
        if case.policy.windows[name].holds(case.now):
            return Blocked(Reason.MAINTENANCE, f"nothing is begun in the window {name}")
    return Allowed("nobody works on it")


def window(case: Case) -> Allowed | Blocked:
    name = case.plan.runbook.window
    if name is None:
        return Allowed("the entry may run at any time")
    if case.policy.windows[name].holds(case.now):
        return Allowed(f"it is the window {name}")
    return Blocked(Reason.OUTSIDE_WINDOW, f"it runs in the window {name} only")


def deploy(case: Case) -> Allowed | Blocked:
    """A deployment breaks and mends things itself; shortly after it, only going back helps."""
    last = case.deploy
    if last is None:
        return Allowed("no deployment is known")
    if case.now < last.ends_at:
        return Blocked(Reason.DEPLOYING, f"{last.by} deploys: {last.reason}")
    since, wanted = (case.now - last.ends_at).total_seconds(), case.policy.after_deploy_seconds
    detail = f"the last deployment ended {since:.0f} s ago"
    if since < wanted and not case.plan.runbook.after_deploy:
        return Blocked(Reason.RECENT_DEPLOY, f"{detail}, {wanted:.0f} s are wanted")
    return Allowed(detail)


def approval(case: Case) -> Allowed | Blocked:
    """An approval is for one plan as it was shown, and grows old; an order is one too."""
    if case.plan.order is not None:
        return _as_ordered(case, case.plan.order)
    if case.policy.mode_of(case.plan.runbook) is not Mode.APPROVE:
        return Allowed("no human needs to be asked")
    return _answered(case)


def _answered(case: Case) -> Allowed | Blocked:
    asked = case.approval
    if asked is None or asked.plan_hash != case.plan.hash:
        return Blocked(Reason.NEEDS_APPROVAL, f"nobody was asked about plan {case.plan.hash}")
    if asked.decision is Decision.DENIED:
        return Blocked(Reason.NEEDS_APPROVAL, f"{asked.by} denied it")
    if asked.decision is None or asked.decided_at is None:
        until = f"{asked.expires_at:%H:%M:%S} UTC"
        return Blocked(Reason.NEEDS_APPROVAL, f"asked about plan {asked.plan_hash} until {until}")
    if (case.now - asked.decided_at).total_seconds() > case.policy.approval_seconds:
        return Blocked(Reason.NEEDS_APPROVAL, f"{asked.by} approved it too long ago")
    return Allowed(f"{asked.by} approved plan {asked.plan_hash}")


def _as_ordered(case: Case, order: RunOrder) -> Allowed | Blocked:
    if order.plan_hash == case.plan.hash:
        return Allowed(f"{order.by} ordered plan {order.plan_hash}")
    changed = f"the plan is not the one that {order.by} ordered; order it again"
    return Blocked(Reason.NEEDS_APPROVAL, changed)


def is_asked(case: Case) -> bool:
    """Whether this very plan is before a human now, or was denied."""
    asked: Approval | None = case.approval
    return (
        asked is not None
        and asked.plan_hash == case.plan.hash
        and asked.decision is not Decision.APPROVED
        and (asked.decision is Decision.DENIED or case.now < asked.expires_at)
    )


def target_allowed(case: Case) -> Allowed | Blocked:
    """The plan's target is one key of the topology, and none of what we stand on ourselves."""
    target = case.plan.target
    if case.policy.topology.get(target.key) != target:
        return Blocked(Reason.TARGET_DENIED, f"{target.key!r} is not in the topology as it is now")
    if target.container in case.policy.never_touch:
        return Blocked(Reason.TARGET_DENIED, f"{target.container} is never touched")
    return Allowed("a key of the topology")

"""Whether a run that has begun takes its next step.

Rule: pure. Only what is known for sure ends what was begun: half of a runbook entry can be worse
than all of it. The kill switch is asked apart, right before each step.
"""

from remediator.guards.case import Case
from remediator.guards.monitoring import fresh_data, not_muted, still_firing
from remediator.guards.orders import works_here
from remediator.outcomes import Reason
from remediator.policy import Step
from remediator.runs import Blocked


def stopped(case: Case, step: Step) -> Blocked | None:
    """Why the run ends before this step: a human's wish, or there is nothing to mend any more."""
    work = works_here(case)
    if work is not None:
        return work
    muted = not_muted(case)
    if isinstance(muted, Blocked) and muted.reason is Reason.SILENCED:
        return muted
    if step.even_if_cleared or isinstance(fresh_data(case), Blocked):
        return None
    cleared = isinstance(still_firing(case), Blocked) and case.state is not None
    if cleared and case.state is not None and case.state.steady:
        return Blocked(Reason.RESOLVED, "the alert has cleared")
    return None

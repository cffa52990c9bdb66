"""A run as the pipeline reads it.

Rule: reads only, within whatever transaction the caller is in.
"""

from remediator.journal.database import Database, to_time
from remediator.journal.orders import approval
from remediator.journal.run_orders import order_of_run
from remediator.outcomes import Reason, State
from remediator.runs import Approval, Run, StepRecord


def run_of(database: Database, run_id: int) -> Run:
    row = database.all("run", id=run_id)[0]
    return Run(
        id=run_id,
        runbook=row["runbook"],
        target=row["target"],
        state=State(row["state"]),
        reason=Reason(row["reason"]) if row["reason"] else None,
        blocks=frozenset(
            Reason(r["reason"]) for r in database.all("blocking_reasons", run_id=run_id)
        ),
        blocked_since=to_time(row["blocked_since"]) if row["blocked_since"] else None,
        steps=tuple(
            StepRecord(s["id"], s["step_id"], to_time(s["intent_at"]), s["outcome"])
            for s in database.all("steps_of_run", run_id=run_id)
        ),
        acted_at=to_time(row["acted_at"]) if row["acted_at"] else None,
        ended_at=to_time(row["ended_at"]) if row["ended_at"] else None,
        hold_until=to_time(row["hold_until"]) if row["hold_until"] else None,
        approval=approval_of(database, run_id),
        order=order_of_run(database, run_id),
    )


def approval_of(database: Database, run_id: int) -> Approval | None:
    return next(map(approval, database.all("approval", run_id=run_id)), None)

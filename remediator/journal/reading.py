"""Rows of incidents and runs -> the values that the pipeline and the guards work with.

Rule: reads only, within whatever transaction the caller is in.
"""

import json
from datetime import datetime, timedelta

from remediator.journal.database import Database, Row, to_text, to_time
from remediator.journal.orders import approval, deploy_lock, works
from remediator.journal.run_orders import order_of_run, waiting_order
from remediator.outcomes import Reason, State
from remediator.runs import Approval, Incident, Ledger, PastRun, Run, StepRecord


class RunReader:
    def __init__(self, database: Database, memory: timedelta) -> None:
        """`memory`: how far back the guards look."""
        self._database = database
        self._memory = memory

    def incident(self, row: Row) -> Incident:
        database = self._database
        lead = database.all("signal_that_leads", incident_id=row["id"])[0]
        last = database.one("last_run", incident_id=row["id"])
        return Incident(
            id=row["id"],
            runbook=row["runbook"],
            target=row["target"],
            labels=json.loads(lead["identity"]),
            started_at=to_time(lead["starts_at"]),
            firing=bool(lead["firing"]),
            escalated=bool(row["escalated"]),
            last_run=self.run(last["id"]) if last is not None else None,
            order=waiting_order(database, row["id"]),
        )

    def ledger(self, run_id: int, now: datetime) -> Ledger:
        database = self._database
        storm, deploy = database.one("storm"), database.one("last_deploy")
        return Ledger(
            past=self.past(now, but=run_id),
            storm_at=to_time(storm["at"]) if storm is not None else None,
            deploy=deploy_lock(deploy) if deploy is not None else None,
            maintenance=works(database, now),
            approval=approval_of(database, run_id),
        )

    def past(self, now: datetime, *, but: int | None = None) -> tuple[PastRun, ...]:
        """What the guards count, `but` the run that is judged. Errors: JournalUnavailable."""
        since = to_text(now - self._memory)
        return tuple(
            PastRun(
                run_id=row["id"],
                runbook=row["runbook"],
                target=row["target"],
                state=State(row["state"]),
                claimed_at=to_time(row["claimed_at"]),
                ended_at=to_time(row["ended_at"]) if row["ended_at"] else None,
                forgiven=bool(row["forgiven"]),
            )
            for row in self._database.all("past_runs", run_id=but or 0, since=since)
        )

    def run(self, run_id: int) -> Run:
        database = self._database
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

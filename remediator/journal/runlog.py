"""Keeps runs: judged, claimed, each step's intent and outcome, ended; and that help is needed.

Rule: a claim is one transaction that re-reads what the guards count and writes what they
said; an intent is on disk before its action starts.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta

from remediator.journal.database import Database, Row, to_text, to_time
from remediator.journal.judgements import ask, write_guards
from remediator.journal.lease import Lease, LeaseLost
from remediator.journal.reading import RunReader
from remediator.journal.run_orders import claim_for, instead, refuse, waiting_order
from remediator.notices import severity_of
from remediator.outcomes import Reason, State
from remediator.planner import Plan
from remediator.policy import Step
from remediator.runs import (
    ACTIVE,
    Change,
    Ending,
    Incident,
    Judgement,
    Ledger,
    PastRun,
    Run,
    RunOrder,
)

STAYS_TOLD = timedelta(minutes=15)
"""A human who is called finds the call standing, even if the alert has gone by then."""

BLIND = frozenset(
    {Reason.PROMETHEUS_UNREACHABLE, Reason.DATA_STALE, Reason.ALERTMANAGER_UNREACHABLE}
)
"""Another remediator, elsewhere, may see what this one cannot."""


class RunLog:
    def __init__(
        self,
        database: Database,
        memory: timedelta,
        on_change: Callable[[Change], None],
        on_escalated: Callable[[Reason], None] = lambda _: None,
        lease: Lease | None = None,
    ) -> None:
        """`memory`: how far back the guards look. Both callbacks are told after each commit.

        What is written here about an incident raises LeaseLost when another remediator has it.
        """
        self._database = database
        self._reader = RunReader(database, memory)
        self._lease = lease or Lease(database)
        self._on_change = on_change
        self._on_escalated = on_escalated

    # -- what there is to do -------------------------------------------------------------

    def open_incidents(self) -> list[Incident]:
        """But those of other remediators. Errors: JournalUnavailable."""
        with self._database.reading() as database:
            rows = database.all("open_incidents_of", me=self._lease.number)
            return [self._reader.incident(row) for row in rows]

    def incident(self, incident_id: int) -> Incident | None:
        """As it is now, and ours; None when it is closed or another's.

        Errors: JournalUnavailable.
        """
        with self._database.transaction() as database:
            row = database.one("open_incident_again", id=incident_id)
            if row is None or not self._lease.take(incident_id):
                return None
            return self._reader.incident(row)

    def at_work(self, now: datetime) -> list[str]:
        """The targets that something is done to. Errors: JournalUnavailable."""
        with self._database.reading():
            return [run.target for run in self.past(now) if run.state in ACTIVE]

    def saw_storm(self, now: datetime) -> None:
        """The guards remember it. Errors: JournalUnavailable."""
        with self._database.transaction() as database:
            database.do("saw_storm", at=to_text(now))

    def close_mended(self, now: datetime) -> list[str]:
        """Close every incident whose alerts are all gone; a run still waiting is cancelled.

        The runbook entry of each that was closed. One whose success is still watched stays
        open; one that a human was called for does for STAYS_TOLD at least.

        Errors: JournalUnavailable.
        """
        told: list[tuple[Row, State, Reason | None]] = []
        with self._database.transaction() as database:
            told_before = to_text(now - STAYS_TOLD)
            rows = database.all(
                "incidents_without_fault", told_before=told_before, now=to_text(now)
            )
            for row in rows:
                waiting = database.one("open_run_of_incident", incident_id=row["id"])
                if waiting is not None:
                    told.append((waiting, State.CANCELLED, Reason.RESOLVED))
                    gone = "the alert cleared before anything was touched"
                    self._end(waiting, Ending(State.CANCELLED, Reason.RESOLVED, gone), now)
                for watched in database.all("watched_runs", incident_id=row["id"]):
                    told.append((watched, State.HELD, None))
                    database.do("hold_run", id=watched["id"])
                    self._event(now, row["id"], watched["id"], f"run_{State.HELD}", {})
                database.do("close_incident", id=row["id"], at=to_text(now))
                self._event(now, row["id"], None, "incident_closed", {})
        for run, state, reason in told:
            self._tell(run, state, reason)
        return [row["runbook"] for row in rows]

    # -- a run ---------------------------------------------------------------------------

    def claim(
        self,
        incident_id: int,
        plan: Plan,
        judge: Callable[[Ledger], Judgement],
        now: datetime,
    ) -> Run | None:
        """Judge the incident's waiting run, or a new one, and write what was said.

        Only when its state comes back CLAIMED may anything be touched. None: the incident has
        been closed since it was looked at.
        Errors: JournalUnavailable; then nothing is claimed.
        """
        with self._database.transaction() as database:
            self._lease.check(incident_id)
            row = database.one("open_run_of_incident", incident_id=incident_id)
            if row is None:
                place = {"runbook": plan.runbook.id, "target": plan.target.key}
                database.do("add_run", incident_id=incident_id, at=to_text(now), **place)
                row = database.one("open_run_of_incident", incident_id=incident_id)
            if row is None:
                return None
            judgement = judge(self._reader.ledger(row["id"], now))
            if judgement.storms:
                database.do("saw_storm", at=to_text(now))
            first = judgement.blocks[0] if judgement.blocks else None
            reason = first.reason if first else None
            changed = row["state"] != judgement.state or row["reason"] != reason
            told = {"reason": reason, "detail": first.detail if first else ""}
            state = judgement.state.value
            database.do("judge_run", id=row["id"], state=state, at=to_text(now), **told)
            write_guards(database, row["id"], judgement)
            if judgement.asks is not None:
                asked = ask(database, row["id"], plan, judgement.asks, now)
                self._event(now, incident_id, row["id"], "approval_asked", asked)
            if changed:
                self._event(now, incident_id, row["id"], f"run_{judgement.state}", told)
            if reason in BLIND:
                self._lease.release(incident_id)
            judged = self._reader.run(row["id"])
        if changed:
            self._tell(row, judged.state, reason)
        return judged

    def claim_ordered(
        self,
        incident_id: int,
        plan: Plan,
        judge: Callable[[Ledger], Judgement],
        now: datetime,
    ) -> Run | None:
        """Judge what a human has ordered, once: it is claimed, instead of what waits, or refused.

        None: it is refused, or was judged already. Errors: JournalUnavailable.
        """
        replaced = None
        with self._database.transaction() as database:
            self._lease.check(incident_id)
            order = waiting_order(database, incident_id)
            if order is None or order != plan.order:
                return None
            judgement = judge(self._reader.ledger(0, now))
            if judgement.storms:
                database.do("saw_storm", at=to_text(now))
            if judgement.state is not State.CLAIMED:
                refuse(database, order, incident_id, judgement.why_not, now, judgement=judgement)
                return None
            replaced = database.one("open_run_of_incident", incident_id=incident_id)
            if replaced is not None:
                self._end(replaced, instead(order), now)
            run_id = claim_for(database, order, incident_id, judgement, now)
            told = {"order_id": order.id, "by": order.by}
            self._event(now, incident_id, run_id, f"run_{State.CLAIMED}", told)
            run = self._reader.run(run_id)
        if replaced is not None:
            self._tell(replaced, State.CANCELLED, Reason.SUPERSEDED)
        self._on_change(Change(run.runbook, run.target, State.CLAIMED, None))
        return run

    def refuse_order(self, order: RunOrder, incident_id: int, why: str, now: datetime) -> None:
        """Errors: JournalUnavailable."""
        with self._database.transaction() as database:
            refuse(database, order, incident_id, why, now)

    def ledger(self, run_id: int, now: datetime) -> Ledger:
        """What the guards count, but the run itself. Errors: JournalUnavailable."""
        with self._database.reading():
            return self._reader.ledger(run_id, now)

    def past(self, now: datetime) -> tuple[PastRun, ...]:
        """What the guards count. Errors: JournalUnavailable."""
        return self._reader.past(now)

    def intend(self, run_id: int, step: Step, now: datetime) -> int | None:
        """Write that the step is about to be taken; its row, or None when it never may be again.

        Errors: JournalUnavailable; then the step must not be taken.
        """
        with self._database.transaction() as database:
            row = database.do(
                "add_step",
                run_id=run_id,
                step_id=step.id,
                action=step.action,
                repeat=step.repeat.value,
                at=to_text(now),
            )
            if row is None:
                return None
            run = self._move(run_id, State.EXECUTING, now, {"step": step.id})
            incident = {"incident_id": run["incident_id"]}
            is_first = database.all("steps_before", **incident, id=row)[0]["total"] == 0
            lead = database.all("signal_that_leads", **incident)[0]
        since = (now - to_time(lead["received_at"])).total_seconds()
        acted = since if is_first and lead["told"] else None
        self._tell(run, State.EXECUTING, None, seconds_to_act=acted)
        return row

    def outcome(
        self,
        step_row: int,
        outcome: str,
        summary: str,
        evidence: Mapping[str, object],
        now: datetime,
    ) -> None:
        """Errors: JournalUnavailable."""
        with self._database.transaction() as database:
            database.do(
                "end_step",
                id=step_row,
                outcome=outcome,
                summary=summary,
                evidence=json.dumps(dict(evidence), default=str),
                at=to_text(now),
            )
            owner = database.one("step_owner", id=step_row)
            if owner is not None:
                self._lease.check(owner["incident_id"])
                detail = {"step": owner["step_id"], "outcome": outcome, "summary": summary}
                self._event(now, owner["incident_id"], owner["run_id"], "step_ended", detail)

    def move(self, run_id: int, state: State, now: datetime) -> None:
        """Into a state that is not an end. Errors: JournalUnavailable."""
        with self._database.transaction():
            row = self._move(run_id, state, now, {})
        self._tell(row, state, None)

    def finish(self, run_id: int, ending: Ending, now: datetime) -> None:
        """Errors: JournalUnavailable."""
        with self._database.transaction() as database:
            row = database.all("run", id=run_id)[0]
            self._lease.check(row["incident_id"])
            self._end(row, ending, now)
            lead = database.all("signal_that_leads", incident_id=row["incident_id"])[0]
        since = (now - to_time(lead["starts_at"])).total_seconds()
        mended = since if ending.state is State.EFFECTIVE and lead["told"] else None
        self._tell(row, ending.state, ending.reason, mended)

    def interrupt_all(self, now: datetime) -> int:
        """At start, and of others later: whatever a dead process left is interrupted, and ours.

        Errors: JournalUnavailable.
        """
        with self._database.transaction() as database:
            active = database.all("active_runs")
            rows = [row for row in active if self._lease.inherit(row["incident_id"])]
            for row in rows:
                self._move(row["id"], State.INTERRUPTED, now, {})
        for row in rows:
            self._tell(row, State.INTERRUPTED, None)
        return len(rows)

    def abandon(self, incident: Incident, ending: Ending, now: datetime) -> None:
        """A defect ended the work on an incident: end its run, or call a human at once.

        Errors: JournalUnavailable.
        """
        row = self._database.one("open_run_of_incident", incident_id=incident.id)
        with suppress(LeaseLost):
            if row is not None and State(row["state"]) in ACTIVE:
                self.finish(row["id"], ending, now)
            else:
                self.escalate(incident.id, incident.runbook, ending.reason, ending.detail, now)

    # -- calls for a human ---------------------------------------------------------------

    def escalate(
        self, incident_id: int, runbook: str, reason: Reason, summary: str, now: datetime
    ) -> None:
        """Open the incident's one call for a human. Errors: JournalUnavailable."""
        with self._database.transaction() as database:
            words = {"runbook": runbook, "reason": reason.value, "summary": summary}
            lead = database.all("signal_that_leads", incident_id=incident_id)[0]
            key = {
                "incident_id": incident_id,
                "severity": severity_of(json.loads(lead["identity"])),
            }
            called = database.do("add_escalation", at=to_text(now), **key, **words) is not None
            if called:
                self._event(now, incident_id, None, "escalated", words)
        if called:
            self._on_escalated(reason)

    def _tell(
        self,
        row: Row,
        state: State,
        reason: Reason | None,
        seconds_to_mend: float | None = None,
        seconds_to_act: float | None = None,
    ) -> None:
        place = row["runbook"], row["target"]
        self._on_change(Change(*place, state, reason, seconds_to_mend, seconds_to_act))

    # -- inside a transaction ------------------------------------------------------------

    def _move(self, run_id: int, state: State, now: datetime, detail: Mapping[str, object]) -> Row:
        row = self._database.all("run", id=run_id)[0]
        self._lease.check(row["incident_id"])
        if row["ended_at"] is not None:
            raise AssertionError(f"run {run_id} has ended and cannot become {state}")
        self._database.do("move_run", id=run_id, state=state.value, at=to_text(now))
        self._event(now, row["incident_id"], run_id, f"run_{state}", detail)
        return row

    def _end(self, row: Row, ending: Ending, now: datetime) -> None:
        """Errors: LeaseLost, when somebody ended it since it was looked at."""
        findings = [
            {"check": f.check, "verdict": f.verdict, "detail": f.detail} for f in ending.findings
        ]
        ended = self._database.do(
            "end_run",
            id=row["id"],
            state=ending.state.value,
            reason=ending.reason.value,
            detail=ending.detail,
            findings=json.dumps(findings),
            at=to_text(now),
            hold_until=to_text(ending.hold_until) if ending.hold_until else None,
        )
        if ended is None:
            raise LeaseLost(f"run {row['id']} has ended already")
        detail = {"reason": ending.reason, "detail": ending.detail}
        self._event(now, row["incident_id"], row["id"], f"run_{ending.state}", detail)

    def _event(
        self,
        now: datetime,
        incident_id: int,
        run_id: int | None,
        kind: str,
        detail: Mapping[str, object],
    ) -> None:
        self._database.do(
            "add_event",
            at=to_text(now),
            incident_id=incident_id,
            run_id=run_id,
            kind=kind,
            detail=json.dumps(dict(detail)),
        )

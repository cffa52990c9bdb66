"""Keeps the runs that humans order, from the order until it was judged.

Rule: an order is on disk before it is answered, waits in one incident and is judged once:
then it has a run, or the sentence that refuses it. It never waits for a better moment.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from remediator.journal.database import Database, Row, to_text, to_time
from remediator.journal.events import write_event
from remediator.journal.judgements import verdicts_of, write_guards
from remediator.journal.orders import Refusal, words_of
from remediator.outcomes import Reason, State
from remediator.planner import Plan
from remediator.runs import ACTIVE, Ending, Judgement, RunOrder, Via


@dataclass(frozen=True, slots=True)
class Placed:
    """Where an order waits. `opened`: it opened the incident."""

    order_id: int
    incident_id: int
    opened: bool


class RunOrders:
    """`via`: as of `Orders`."""

    def __init__(self, database: Database, via: Via | None = None) -> None:
        self._database = database
        self._via = via

    def through(self, via: Via | None) -> "RunOrders":
        return RunOrders(self._database, via)

    def place(self, plan: Plan, joins: Sequence[str], by: str, note: str, now: datetime) -> Placed:
        """In the open incident on the target of the first entry of `joins` that has one.

        Errors: Refusal when the incident cannot take it now, JournalUnavailable.
        """
        place = {"runbook": plan.runbook.id, "target": plan.target.key}
        with self._database.transaction() as database:
            found = incident_for(database, plan, joins)
            if found is not None and (why := why_not(database, found, plan.runbook.id)):
                raise Refusal(why)
            incident_id = found or _added(database.do("open_incident", at=to_text(now), **place))
            if found is None:
                opened = {**place, "by": by, **words_of(self._via)}
                write_event(database, now, "incident_opened", opened, incident_id=incident_id)
            words = {"plan_hash": plan.hash, "by": by, "note": note}
            labels = json.dumps(dict(plan.labels), sort_keys=True)
            order_id = _added(
                database.do(
                    "add_run_order", incident_id=incident_id, labels=labels, at=to_text(now),
                    **place, **words,
                )
            )  # fmt: skip
            told = {"order_id": order_id, **place, **words, **words_of(self._via)}
            write_event(database, now, "run_ordered", told, incident_id=incident_id)
        return Placed(order_id, incident_id, opened=found is None)

    def obstacle(self, plan: Plan, joins: Sequence[str]) -> tuple[int | None, str | None]:
        """The incident that an order would join, and why it cannot. Errors: JournalUnavailable."""
        with self._database.reading() as database:
            found = incident_for(database, plan, joins)
            return found, None if found is None else why_not(database, found, plan.runbook.id)


def incident_for(database: Database, plan: Plan, joins: Sequence[str]) -> int | None:
    rows = database.all("open_incidents_on", target=plan.target.key)
    by_entry = {row["runbook"]: int(row["id"]) for row in rows}
    return next((by_entry[entry] for entry in joins if entry in by_entry), None)


def why_not(database: Database, incident_id: int, runbook: str) -> str | None:
    """Why an order cannot wait in this incident; None when it can."""
    waiting = waiting_order(database, incident_id)
    if waiting is not None:
        return f"{waiting.by} has ordered {waiting.runbook} on {waiting.target} a moment ago."
    run = database.one("open_run_of_incident", incident_id=incident_id)
    if run is not None and State(run["state"]) in ACTIVE:
        return (
            f"Run {run['id']} ({run['runbook']}) works on {run['target']}. Wait until it has ended."
        )
    for step in database.all("never_tried", incident_id=incident_id, runbook=runbook):
        return (
            f"Step {step['step_id']} of {runbook} was tried in incident {incident_id} and is never "
            "repeated while that is open."
        )
    return None


# -- inside the transaction of a claim ------------------------------------------------------


def waiting_order(database: Database, incident_id: int) -> RunOrder | None:
    row = database.one("waiting_order", incident_id=incident_id)
    return None if row is None else _order(row)


def order_of_run(database: Database, run_id: int) -> RunOrder | None:
    row = database.one("order_of_run", run_id=run_id)
    return None if row is None else _order(row)


def claim_for(
    database: Database, order: RunOrder, incident_id: int, judgement: Judgement, now: datetime
) -> int:
    """The run that carries it out, allowed already."""
    at, place = to_text(now), {"runbook": order.runbook, "target": order.target}
    database.do("add_run", incident_id=incident_id, at=at, **place)
    run_id = int(database.all("open_run_of_incident", incident_id=incident_id)[0]["id"])
    database.do("judge_run", id=run_id, state=State.CLAIMED.value, reason=None, detail="", at=at)
    database.do("take_order", id=order.id, run_id=run_id)
    write_guards(database, run_id, judgement)
    return run_id


def refuse(
    database: Database,
    order: RunOrder,
    incident_id: int,
    why: str,
    now: datetime,
    *,
    judgement: Judgement | None = None,
) -> None:
    guards = [] if judgement is None else verdicts_of(judgement)
    database.do("refuse_order", id=order.id, why=why, guards=json.dumps(guards))
    told: dict[str, object] = {"order_id": order.id, "runbook": order.runbook, "detail": why}
    if judgement is not None and judgement.blocks:
        told["reason"] = judgement.blocks[0].reason
    write_event(database, now, "order_refused", told, incident_id=incident_id)


def instead(order: RunOrder) -> Ending:
    """How a run ends that waited when a human ordered another."""
    why = f"nothing was done yet, and {order.by} ordered {order.runbook} on {order.target}"
    return Ending(State.CANCELLED, Reason.SUPERSEDED, why)


def _order(row: Row) -> RunOrder:
    return RunOrder(
        id=row["id"],
        runbook=row["runbook"],
        target=row["target"],
        plan_hash=row["plan_hash"],
        by=row["by"],
        at=to_time(row["at"]),
        note=row["note"],
    )


def _added(row_id: int | None) -> int:
    if row_id is None:
        raise AssertionError("an insert gives an id")
    return row_id

"""Writes what the guards said of a run, and what a human is asked because of it.

Rule: inside the caller's transaction, so that a claim and its verdicts are one.
"""

import json
from datetime import datetime

from remediator.journal.database import Database, to_text
from remediator.planner import Plan
from remediator.runs import Allowed, Judgement, Question


def write_guards(database: Database, run_id: int, judgement: Judgement) -> None:
    database.do("forget_guards", run_id=run_id)
    rows = [
        {"run_id": run_id, "position": position, **row}
        for position, row in enumerate(verdicts_of(judgement))
    ]
    database.many("add_guard", rows)


def verdicts_of(judgement: Judgement) -> list[dict[str, str | None]]:
    """As the journal and the API show them."""
    return [
        {
            "guard": verdict.guard,
            "verdict": "allowed" if isinstance(verdict.answer, Allowed) else "blocked",
            "reason": getattr(verdict.answer, "reason", None),
            "detail": verdict.answer.detail,
        }
        for verdict in judgement.verdicts
    ]


def ask(
    database: Database, run_id: int, plan: Plan, asks: Question, now: datetime
) -> dict[str, object]:
    """Ask a human; the words of the event that says so."""
    expires_at = to_text(asks.expires_at)
    asked = {"plan_hash": asks.plan_hash, "plan": json.dumps(plan.shown)}
    database.do("ask_approval", run_id=run_id, at=to_text(now), expires_at=expires_at, **asked)
    return {"plan_hash": asks.plan_hash, "expires_at": expires_at}

"""The journal as people and programs read it: the JSON of the read API, and the gauges.

Rule: reads only. Times go out as RFC 3339 UTC with milliseconds.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from remediator.journal.database import Database, Row, to_text, to_time
from remediator.notices import severity_of
from remediator.outcomes import MENDED

LISTED_INCIDENTS = 200
TOLD_ALERTS = 50
TOLD_EVENTS = 500
ALL = 1_000_000_000
LAST = 2**62


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which incidents. What is empty wants all; `since`: open, or closed since then.

    `text` is looked for, whatever its case, in targets, entries, labels of alerts, and what was
    said of runs, calls and orders. `before` is the id that the page before ended with.
    """

    state: Literal["", "open", "closed"] = ""
    entry: str = ""
    target: str = ""
    since: datetime | None = None
    text: str = ""
    before: int = LAST
    limit: int = 50


class Records:
    def __init__(self, database: Database) -> None:
        self._database = database

    def incidents(self, limit: int = LISTED_INCIDENTS) -> list[dict[str, Any]]:
        """The newest first. Errors: JournalUnavailable."""
        with self._database.reading() as database:
            rows = database.all("incidents_newest_first", limit=limit)
            return [self._incident(row) for row in rows]

    def page(self, wanted: Wanted) -> list[dict[str, Any]]:
        """The newest first, without events. Errors: JournalUnavailable."""
        with self._database.reading() as database:
            rows = database.all(
                "incidents_wanted",
                state=wanted.state,
                entry=wanted.entry,
                target=wanted.target,
                since=to_text(wanted.since) if wanted.since else "",
                text=wanted.text and f"%{_literally(wanted.text.lower())}%",
                before=wanted.before,
                limit=wanted.limit,
            )
            return [self._incident(row, TOLD_ALERTS) for row in rows]

    def runs_at_work(self) -> list[dict[str, Any]]:
        """What holds a target now. Errors: JournalUnavailable."""
        with self._database.reading() as database:
            rows = database.all("runs_at_work")
            return [{**self._run(row), "incident_id": row["incident_id"]} for row in rows]

    def claimed_runs(self, since: datetime) -> list[dict[str, Any]]:
        """Every run that was ever allowed since then, the newest first. Errors: JournalUnavailable.

        `seconds_to_mend`: from the start of its alert to the verified end of the fault; None when
        it did not mend anything, or no alert called for it.
        """
        rows = self._database.all("claimed_runs", since=to_text(since))
        return [_summary(row) for row in rows]

    def last_webhook(self) -> datetime | None:
        """When one was last stored. Errors: JournalUnavailable."""
        at = self._database.all("last_webhook")[0]["at"]
        return to_time(at) if at else None

    def open_incidents(self) -> int:
        """Errors: JournalUnavailable."""
        return int(self._database.all("count_open_incidents")[0]["total"])

    def story(self, incident_id: int) -> dict[str, Any] | None:
        """As `incident`, at most TOLD_ALERTS and TOLD_EVENTS of it, and how many there are.

        Errors: JournalUnavailable.
        """
        found = self.incident(incident_id, alerts=TOLD_ALERTS, events=TOLD_EVENTS)
        if found is None:
            return None
        key = {"incident_id": incident_id}
        total = self._database.all("events_in_incident", **key)[0]["total"]
        return found | {"events_total": total}

    def incident(
        self, incident_id: int, *, alerts: int = ALL, events: int = ALL
    ) -> dict[str, Any] | None:
        """With its timeline. Errors: JournalUnavailable."""
        with self._database.reading() as database:
            row = database.one("incident", id=incident_id)
            if row is None:
                return None
            rows = database.all(
                "events_of_incident", incident_id=incident_id, limit=events, alerts=alerts
            )
            timeline = [
                {
                    "at": _time(event["at"]),
                    "run_id": event["run_id"],
                    "kind": event["kind"],
                    "detail": json.loads(event["detail"]),
                }
                for event in rows
            ]
            return {**self._incident(row, alerts), "events": timeline}

    def runs_in_progress(self) -> dict[str, int]:
        """Target -> runs that hold it. Errors: JournalUnavailable."""
        rows = self._database.all("runs_in_progress_by_target")
        return {row["target"]: row["total"] for row in rows}

    def runs_not_mended(self) -> dict[str, int]:
        """Target -> open incidents that call for a human. Errors: JournalUnavailable."""
        rows = self._database.all("open_escalations_by_target")
        return {row["target"]: row["total"] for row in rows}

    def acknowledged(self) -> dict[str, int]:
        """Target -> 1 when an open incident of it is acknowledged. Errors: JournalUnavailable."""
        return {row["target"]: 1 for row in self._database.all("acknowledged_targets")}

    def approvals_waiting(self) -> dict[str, int]:
        """Target -> runs that a human is asked about. Errors: JournalUnavailable."""
        rows = self._database.all("approvals_waiting_by_target")
        return {row["target"]: row["total"] for row in rows}

    def paused(self) -> dict[str, str]:
        """Source -> reason of each pause. Errors: JournalUnavailable."""
        return {row["source"]: row["reason"] for row in self._database.all("pauses")}

    def _incident(self, row: Row, limit: int = ALL) -> dict[str, Any]:
        database, key = self._database, {"incident_id": row["id"]}
        call = database.one("escalation_of_incident", **key)
        issue = database.one("issue_of_incident", **key)
        alerts = [
            _alert(signal) for signal in database.all("signals_of_incident", limit=limit, **key)
        ]
        return {
            "id": row["id"],
            "target": row["target"],
            "runbook": row["runbook"],
            "severity": min((severity_of(alert["labels"]) for alert in alerts), default="P1"),
            "state": "open" if row["closed_at"] is None else "closed",
            "opened_at": _time(row["opened_at"]),
            "closed_at": _time(row["closed_at"]),
            "alerts": alerts,
            "runs": [self._run(run) for run in database.all("runs_of_incident", **key)],
            "alerts_total": database.all("signals_in_incident", **key)[0]["total"],
            "worked_on_by": row["worked_on_by"],
            "orders": [_order(order) for order in database.all("orders_of_incident", **key)],
            "acknowledged": _acknowledged(database.one("acknowledgement_of_incident", **key)),
            "escalated": call
            and {"at": _time(call["at"]), "reason": call["reason"], "summary": call["summary"]},
            "issue": issue and issue["url"],
        }

    def _run(self, row: Row) -> dict[str, Any]:
        guards = self._database.all("guards_of_run", run_id=row["id"])
        steps = self._database.all("full_steps_of_run", run_id=row["id"])
        order = self._database.one("order_of_run", run_id=row["id"])
        return {
            "id": row["id"],
            "runbook": row["runbook"],
            "target": row["target"],
            "state": row["state"],
            "reason": row["reason"],
            "detail": row["detail"],
            "created_at": _time(row["created_at"]),
            "claimed_at": _time(row["claimed_at"]),
            "guards": [dict(guard) for guard in guards],
            "steps": [_step(step) for step in steps],
            "acted_at": _time(row["acted_at"]),
            "verified_at": _time(row["verified_at"]),
            "ended_at": _time(row["ended_at"]),
            "hold_until": _time(row["hold_until"]),
            "ordered_by": order and order["by"],
            "findings": json.loads(row["findings"]),
        }


def _summary(row: Row) -> dict[str, Any]:
    mended = row["state"] in MENDED and row["alert_at"] and row["ended_at"]
    took = to_time(row["ended_at"]) - to_time(row["alert_at"]) if mended else None
    return {
        "run_id": row["id"],
        "incident_id": row["incident_id"],
        "runbook": row["runbook"],
        "target": row["target"],
        "state": row["state"],
        "reason": row["reason"],
        "claimed_at": _time(row["claimed_at"]),
        "ended_at": _time(row["ended_at"]),
        "ordered_by": row["ordered_by"],
        "seconds_to_mend": took and took.total_seconds(),
    }


def _order(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "runbook": row["runbook"],
        "target": row["target"],
        "by": row["by"],
        "note": row["note"],
        "at": _time(row["at"]),
        "run_id": row["run_id"],
        "refused": row["refused"],
        "guards": json.loads(row["guards"]),
    }


def _acknowledged(row: Row | None) -> dict[str, Any] | None:
    """`via` is None for what an older version has kept."""
    return (
        None if row is None else {"at": _time(row["at"]), "via": None, **json.loads(row["detail"])}
    )


def _literally(text: str) -> str:
    """For LIKE ... ESCAPE '!'."""
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def _alert(row: Row) -> dict[str, Any]:
    return {
        "name": row["name"],
        "labels": json.loads(row["identity"]),
        "status": "firing" if row["resolved_at"] is None else "resolved",
        "starts_at": _time(row["starts_at"]),
        "received_at": _time(row["received_at"]),
        "resolved_at": _time(row["resolved_at"]),
        "source": row["source"],
    }


def _step(row: Row) -> dict[str, Any]:
    return {
        "id": row["step_id"],
        "action": row["action"],
        "intent_at": _time(row["intent_at"]),
        "outcome_at": _time(row["outcome_at"]),
        "outcome": row["outcome"],
        "summary": row["summary"],
        "evidence": json.loads(row["evidence"]),
    }


def _time(text: str | None) -> str | None:
    """Microseconds in the file, milliseconds outside."""
    return text and f"{text[:-4]}Z"

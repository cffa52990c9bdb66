"""The journal as people and programs read it: the JSON of the read API, and the gauges.

Rule: reads only. Times go out as RFC 3339 UTC with milliseconds.
"""

import json
from sqlite3 import Row
from typing import Any

from remediator.journal.database import Database

LISTED_INCIDENTS = 200
TOLD_ALERTS = 50
TOLD_EVENTS = 500
ALL = 1_000_000_000


class Records:
    def __init__(self, database: Database) -> None:
        self._database = database

    def incidents(self, limit: int = LISTED_INCIDENTS) -> list[dict[str, Any]]:
        """The newest first. Errors: JournalUnavailable."""
        with self._database.transaction() as database:
            rows = database.all("incidents_newest_first", limit=limit)
            return [self._incident(row) for row in rows]

    def story(self, incident_id: int) -> dict[str, Any] | None:
        """As `incident`, at most TOLD_ALERTS and TOLD_EVENTS of it, and how many there are.

        Errors: JournalUnavailable.
        """
        found = self.incident(incident_id, alerts=TOLD_ALERTS, events=TOLD_EVENTS)
        if found is None:
            return None
        key = {"incident_id": incident_id}
        return found | {
            "alerts_total": self._database.all("signals_in_incident", **key)[0]["total"],
            "events_total": self._database.all("events_in_incident", **key)[0]["total"],
        }

    def incident(
        self, incident_id: int, *, alerts: int = ALL, events: int = ALL
    ) -> dict[str, Any] | None:
        """With its timeline. Errors: JournalUnavailable."""
        with self._database.transaction() as database:
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
        return {
            "id": row["id"],
            "target": row["target"],
            "runbook": row["runbook"],
            "state": "open" if row["closed_at"] is None else "closed",
            "opened_at": _time(row["opened_at"]),
            "closed_at": _time(row["closed_at"]),
            "alerts": [
                _alert(signal) for signal in database.all("signals_of_incident", limit=limit, **key)
            ],
            "runs": [self._run(run) for run in database.all("runs_of_incident", **key)],
            "escalated": call
            and {"at": _time(call["at"]), "reason": call["reason"], "summary": call["summary"]},
            "issue": issue and issue["url"],
        }

    def _run(self, row: Row) -> dict[str, Any]:
        guards = self._database.all("guards_of_run", run_id=row["id"])
        steps = self._database.all("full_steps_of_run", run_id=row["id"])
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
            "findings": json.loads(row["findings"]),
        }


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

"""What humans order: stop, keep out, do it, do not; until when, and who said so.

Rule: an order is on disk before it is answered, and each change of one is an event. An order
that cannot be followed is refused with a sentence, and changes nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from remediator.journal.database import Database, Row, to_text, to_time
from remediator.runs import Approval, Decision, DeployLock, Maintenance, Pause, Via


class Refusal(Exception):
    """An order that cannot be followed now; the sentence says why and what to do."""


class Orders:
    """`via`: where they are given, which each event says; None for what no human orders."""

    def __init__(self, database: Database, via: Via | None = None) -> None:
        self._database = database
        self._via = via

    def through(self, via: Via | None) -> "Orders":
        return Orders(self._database, via)

    def pauses(self) -> tuple[Pause, ...]:
        """The oldest first, also those that are over. Errors: JournalUnavailable."""
        return tuple(_pause(row) for row in self._database.all("pauses"))

    def pause(self, pause: Pause) -> None:
        """Instead of what its source said before. Errors: JournalUnavailable."""
        until = None if pause.until is None else to_text(pause.until)
        words = {"source": pause.source, "reason": pause.reason, "by": pause.by, "until": until}
        with self._database.transaction() as database:
            whose = pause.remediator
            database.do("set_pause", at=to_text(pause.at), remediator=whose, **words)
            self._event("paused", words, pause.at)

    def resume(self, source: str, by: str, now: datetime, remediator: str = "") -> bool:
        """False when the source had ordered nothing. Errors: JournalUnavailable."""
        with self._database.transaction() as database:
            found = database.do("end_pause", source=source, remediator=remediator) is not None
            if found:
                self._event("resumed", {"source": source, "by": by}, now)
        return found

    def forget_pauses_of_the_dead(self, by: str, now: datetime) -> int:
        """Those of remediators that do not work any more. Errors: JournalUnavailable."""
        with self._database.transaction() as database:
            rows = database.all("pauses_of_the_dead")
            for row in rows:
                key = {"source": row["source"], "remediator": row["remediator"]}
                database.do("end_pause", **key)
                self._event("resumed", {**key, "by": by}, now)
        return len(rows)

    def reset_breaker(self, runbook: str, target: str, by: str, now: datetime) -> None:
        """Errors: JournalUnavailable."""
        words = {"runbook": runbook, "target": target, "by": by}
        with self._database.transaction() as database:
            database.do("reset_breaker", at=to_text(now), **words)
            self._event("breaker_reset", words, now)

    # -- approvals -----------------------------------------------------------------------

    def approvals(self) -> list[dict[str, Any]]:
        """The open questions, the most urgent first. Errors: JournalUnavailable."""
        return [
            {
                "run_id": row["run_id"],
                "incident_id": row["incident_id"],
                "runbook": row["runbook"],
                "target": row["target"],
                "plan_hash": row["plan_hash"],
                "plan": json.loads(row["plan"]),
                "asked_at": row["asked_at"],
                "expires_at": row["expires_at"],
            }
            for row in self._database.all("open_approvals")
        ]

    def decide(
        self, run_id: int, plan_hash: str, decision: Decision, by: str, now: datetime
    ) -> None:
        """Answer a question, for the plan as it was shown. Errors: Refusal, JournalUnavailable."""
        words = {"run_id": run_id, "plan_hash": plan_hash, "decision": decision.value, "by": by}
        with self._database.transaction() as database:
            if database.do("decide", at=to_text(now), **words) is None:
                raise Refusal(
                    f"Run {run_id} does not wait for an answer about plan {plan_hash}: it was "
                    "answered, it is too late, or the plan has changed. List the approvals again."
                )
            run = database.all("run", id=run_id)[0]
            detail = {"plan_hash": plan_hash, "by": by}
            self._event(f"approval_{decision}", detail, now, run["incident_id"], run_id)

    # -- incidents -----------------------------------------------------------------------

    def acknowledge(self, incident_id: int, by: str, note: str, now: datetime) -> None:
        """Somebody is on it. Errors: Refusal when it is not open, JournalUnavailable."""
        with self._database.transaction() as database:
            row = database.one("incident", id=incident_id)
            if row is None or row["closed_at"] is not None:
                raise Refusal(f"Incident {incident_id} is not open.")
            self._event("acknowledged", {"by": by, "note": note}, now, incident_id)

    # -- deployments ---------------------------------------------------------------------

    def deploy_lock(self) -> DeployLock | None:
        """The last one, held or not. Errors: JournalUnavailable."""
        row = self._database.one("last_deploy")
        return None if row is None else deploy_lock(row)

    def take_deploy_lock(self, by: str, reason: str, until: datetime, now: datetime) -> DeployLock:
        """Nothing is begun while it is held. Errors: Refusal, JournalUnavailable.

        Refused while another deployer holds it, and while a run works: whoever deploys then
        does not know what he deploys onto.
        """
        with self._database.transaction() as database:
            held = self.deploy_lock()
            if held is not None and now < held.ends_at:
                raise Refusal(
                    f"{held.by} deploys until {held.until:%H:%M:%S} UTC at the latest: "
                    f"{held.reason}. Wait, or release that lock."
                )
            for run in database.all("disturbing_runs"):
                raise Refusal(
                    f"Run {run['id']} ({run['runbook']}) works on {run['target']}. Wait until it "
                    "has ended."
                )
            words = {"by": by, "reason": reason, "until": to_text(until)}
            database.do("take_deploy_lock", at=to_text(now), **words)
            self._event("deploy_lock_taken", words, now)
        return DeployLock(by, reason, now, until)

    def release_deploy_lock(self, by: str, now: datetime) -> DeployLock:
        """Errors: Refusal when none is held, JournalUnavailable."""
        with self._database.transaction() as database:
            held = self.deploy_lock()
            if held is None or now >= held.ends_at:
                raise Refusal("No deploy lock is held.")
            database.do("release_deploy_lock", at=to_text(now))
            self._event("deploy_lock_released", {"by": by, "held_by": held.by}, now)
        return replace(held, released_at=now)

    # -- maintenance ---------------------------------------------------------------------

    def maintenance(self, now: datetime) -> tuple[Maintenance, ...]:
        """What has not ended. Errors: JournalUnavailable."""
        return works(self._database, now)

    def begin_maintenance(
        self, target: str | None, by: str, reason: str, until: datetime, now: datetime
    ) -> int:
        """On the target, or on everything. Errors: JournalUnavailable."""
        words = {"target": target, "by": by, "reason": reason, "until": to_text(until)}
        with self._database.transaction() as database:
            number = database.do("begin_maintenance", at=to_text(now), **words)
            if number is None:
                raise AssertionError("an insert gives an id")
            self._event("maintenance_begun", {"id": number, **words}, now)
        return number

    def end_maintenance(self, number: int, by: str, now: datetime) -> None:
        """Errors: Refusal when it has ended already, JournalUnavailable."""
        with self._database.transaction() as database:
            if database.do("end_maintenance", id=number, at=to_text(now)) is None:
                raise Refusal(f"There is no maintenance {number} that has not ended.")
            self._event("maintenance_ended", {"id": number, "by": by}, now)

    def _event(
        self,
        kind: str,
        detail: Mapping[str, object],
        now: datetime,
        incident_id: int | None = None,
        run_id: int | None = None,
    ) -> None:
        self._database.do(
            "add_event",
            at=to_text(now),
            incident_id=incident_id,
            run_id=run_id,
            kind=kind,
            detail=json.dumps({**detail, **words_of(self._via)}),
        )


def words_of(via: Via | None) -> Mapping[str, str]:
    return {} if via is None else {"via": via.value}


def _pause(row: Row) -> Pause:
    until = to_time(row["until"]) if row["until"] else None
    return Pause(
        row["source"], row["reason"], row["by"], to_time(row["at"]), until, row["remediator"]
    )


def approval(row: Row) -> Approval:
    return Approval(
        plan_hash=row["plan_hash"],
        expires_at=to_time(row["expires_at"]),
        decision=Decision(row["decision"]) if row["decision"] else None,
        by=row["by"],
        decided_at=to_time(row["decided_at"]) if row["decided_at"] else None,
    )


def deploy_lock(row: Row) -> DeployLock:
    released = to_time(row["released_at"]) if row["released_at"] else None
    at, until = to_time(row["at"]), to_time(row["until"])
    return DeployLock(row["by"], row["reason"], at, until, released)


def works(database: Database, now: datetime) -> tuple[Maintenance, ...]:
    return tuple(
        Maintenance(
            id=row["id"],
            target=row["target"],
            by=row["by"],
            reason=row["reason"],
            at=to_time(row["at"]),
            until=to_time(row["until"]),
        )
        for row in database.all("maintenance", now=to_text(now))
    )

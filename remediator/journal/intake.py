"""Takes told alerts in: a webhook's, or what Prometheus says fires.

Rule: one transaction for one telling, whatever it holds. Told twice changes nothing: an
alert is known by its labels and its state, never by the time it was told.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from remediator.alerts import AlertStatus, Source, is_same_alert
from remediator.journal.database import Database, to_text
from remediator.planner import Told

KEPT_DELIVERIES = 10_000


@dataclass(slots=True)
class _Known:
    """A signal that fires, as the file has it."""

    id: int
    incident_id: int
    runbook: str
    target: str
    source: str
    identity: str
    last_seen_at: str


class Intake:
    def __init__(self, database: Database) -> None:
        self._database = database

    def deliver(self, told: Iterable[Told], counts: Mapping[str, int], now: datetime) -> None:
        """Store one webhook. Errors: JournalUnavailable; then nothing of it is stored."""
        with self._database.transaction() as database:
            telling = _Telling(database, Source.WEBHOOK, now)
            for item in told:
                if item.alert.status is AlertStatus.FIRING:
                    telling.firing(item)
                else:
                    telling.resolved(item)
            telling.finish()
            database.do("add_delivery", at=to_text(now), source="webhook", counts=_json(counts))
            database.do("forget_deliveries", keep=KEPT_DELIVERIES)

    def sync(self, firing: Iterable[Told], *, asked_at: datetime, believed: bool) -> int:
        """Make the signals what Prometheus said at `asked_at`; how many were new to us.

        What does not fire is resolved only when the data is `believed` (fresh), and only
        when it was not told again since Prometheus was asked. Errors: JournalUnavailable.
        """
        with self._database.transaction() as database:
            telling = _Telling(database, Source.RECONCILE, asked_at)
            for item in firing:
                telling.firing(item)
            if believed:
                telling.resolve_unseen()
            found = telling.finish()
            if found:
                counts = _json({"accepted": found})
                database.do("add_delivery", at=to_text(asked_at), source="reconcile", counts=counts)
        return found


class _Telling:
    """One transaction's view of the signals that fire."""

    def __init__(self, database: Database, source: Source, now: datetime) -> None:
        self._database = database
        self._source = source
        self._at = to_text(now)
        self._now = now
        self._seen: set[int] = set()
        self._found = 0
        self._by_identity: dict[str, _Known] = {}
        self._by_place: dict[tuple[str, str, str], list[_Known]] = {}
        self._incidents = {
            (row["runbook"], row["target"]): row["id"] for row in database.all("open_incidents")
        }
        for row in database.all("firing_signals"):
            self._remember(
                row["name"],
                _Known(
                    row["id"],
                    row["incident_id"],
                    row["runbook"],
                    row["target"],
                    row["source"],
                    row["identity"],
                    row["last_seen_at"],
                ),
            )

    def firing(self, told: Told) -> None:
        known = self._find(told)
        if known is not None:
            self._seen.add(known.id)
            return
        plan, alert = told.plan, told.alert
        incident_id = self._incident(plan.runbook.id, plan.target.key)
        identity = _json(alert.labels)
        starts_at = (
            self._at if alert.starts_at is None else to_text(min(alert.starts_at, self._now))
        )
        signal_id = self._database.do(
            "add_signal",
            incident_id=incident_id,
            name=alert.name,
            identity=identity,
            fingerprint=alert.fingerprint,
            source=self._source.value,
            starts_at=starts_at,
            at=self._at,
        )
        if signal_id is None:
            raise AssertionError("an insert gives an id")
        self._seen.add(signal_id)
        self._found += 1
        where = (incident_id, plan.runbook.id, plan.target.key)
        self._remember(alert.name, _Known(signal_id, *where, self._source, identity, self._at))
        detail = {"alert": alert.name, "source": self._source, "labels": alert.labels}
        self._event(incident_id, "alert_firing", detail)

    def resolved(self, told: Told) -> None:
        known = self._find(told)
        if known is not None:
            self._resolve(known)

    def resolve_unseen(self) -> None:
        """Whatever fires for us and was neither named now nor told since."""
        for known in list(self._by_identity.values()):
            if known.id not in self._seen and known.last_seen_at < self._at:
                self._resolve(known)

    def finish(self) -> int:
        """How many signals were new."""
        self._database.many("see_signal", [{"id": row, "at": self._at} for row in self._seen])
        return self._found

    def _find(self, told: Told) -> _Known | None:
        """The same labels; or, told by the other source, labels that differ only by added ones."""
        known = self._by_identity.get(_json(told.alert.labels))
        if known is not None:
            return known
        place = (told.alert.name, told.plan.runbook.id, told.plan.target.key)
        for other in self._by_place.get(place, ()):
            if (
                other.source != self._source
                and other.identity in self._by_identity
                and is_same_alert(json.loads(other.identity), told.alert.labels)
            ):
                return other
        return None

    def _remember(self, name: str, known: _Known) -> None:
        self._by_identity[known.identity] = known
        self._by_place.setdefault((name, known.runbook, known.target), []).append(known)

    def _resolve(self, known: _Known) -> None:
        self._database.do("resolve_signal", id=known.id, at=self._at)
        del self._by_identity[known.identity]
        self._seen.discard(known.id)
        self._event(known.incident_id, "alert_resolved", {"source": self._source})

    def _incident(self, runbook: str, target: str) -> int:
        incident_id = self._incidents.get((runbook, target))
        if incident_id is None:
            incident_id = self._database.do(
                "open_incident", runbook=runbook, target=target, at=self._at
            )
            if incident_id is None:
                raise AssertionError("an insert gives an id")
            self._incidents[runbook, target] = incident_id
            self._event(incident_id, "incident_opened", {"runbook": runbook, "target": target})
        return incident_id

    def _event(self, incident_id: int, kind: str, detail: Mapping[str, object]) -> None:
        self._database.do(
            "add_event",
            at=self._at,
            incident_id=incident_id,
            run_id=None,
            kind=kind,
            detail=_json(detail),
        )


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(dict(value), sort_keys=True)

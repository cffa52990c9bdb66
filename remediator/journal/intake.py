"""Takes told alerts in: a webhook's, or what Prometheus says fires.

Rule: one transaction for one telling, whatever it holds. Told twice changes nothing: an
alert is known by its labels and its state, never by the time it was told. The work is that
of what is told, never of all that fires.
"""

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _quoted

from remediator.alerts import AlertStatus, Source
from remediator.journal.database import Database, Row, to_text
from remediator.journal.firing import Firing, Place, Signal
from remediator.planner import Told

Values = tuple[object, ...]

KEPT_DELIVERIES = 10_000
CLOCKS_DIFFER = timedelta(seconds=1)
"""Between the hosts of a shared journal, at most."""
OTHER = {Source.WEBHOOK: Source.RECONCILE.value, Source.RECONCILE: Source.WEBHOOK.value}


@dataclass(frozen=True, slots=True)
class Opened:
    """A new incident. `seconds_to_detect`: from the start of its first alert until it was told."""

    runbook: str
    seconds_to_detect: float


@dataclass(frozen=True, slots=True)
class Taken:
    """What a telling brought: so many signals that were new, and the incidents they opened."""

    new: int
    opened: tuple[Opened, ...]


class Intake:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._firing: Firing | None = None
        self._known = _Known()

    def deliver(self, told: Iterable[Told], counts: Mapping[str, int], now: datetime) -> Taken:
        """Store one webhook. Errors: JournalUnavailable; then nothing of it is stored."""
        with self._telling(Source.WEBHOOK, now) as telling:
            for item in told:
                if item.alert.status is AlertStatus.FIRING:
                    telling.firing(item)
                else:
                    telling.resolved(item)
            telling.write()
            telling.delivered(counts)
        return telling.taken

    def sync(self, firing: Iterable[Told], *, asked_at: datetime, believed: bool) -> Taken:
        """Make the signals what Prometheus said at `asked_at`.

        What does not fire is resolved only when the data is `believed` (fresh), and only
        when it was not told again since Prometheus was asked. Whom another process was told
        again is not known here: a webhook to it meanwhile leaves that to the next time.

        Errors: JournalUnavailable.
        """
        with self._telling(Source.RECONCILE, asked_at) as telling:
            for item in firing:
                telling.firing(item)
            if believed and not self._heard_elsewhere(asked_at):
                telling.resolve_unseen()
            telling.write()
            if telling.taken.new:
                telling.delivered({"accepted": telling.taken.new})
        return telling.taken

    @contextmanager
    def _telling(self, source: Source, now: datetime) -> Iterator["_Telling"]:
        """One transaction. What is kept in memory is kept only when it has reached the disk."""
        with self._lock:
            with self._database.transaction() as database:
                firing, self._firing = self._current(), None
                yield _Telling(database, firing, source, now)
                known = self._last_told()
            self._firing, self._known = firing, known

    def _current(self) -> Firing:
        """What fires now, with what others have changed since."""
        if self._firing is None:
            return Firing(map(_signal, self._database.all("firing_signals")))
        if self._database.is_shared:
            _catch_up(self._firing, self._known, self._database)
        return self._firing

    def _last_told(self) -> "_Known":
        if not self._database.is_shared:
            return self._known
        row = self._database.all("last_told")[0]
        return _Known(row["event"], row["delivery"])

    def _heard_elsewhere(self, asked_at: datetime) -> bool:
        if not self._database.is_shared:
            return False
        (row,) = self._database.all("last_webhook_since", delivery=self._known.delivery)
        return row["at"] is not None and row["at"] >= to_text(asked_at - CLOCKS_DIFFER)


@dataclass(frozen=True, slots=True)
class _Known:
    """The last event and delivery of a shared journal that the memory has seen."""

    event: int = 0
    delivery: int = 0


def _catch_up(firing: Firing, known: _Known, database: Database) -> None:
    told, resolved = set[int](), set[int]()
    for row in database.all("told_since", event=known.event):
        signals = told if row["kind"] == "alert_firing" else resolved
        signals.add(json.loads(row["detail"])["signal"])
    if resolved:
        firing.forget(resolved)
    if told:
        for row in database.all("firing_signals_from", least=min(told)):
            if row["id"] in told:
                firing.add(_signal(row))


def _signal(row: Row) -> Signal:
    return Signal(
        row["id"],
        row["incident_id"],
        (row["name"], row["runbook"], row["target"]),
        row["source"],
        row["identity"],
        row["received_at"],
    )


class _Telling:
    """One transaction: what is told is compared one by one, and written together."""

    def __init__(self, database: Database, firing: Firing, source: Source, now: datetime) -> None:
        self._database = database
        self._firing = firing
        self._source = source
        self._now = now
        self._at = to_text(now)
        self._text_of = lru_cache(to_text)  # alerts of one group often began together
        self._signals: list[Values] = []
        self._resolved: dict[str, Values] = {}  # by identity
        self._events: list[Values] = []
        self._new = 0
        self._opened: list[Opened] = []
        self._incidents: dict[tuple[str, str], int] = {
            (row["runbook"], row["target"]): row["id"] for row in database.all("open_incidents")
        }
        self._next_id = database.all("last_signal")[0]["id"] + 1

    @property
    def taken(self) -> Taken:
        return Taken(self._new, tuple(self._opened))

    def firing(self, told: Told) -> None:
        identity, place = identity_of(told.alert.labels), _place(told)
        known = self._find(identity, told, place)
        if known is not None:
            known.seen_at = max(known.seen_at, self._at)
            return
        if identity in self._resolved:  # in this telling; at most one signal of it may fire
            self.write()
        alert = told.alert
        began = self._now if alert.starts_at is None else min(alert.starts_at, self._now)
        incident_id = self._incident(place, began)
        signal = Signal(self._next_id, incident_id, place, self._source.value, identity, self._at)
        self._next_id += 1
        self._new += 1
        self._firing.add(signal)
        told_by = alert.fingerprint, signal.source, self._text_of(began), self._at
        self._signals.append((signal.id, incident_id, alert.name, identity, *told_by))
        words = f'"signal": {signal.id}, "source": "{signal.source}"'
        self._event(incident_id, "alert_firing", f'{{"alert": {_quoted(alert.name)}, {words}}}')

    def resolved(self, told: Told) -> None:
        known = self._find(identity_of(told.alert.labels), told, _place(told))
        if known is not None:
            self._resolve(known)

    def resolve_unseen(self) -> None:
        """Whatever fires for us and was neither named now nor told since."""
        for known in self._firing.unseen_since(self._at):
            self._resolve(known)

    def write(self) -> None:
        # A signal that is new and resolved in one telling is inserted, then resolved.
        self._database.many("add_signal", self._signals)
        self._database.many("resolve_signal", list(self._resolved.values()))
        self._database.many("add_incident_event", self._events)
        self._signals, self._resolved, self._events = [], {}, []

    def delivered(self, counts: Mapping[str, int]) -> None:
        source = self._source.value
        self._database.do("add_delivery", at=self._at, source=source, counts=_json(counts))
        self._database.do("forget_deliveries", keep=KEPT_DELIVERIES)

    def _find(self, identity: str, told: Told, place: Place) -> Signal | None:
        return self._firing.find(identity, told.alert.labels, place, OTHER[self._source])

    def _resolve(self, known: Signal) -> None:
        self._firing.remove(known)
        self._resolved[known.identity] = (self._at, known.id)
        detail = _json({"alert": known.place[0], "signal": known.id, "source": self._source.value})
        self._event(known.incident_id, "alert_resolved", detail)

    def _incident(self, place: Place, began: datetime) -> int:
        _, runbook, target = place
        incident_id = self._incidents.get((runbook, target))
        if incident_id is None:
            incident_id = self._database.do(
                "open_incident", runbook=runbook, target=target, at=self._at
            )
            if incident_id is None:
                raise AssertionError("an insert gives an id")
            self._incidents[runbook, target] = incident_id
            self._opened.append(Opened(runbook, (self._now - began).total_seconds()))
            self._event(
                incident_id, "incident_opened", _json({"runbook": runbook, "target": target})
            )
        return incident_id

    def _event(self, incident_id: int, kind: str, detail: str) -> None:
        self._events.append((self._at, incident_id, kind, detail))


def _place(told: Told) -> Place:
    return told.alert.name, told.plan.runbook.id, told.plan.target.key


def identity_of(labels: Mapping[str, str]) -> str:
    """As json.dumps(labels, sort_keys=True) writes it, in half the time: it is asked for most."""
    return (
        "{"
        + ", ".join([f"{_quoted(name)}: {_quoted(labels[name])}" for name in sorted(labels)])
        + "}"
    )


_json = json.JSONEncoder(sort_keys=True).encode

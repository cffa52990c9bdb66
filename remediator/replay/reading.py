"""A history out of a file: the documented format, an answer of Prometheus, or a journal.

Rule: which of them it is, is seen by what it holds; a file that cannot be played is refused
with a sentence that says what it lacks. Nothing is written to it.
"""

import json
import sqlite3
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from remediator.journal import JournalUnavailable, Records, SqliteDatabase
from remediator.journal.records import ALL
from remediator.replay.history import (
    History,
    OrderKind,
    PlayedAlert,
    PlayedOrder,
    PlayedStep,
)

SQLITE = b"SQLite format 3\0"
DEFAULT_STEP = 15.0


class Unplayable(Exception):
    """The sentence says which file, what is wrong with it and what would be right."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    starts_at: AwareDatetime


class AlertEntry(_Entry):
    """An alert that fired."""

    alert: Annotated[str, Field(min_length=1)]
    labels: dict[str, str] = Field(default_factory=dict)
    pending_since: AwareDatetime | None = None
    ends_at: AwareDatetime | None = None


class OrderEntry(_Entry):
    """A human's order."""

    order: Literal["deploy", "maintenance", "pause"]
    target: str | None = None
    by: str = "the history"
    reason: str = "as recorded"
    ends_at: AwareDatetime


def read_history(path: Path) -> History:
    """Errors: Unplayable."""
    try:
        raw = path.read_bytes()
        if raw.startswith(SQLITE):
            history = _of_incidents(_journal(path))
        else:
            history = _of(_parsed(raw.decode()), path)
    except (OSError, UnicodeDecodeError, JournalUnavailable, sqlite3.Error) as error:
        raise Unplayable(f"{path} cannot be read: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise Unplayable(f"{path} is not as it should be: {error!r}") from error
    if not history.alerts:
        raise Unplayable(f"{path} holds no alert that fired")
    return history


def _parsed(text: str) -> Any:  # noqa: ANN401 - a document
    """JSON, JSON lines or YAML; the last two give a list."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and lines[0].lstrip().startswith("{"):
        return [json.loads(line) for line in lines]
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def _of(document: Any, path: Path) -> History:  # noqa: ANN401 - a document
    if isinstance(document, dict) and "data" in document:
        return _of_prometheus(document["data"])
    if isinstance(document, dict) and "incidents" in document:
        return _of_incidents(document["incidents"])
    if isinstance(document, list) and document and "runs" in document[0]:
        return _of_incidents(document)
    if isinstance(document, dict) and "alert" in document:
        return _of_entries([document], path)
    if isinstance(document, list):
        return _of_entries(document, path)
    raise Unplayable(
        f"{path} is neither a list of alerts nor an answer of Prometheus nor an export of incidents"
    )


# -- the documented format ----------------------------------------------------------------


def _of_entries(entries: Iterable[object], path: Path) -> History:
    alerts: list[PlayedAlert] = []
    orders: list[PlayedOrder] = []
    mistakes: list[str] = []
    for number, entry in enumerate(entries, 1):
        try:
            if isinstance(entry, dict) and "order" in entry:
                orders.append(_order(OrderEntry.model_validate(entry)))
            else:
                alerts.append(_alert(AlertEntry.model_validate(entry)))
        except ValidationError as error:
            where = "; ".join(
                f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()
            )
            mistakes.append(f"entry {number}: {where}")
    if mistakes:
        raise Unplayable("\n".join([f"{path}: {len(mistakes)} wrong entries", *mistakes]))
    return History(tuple(alerts), tuple(orders))


def _alert(entry: AlertEntry) -> PlayedAlert:
    return PlayedAlert(
        labels={**entry.labels, "alertname": entry.alert},
        active_at=_utc(entry.pending_since or entry.starts_at),
        fires_at=_utc(entry.starts_at),
        ends_at=_utc(entry.ends_at) if entry.ends_at else None,
    )


def _order(entry: OrderEntry) -> PlayedOrder:
    return PlayedOrder(
        OrderKind(entry.order),
        _utc(entry.starts_at),
        _utc(entry.ends_at),
        entry.target,
        entry.by,
        entry.reason,
    )


# -- query_range of ALERTS ------------------------------------------------------------------


def _of_prometheus(data: Mapping[str, Any]) -> History:
    if data.get("resultType") != "matrix":
        raise ValueError("a range of ALERTS is wanted: /api/v1/query_range?query=ALERTS&...")
    moments: dict[str, dict[str, list[float]]] = defaultdict(dict)
    for series in data["result"]:
        metric = dict(series["metric"])
        metric.pop("__name__", None)
        state = metric.pop("alertstate", "firing")
        moments[json.dumps(metric, sort_keys=True)][state] = [
            float(at) for at, value in series["values"] if float(value) == 1
        ]
    every = [at for states in moments.values() for times in states.values() for at in times]
    step, last = _step(moments.values()), max(every, default=0.0)
    return History(
        tuple(
            alert
            for labels, states in moments.items()
            for alert in _fired(json.loads(labels), states, step, last)
        )
    )


def _step(all_states: Iterable[Mapping[str, list[float]]]) -> float:
    """The resolution of the range: the most common distance of two points."""
    distances = Counter(
        round(later - earlier, 3)
        for states in all_states
        for times in states.values()
        for earlier, later in pairwise(times)
    )
    return distances.most_common(1)[0][0] if distances else DEFAULT_STEP


def _fired(
    labels: dict[str, str], states: Mapping[str, list[float]], step: float, last: float
) -> Iterator[PlayedAlert]:
    waits = list(_spans(states.get("pending", []), step))
    for first, end in _spans(states.get("firing", []), step):
        since = next(
            (begin for begin, to in waits if first - to <= 1.5 * step and to < first), first
        )
        yield PlayedAlert(
            labels=labels,
            active_at=_moment(since),
            fires_at=_moment(first),
            ends_at=None if end >= last else _moment(end + step),
        )


def _spans(times: list[float], step: float) -> Iterator[tuple[float, float]]:
    """(first, last) of each row of points without a gap."""
    begin = previous = None
    for at in sorted(times):
        if begin is None or previous is None:
            begin = at
        elif at - previous > 1.5 * step:
            yield begin, previous
            begin = at
        previous = at
    if begin is not None and previous is not None:
        yield begin, previous


# -- a journal, or what the API says of it ----------------------------------------------------


def _journal(path: Path) -> list[dict[str, Any]]:
    """All incidents of a state file. A copy is read: the file may be in use."""
    with tempfile.TemporaryDirectory(prefix="stackmedic-journal-") as folder:
        copy = Path(folder) / "journal.sqlite"
        with (
            closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
        with closing(SqliteDatabase(copy)) as database:
            return Records(database).incidents(limit=ALL)


def _of_incidents(incidents: Iterable[Mapping[str, Any]]) -> History:
    alerts: list[PlayedAlert] = []
    steps: dict[tuple[str, str], PlayedStep] = {}
    for incident in sorted(incidents, key=lambda incident: str(incident["opened_at"])):
        for alert in incident["alerts"]:
            fires_at = _read_time(alert["received_at"])
            alerts.append(
                PlayedAlert(
                    labels={**alert["labels"], "alertname": alert["name"]},
                    active_at=min(_read_time(alert["starts_at"]), fires_at),
                    fires_at=fires_at,
                    ends_at=_read_time(alert["resolved_at"]) if alert["resolved_at"] else None,
                )
            )
        for run in incident["runs"]:
            for step in run["steps"]:
                if step["outcome_at"] is not None:
                    steps[step["action"], run["target"]] = _recorded(step)
    return History(tuple(alerts), (), steps)


def _recorded(step: Mapping[str, Any]) -> PlayedStep:
    took = _read_time(step["outcome_at"]) - _read_time(step["intent_at"])
    failed = str(step["summary"]) if step["outcome"] == "failed" else None
    return PlayedStep(max(took, timedelta()).total_seconds(), failed)


def _read_time(text: str) -> datetime:
    return _utc(datetime.fromisoformat(text))


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)

"""What is told, against a model that looks through everything; and what memory may not keep."""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remediator.alerts import Alert, AlertStatus, is_same_alert
from remediator.journal import Intake, JournalUnavailable, SqliteDatabase
from remediator.journal.firing import Firing, Signal
from remediator.journal.intake import identity_of
from remediator.planner import Told, triage
from tests.builders import DOWN, Loop, a_policy
from tests.fakes import START

POLICY = a_policy()
LABELS = st.fixed_dictionaries(
    {"alertname": st.just("ServiceDown"), "service": st.sampled_from(["web", "worker"])},
    optional={
        "instance": st.sampled_from(["a", "b"]),
        "stack": st.sampled_from(["x", "y"]),
        "zone": st.just("z"),
    },
)
TEXT = st.text(alphabet=st.characters(exclude_categories=()), max_size=8)
NAMED = st.dictionaries(TEXT, TEXT, max_size=6)


def told(labels: dict[str, str], *, fires: bool = True) -> Told:
    status = AlertStatus.FIRING if fires else AlertStatus.RESOLVED
    ((item,), _) = triage([Alert(labels, status, None)], POLICY)
    return item


@settings(deadline=None)  # on a busy machine
@given(NAMED)
def test_an_identity_is_the_sorted_json_of_the_labels(labels: dict[str, str]) -> None:
    assert identity_of(labels) == json.dumps(labels, sort_keys=True)


@settings(deadline=None)  # on a busy machine
@given(st.lists(st.tuples(LABELS, st.booleans()), max_size=30), st.lists(LABELS, max_size=10))
def test_a_lookup_finds_what_a_look_through_everything_finds(
    known: list[tuple[dict[str, str], bool]], asked: list[dict[str, str]]
) -> None:
    place = ("ServiceDown", "restart", "web")
    firing, kept = Firing(), dict[str, Signal]()
    for number, (labels, stays) in enumerate(known):
        identity = identity_of(labels)
        if identity not in kept:
            signal = Signal(number, 1, place, "reconcile", identity, "")
            firing.add(signal)
            kept[identity] = signal
        for question in (labels, *asked):  # while it changes: indexes are made once and kept
            found = firing.find(identity_of(question), question, place, "reconcile")
            same = [s for s in kept.values() if is_same_alert(json.loads(s.identity), question)]
            exact = kept.get(identity_of(question))
            assert found is (exact or min(same, key=lambda s: s.id, default=None))
        if not stays:
            firing.remove(kept.pop(identity))


@dataclass
class Known:
    labels: dict[str, str]
    source: str
    first: int
    seen: int


class Model:
    """What fires, by the rules alone."""

    def __init__(self) -> None:
        self.firing: list[Known] = []

    def find(self, labels: dict[str, str], source: str) -> Known | None:
        for known in self.firing:
            if known.labels == labels:
                return known
        for known in self.firing:
            same_place = known.labels["service"] == labels["service"]
            if same_place and known.source != source and is_same_alert(known.labels, labels):
                return known
        return None

    def fire(self, labels: dict[str, str], source: str, at: int) -> None:
        known = self.find(labels, source)
        if known is None:
            self.firing.append(Known(labels, source, at, at))
        else:
            known.seen = max(known.seen, at)

    def resolve(self, labels: dict[str, str]) -> None:
        known = self.find(labels, "webhook")
        if known is not None:
            self.firing.remove(known)

    def resolve_unseen(self, at: int) -> None:
        self.firing = [known for known in self.firing if known.seen >= at]

    def restart(self) -> None:
        """Who starts afresh asks afresh: when it was told is not needed."""
        for known in self.firing:
            known.seen = known.first


TELLING = st.one_of(
    st.tuples(st.just("webhook"), st.lists(st.tuples(LABELS, st.booleans()), max_size=6)),
    st.tuples(
        st.sampled_from(["believed", "stale", "late"]),
        st.lists(st.tuples(LABELS, st.sampled_from([True])), max_size=6),
    ),
    st.tuples(st.just("restart"), st.just([])),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(TELLING, max_size=12))
def test_what_fires_is_what_the_rules_say_after_any_tellings(
    tellings: list[tuple[str, list[tuple[dict[str, str], bool]]]],
) -> None:
    model = Model()
    with TemporaryDirectory() as folder:
        database = SqliteDatabase(Path(folder) / "x.sqlite")
        intake = Intake(database)
        for number, (kind, alerts) in enumerate(tellings, 1):
            # A late answer of Prometheus is from before what was told last.
            when = 10 * number - (15 if kind == "late" else 0)
            now = START + timedelta(seconds=when)
            items = [told(labels, fires=fires) for labels, fires in alerts]
            if kind == "restart":
                intake = Intake(database)
                model.restart()
            elif kind == "webhook":
                intake.deliver(items, {}, now)
                for labels, fires in alerts:
                    if fires:
                        model.fire(labels, "webhook", when)
                    else:
                        model.resolve(labels)
            else:
                believed = kind != "stale"
                intake.sync(items, asked_at=now, believed=believed)
                for labels, _ in alerts:
                    model.fire(labels, "reconcile", when)
                if believed:
                    model.resolve_unseen(when)
        rows = database.all("firing_signals")
        database.close()
    known = sorted((row["identity"], row["source"]) for row in rows)
    assert known == sorted((identity_of(one.labels), one.source) for one in model.firing)


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    loop = Loop(tmp_path / "state.sqlite")
    yield loop
    loop.close()


def test_resolved_and_fired_again_in_one_telling_are_two_signals(loop: Loop) -> None:
    loop.told(DOWN)
    loop.intake.deliver(
        [told(DOWN, fires=False), told(DOWN), told(DOWN, fires=False), told(DOWN)], {}, START
    )
    alerts = loop.incidents()[0]["alerts"]
    assert [alert["status"] for alert in alerts] == ["resolved", "resolved", "firing"]


def test_what_could_not_be_stored_is_not_kept_in_memory_either(loop: Loop) -> None:
    connection = loop.database._connection
    loop.told(DOWN)
    connection.execute("PRAGMA query_only = 1")
    with pytest.raises(JournalUnavailable):
        loop.told(DOWN | {"instance": "b"})
    with pytest.raises(JournalUnavailable):
        loop.told(DOWN, status="resolved")
    connection.execute("PRAGMA query_only = 0")
    loop.told(DOWN, DOWN | {"instance": "b"})
    alerts = loop.incidents()[0]["alerts"]
    assert [alert["status"] for alert in alerts] == ["firing", "firing"]


def test_a_retelling_writes_nothing_but_that_it_came(loop: Loop) -> None:
    labels = [DOWN | {"instance": str(n)} for n in range(100)]
    loop.told(*labels)
    before = loop.database._connection.total_changes
    loop.told(*labels)
    assert loop.database._connection.total_changes - before == 1


def test_a_burst_loses_nothing_and_never_acts_beyond_the_budget(loop: Loop) -> None:
    labels = [
        DOWN | {"service": service, "number": str(number)}
        for number in range(1000)
        for service in ("web", "worker", "edge")
    ]
    for first in range(0, len(labels), 500):
        loop.told(*labels[first : first + 500])
    for _ in range(5):
        loop.turn()
        loop.alerts.firing = list(labels)  # nothing helps
        loop.pass_seconds(601)
    with sqlite3.connect(loop.path) as connection:
        (stored,) = connection.execute("SELECT count(DISTINCT identity) FROM signals").fetchone()
    connection.close()
    assert stored == len(labels)
    assert len(loop.actions["restart"].runs) <= loop.policy.runs_per_hour

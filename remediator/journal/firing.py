"""What fires, kept in memory: each telling asks for it.

Rule: pure bookkeeping, and no look-up goes through all that fires. Whoever changes it
changes the journal in the same transaction, or throws it away; what another process has
changed in a shared journal is read first.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter

Place = tuple[str, str, str]
"""The alert's name, the runbook entry that answers it, and its target."""


@dataclass(slots=True, eq=False)
class Signal:
    """An alert that fires. `seen_at` is when it was last told, as text of the file."""

    id: int
    incident_id: int
    place: Place
    source: str
    identity: str
    seen_at: str


class Firing:
    def __init__(self, signals: Iterable[Signal] = ()) -> None:
        self._by_identity: dict[str, Signal] = {}
        self._told: dict[tuple[Place, str], _Told] = {}
        for signal in signals:
            self.add(signal)

    def add(self, signal: Signal) -> None:
        self._by_identity[signal.identity] = signal
        self._told.setdefault((signal.place, signal.source), _Told()).add(signal)

    def remove(self, signal: Signal) -> None:
        del self._by_identity[signal.identity]
        self._told[signal.place, signal.source].remove(signal)

    def forget(self, ids: set[int]) -> None:
        """What another process has resolved."""
        for signal in [one for one in self._by_identity.values() if one.id in ids]:
            self.remove(signal)

    def find(
        self, identity: str, labels: Mapping[str, str], place: Place, other_source: str
    ) -> Signal | None:
        """The same labels; or, told by the other source, labels that differ only by added ones."""
        known = self._by_identity.get(identity)
        if known is not None:
            return known
        told = self._told.get((place, other_source))
        return told.find(labels) if told else None

    def unseen_since(self, at: str) -> list[Signal]:
        return [signal for signal in self._by_identity.values() if signal.seen_at < at]


Names = tuple[str, ...]
Values = tuple[str, ...]
Group = dict[int, Signal]
"""By id, the oldest first."""

KEPT_INDEXES = 16


@dataclass(slots=True)
class _Told:
    """What one source told of one place; sorted by label names once somebody asks by labels.

    An index leads from the values of some label names to the signals that have them.
    """

    signals: Group = field(default_factory=dict)
    _by_names: dict[Names, Group] | None = None
    _indexes: dict[tuple[Names, Names], dict[Values, Group]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.signals)

    def add(self, signal: Signal) -> None:
        self.signals[signal.id] = signal
        if self._by_names is not None:
            labels = json.loads(signal.identity)  # its keys are sorted
            names = tuple(labels)
            self._by_names.setdefault(names, {})[signal.id] = signal
            for index, values in self._places(names, labels):
                index.setdefault(values, {})[signal.id] = signal

    def remove(self, signal: Signal) -> None:
        del self.signals[signal.id]
        if self._by_names is not None:
            labels = json.loads(signal.identity)
            names = tuple(labels)
            del self._by_names[names][signal.id]
            for index, values in self._places(names, labels):
                del index[values][signal.id]
                if not index[values]:
                    del index[values]
            if not self._by_names[names]:
                del self._by_names[names]

    def find(self, labels: Mapping[str, str]) -> Signal | None:
        """The oldest whose labels hold all of these, or are held by them."""
        if self._by_names is None:
            self._by_names = {}
            for signal in self.signals.values():
                names = tuple(json.loads(signal.identity))
                self._by_names.setdefault(names, {})[signal.id] = signal
        told, found = labels.keys(), list[Signal]()
        for names in self._by_names:
            if told >= set(names):
                shared = names
            elif told <= set(names):
                shared = tuple(sorted(told))
            else:
                continue
            group = self._index(names, shared).get(tuple(labels[name] for name in shared))
            if group:
                found.append(next(iter(group.values())))
        return min(found, key=attrgetter("id"), default=None)

    def _places(
        self, names: Names, labels: Mapping[str, str]
    ) -> Iterator[tuple[dict[Values, Group], Values]]:
        """Where a signal with these labels stands in the indexes that there are."""
        for (own, shared), index in self._indexes.items():
            if own == names:
                yield index, tuple(labels[name] for name in shared)

    def _index(self, names: Names, shared: Names) -> dict[Values, Group]:
        index = self._indexes.get((names, shared))
        if index is None:
            index = {}
            for signal in (self._by_names or {})[names].values():
                labels = json.loads(signal.identity)
                values = tuple(labels[name] for name in shared)
                index.setdefault(values, {})[signal.id] = signal
            while len(self._indexes) >= KEPT_INDEXES:
                del self._indexes[next(iter(self._indexes))]
            self._indexes[names, shared] = index
        return index

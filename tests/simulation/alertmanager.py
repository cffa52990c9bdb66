"""Two simulated Alertmanagers of one cluster, and the network between them and the remediator.

Rule: they do what research found that real ones do: groups are sent late, again, by both, cut
short, or never; a silence or a refire within a group interval leaves no word.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any

from remediator.outcomes import Reason
from remediator.ports import NotifiedAlert, Transient
from tests.fakes import START
from tests.simulation.prometheus import labels_of
from tests.simulation.site import DOWN, LEAK, Symptom
from tests.simulation.world import World

ADDED = {"stack": "main"}
"""External labels that Prometheus adds on the way."""
PEER_SECONDS = 15.0
OK, UNAVAILABLE, GONE = 200, 503, 0
Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Timing:
    group_wait: float = 10.0
    group_interval: float = 60.0
    repeat_interval: float = 3600.0
    max_alerts: int = 0


@dataclass
class Network:
    """Carries webhooks. `noise` 0: perfect; 1: as bad as it gets; None: nothing arrives."""

    world: World
    chance: Random
    noise: float | None
    receive: Callable[[Body], int]

    def post(self, body: Body, answered: Callable[[int], None]) -> None:
        if self.noise is None:
            self.world.after(10, partial(answered, GONE))
            return
        if self.chance.random() >= self.noise:
            answered(self.receive(body))
            return
        match self.chance.choice(("lost", "answer lost", "late", "twice", "very late")):
            case "lost":
                self.world.after(10, partial(answered, GONE))
            case "answer lost":
                self.receive(body)
                self.world.after(10, partial(answered, GONE))
            case "late":
                late = self.chance.uniform(0, 9)
                self.world.after(late, lambda: answered(self.receive(body)))
            case "twice":
                answered(self.receive(body))
                self.world.after(self.chance.uniform(0, 60), lambda: self.receive(body))
            case _:
                self.world.after(self.chance.uniform(10, 900), lambda: self.receive(body))
                self.world.after(10, partial(answered, GONE))


@dataclass(slots=True)
class _Held:
    is_firing: bool
    starts_at: float


@dataclass(slots=True)
class _Told:
    """What the notification log holds of a group."""

    firing: frozenset[Symptom]
    resolved: frozenset[Symptom]
    at: float


@dataclass
class Peer:
    """One Alertmanager. `firing_now` is what Prometheus would send it again."""

    world: World
    position: int
    timing: Timing
    network: Network
    firing_now: Callable[[], Mapping[Symptom, float]]
    muted: Callable[[Symptom], Reason | None]
    others: list["Peer"] = field(default_factory=list)
    is_up: bool = True
    is_partitioned: bool = False
    held: dict[Symptom, _Held] = field(default_factory=dict)
    log: dict[str, _Told] = field(default_factory=dict)
    _scheduled: set[str] = field(default_factory=set)
    _life: int = 0

    def take(self, symptom: Symptom, fired_at: float | None) -> None:
        """From Prometheus. A merge keeps the earliest start."""
        if not self.is_up:
            return
        known = self.held.get(symptom)
        if fired_at is None:
            if known is not None:
                known.is_firing = False
        elif known is None or not known.is_firing:
            self.held[symptom] = _Held(is_firing=True, starts_at=fired_at)
        else:
            known.starts_at = min(known.starts_at, fired_at)
        self._schedule(symptom[0], self.timing.group_wait)

    def alerts(self) -> tuple[NotifiedAlert, ...]:
        if not self.is_up:
            raise Transient("cannot ask Alertmanager")
        return tuple(
            NotifiedAlert(labels_of(symptom) | ADDED, self.muted(symptom))
            for symptom, held in self.held.items()
            if held.is_firing
        )

    def dies(self) -> None:
        """A kill -9: what it held and what it remembers of having told is lost."""
        self.world.tell(f"ALERTMANAGER {self.position} is down")
        self.is_up = False
        self._life += 1
        self.held.clear()
        self.log.clear()
        self._scheduled.clear()

    def comes_back(self) -> None:
        self.world.tell(f"ALERTMANAGER {self.position} is back")
        self.is_up = True
        self.world.after(self.world.seconds % 60, self._sent_again)

    def _sent_again(self) -> None:
        for symptom, fired_at in self.firing_now().items():
            self.take(symptom, fired_at)

    def _schedule(self, group: str, seconds: float) -> None:
        if group not in self._scheduled:
            self._scheduled.add(group)
            self.world.after(seconds, partial(self._flush, group, self._life))

    def _flush(self, group: str, life: int) -> None:
        if life != self._life:
            return
        self._scheduled.discard(group)
        members = {s: held for s, held in self.held.items() if s[0] == group}
        if not members:
            return
        shown = {s: held for s, held in members.items() if self.muted(s) is None}
        for symptom, held in members.items():
            if not held.is_firing:
                del self.held[symptom]
        self._schedule(group, self.timing.group_interval)
        snapshot = {s: (held.is_firing, held.starts_at) for s, held in shown.items()}
        wait = self.position * PEER_SECONDS
        until = self.world.seconds + max(self.timing.group_interval, 10) + wait
        self.world.after(wait, partial(self._notify, group, snapshot, until, life))

    def _notify(
        self, group: str, alerts: dict[Symptom, tuple[bool, float]], until: float, life: int
    ) -> None:
        if life != self._life:
            return
        firing = frozenset(s for s, (is_firing, _) in alerts.items() if is_firing)
        resolved = frozenset(alerts) - firing
        if self._needs_telling(self.log.get(group), firing, resolved):
            told = _Told(firing, resolved, self.world.seconds)
            self._send(group, self._body(group, alerts), told, until=until, life=life, back_off=0.5)

    def _needs_telling(
        self, last: _Told | None, firing: frozenset[Symptom], resolved: frozenset[Symptom]
    ) -> bool:
        if last is None:
            return bool(firing)
        if not firing <= last.firing:
            return True
        if not firing:
            return bool(last.firing)
        if not resolved <= last.resolved:
            return True
        return self.world.seconds - last.at >= self.timing.repeat_interval

    def _send(
        self, group: str, body: Body, told: _Told, *, until: float, life: int, back_off: float
    ) -> None:
        if life != self._life:
            return

        def answered(code: int) -> None:
            if code == OK:
                for peer in [self, *([] if self.is_partitioned else self.others)]:
                    peer.log[group] = told
            elif self.world.seconds + back_off < until:
                again = partial(
                    self._send,
                    group,
                    body,
                    told,
                    until=until,
                    life=life,
                    back_off=min(back_off * 2, 60),
                )
                self.world.after(back_off, again)

        self.network.post(body, answered)

    def _body(self, group: str, alerts: dict[Symptom, tuple[bool, float]]) -> Body:
        listed = sorted(alerts.items())
        cut = self.timing.max_alerts or len(listed)
        return {
            "version": "4",
            "groupKey": f'{{}}:{{alertname="{group}"}}',
            "truncatedAlerts": max(0, len(listed) - cut),
            "status": "firing" if any(f for _, (f, _) in listed) else "resolved",
            "receiver": r"remediator\.main",
            "notification_reason": "first notification",
            "alerts": [
                {
                    "status": "firing" if is_firing else "resolved",
                    "labels": labels_of(symptom) | ADDED,
                    "annotations": {},
                    "startsAt": (START + timedelta(seconds=starts_at)).isoformat(),
                    "endsAt": "0001-01-01T00:00:00Z",
                    "fingerprint": f"{abs(hash(symptom)) % 16**16:016x}",
                }
                for symptom, (is_firing, starts_at) in listed[:cut]
            ],
        }


@dataclass
class Alertmanagers:
    """Both peers, and what mutes alerts in them."""

    world: World
    timing: Timing
    network: Network
    firing_now: Callable[[], Mapping[Symptom, float]]
    silenced_until: dict[Symptom, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.peers = [
            Peer(self.world, n, self.timing, self.network, self.firing_now, self.muted)
            for n in (0, 1)
        ]
        for peer in self.peers:
            peer.others = [other for other in self.peers if other is not peer]

    def tell(self, symptom: Symptom, fired_at: float | None) -> None:
        for peer in self.peers:
            peer.take(symptom, fired_at)

    def alerts(self) -> tuple[NotifiedAlert, ...]:
        """The remediator asks the first."""
        return self.peers[0].alerts()

    def muted(self, symptom: Symptom) -> Reason | None:
        if self.world.seconds < self.silenced_until.get(symptom, -math.inf):
            return Reason.SILENCED
        if symptom[0] == LEAK and (DOWN, symptom[1]) in self.firing_now():
            return Reason.INHIBITED
        return None

    def partition(self, *, begins: bool) -> None:
        for peer in self.peers:
            peer.is_partitioned = begins

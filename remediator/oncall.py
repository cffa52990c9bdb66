"""Who is on call: teams take turns from one hand-over to the next, with swaps cut in.

Rule: pure; times are in UTC, because two local times of one zone compare by their clocks
alone. Each turn begins where the one before it ends.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo

WEEK = timedelta(weeks=1)


@dataclass(frozen=True, slots=True)
class Turn:
    """From `start` until just before `end`. `why`: of a swap, else empty."""

    team: str
    start: datetime
    end: datetime
    why: str = ""


@dataclass(frozen=True, slots=True)
class Stretch:
    """From the hand-over on the day `start` the teams of `order` take a week each, in turn."""

    start: date
    order: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BusinessHours:
    """`days`: 0 for Monday; local times of the rota's zone; never on one of `holidays`."""

    days: tuple[int, ...]
    start: time
    end: time
    holidays: tuple[date, ...] = ()

    def hold(self, local: datetime) -> bool:
        return (
            local.weekday() in self.days
            and local.date() not in self.holidays
            and self.start <= local.time() < self.end
        )


@dataclass(frozen=True, slots=True)
class Rota:
    """`teams`: each team's name and what people call it. `turns` are never empty."""

    teams: Mapping[str, str]
    zone: tzinfo
    turns: tuple[Turn, ...]
    hours: BusinessHours

    @property
    def starts(self) -> datetime:
        return self.turns[0].start

    @property
    def ends(self) -> datetime:
        return self.turns[-1].end

    def turn(self, now: datetime) -> Turn | None:
        """Whose it is; None before the rota begins and once it has ended."""
        index = bisect_right(self.turns, now, key=lambda turn: turn.start) - 1
        return self.turns[index] if index >= 0 and now < self.turns[index].end else None

    def after(self, now: datetime) -> tuple[Turn, ...]:
        """The turns that begin later, the next one first."""
        return self.turns[bisect_right(self.turns, now, key=lambda turn: turn.start) :]

    def in_business_hours(self, now: datetime) -> bool:
        return self.hours.hold(now.astimezone(self.zone))


def instants(local: datetime, zone: tzinfo) -> tuple[datetime, ...]:
    """When clocks of the zone show `local`: never, once, or twice as summer time ends."""
    found = {
        moment
        for fold in (0, 1)
        for moment in [local.replace(tzinfo=zone, fold=fold).astimezone(UTC)]
        if moment.astimezone(zone).replace(tzinfo=None) == local
    }
    return tuple(sorted(found))


def hand_overs(stretches: Sequence[Stretch], ends: date, at: time) -> Iterator[datetime]:
    """The local time of each hand-over, that at the end included."""
    day = stretches[0].start
    while day <= ends:
        yield datetime.combine(day, at)
        day += WEEK


def weekly(stretches: Sequence[Stretch], ends: date, at: time, zone: tzinfo) -> Iterator[Turn]:
    """The turns as they are without swaps; each hand-over is one instant of the zone."""
    moments = [instants(local, zone)[0] for local in hand_overs(stretches, ends, at)]
    until = [stretch.start for stretch in stretches[1:]] + [ends]
    index = 0
    for stretch, end in zip(stretches, until, strict=True):
        for week in range((end - stretch.start) // WEEK):
            team = stretch.order[week % len(stretch.order)]
            yield Turn(team, moments[index], moments[index + 1])
            index += 1


def swapped(turns: Iterable[Turn], swaps: Sequence[Turn]) -> tuple[Turn, ...]:
    """`swaps` stand in for whatever they cover; they do not overlap, and lie within the turns."""
    found = list(turns)
    for swap in swaps:
        before = [_cut(turn, turn.start, swap.start) for turn in found]
        after = [_cut(turn, swap.end, turn.end) for turn in found]
        found = [*filter(None, before), swap, *filter(None, after)]
    return tuple(sorted(found, key=lambda turn: turn.start))


def _cut(turn: Turn, start: datetime, end: datetime) -> Turn | None:
    """What of the turn lies between; None when nothing does."""
    start, end = max(start, turn.start), min(end, turn.end)
    return replace(turn, start=start, end=end) if start < end else None

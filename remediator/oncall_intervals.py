"""A rota as Alertmanager's time intervals: the text that stands in alertmanager.yml.

Rule: pure. Alertmanager knows no "every third week", so each turn is written out, by the
clocks of the rota's zone; what stands between the marks is from here and is never edited.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

from remediator.oncall import BusinessHours, Rota

BEGIN = "# >>> on-call: from oncall.yml by `stackmedic-remediator oncall compile`; do not edit"
END = "# <<< on-call"
BUSINESS_HOURS, HOLIDAYS, COVERED = "business-hours", "holidays", "rota-covered"
DAY_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY = timedelta(days=1)
_MIDNIGHT = time()


def interval_of(team: str) -> str:
    """The name by which a route asks whether the team is on call."""
    return f"oncall-{team}"


@dataclass(frozen=True, slots=True)
class Piece:
    """Days in a row of one month, and the hours of each of them."""

    first: date
    last: date
    start: str = "00:00"
    end: str = "24:00"


def pieces(start: datetime, end: datetime) -> Iterator[Piece]:
    """The time between two local times: a day in part, whole days by the month, a day in part."""
    day = start.date()
    if start.date() == end.date():
        yield Piece(day, day, _clock(start), _clock(end))
        return
    if start.time() != _MIDNIGHT:
        yield Piece(day, day, start=_clock(start))
        day += _DAY
    while day < end.date():
        last = min(_end_of_month(day), end.date() - _DAY)
        yield Piece(day, last)
        day = last + _DAY
    if end.time() != _MIDNIGHT:
        yield Piece(day, day, end=_clock(end))


def _end_of_month(day: date) -> date:
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1) - _DAY


def _clock(moment: datetime | time) -> str:
    return f"{moment:%H:%M}"


def compiled(rota: Rota, zone_name: str) -> str:
    """The whole section, its marks included."""
    lines = [BEGIN, "time_intervals:"]
    lines += _business_hours(rota.hours, zone_name)
    lines += _holidays(rota.hours, zone_name)
    for team, title in rota.teams.items():
        lines += [f"  - name: {interval_of(team)}  # {title}", "    time_intervals:"]
        for turn in rota.turns:
            if turn.team == team:
                start, end = _local(turn.start, rota.zone), _local(turn.end, rota.zone)
                why = f": {turn.why}" if turn.why else ""
                lines.append(f"      # {start:%a %Y-%m-%d %H:%M} to {end:%a %Y-%m-%d %H:%M}{why}")
                lines += _written(pieces(start, end), zone_name)
    lines += [f"  - name: {COVERED}  # outside of it the fallback is paged", "    time_intervals:"]
    whole = pieces(_local(rota.starts, rota.zone), _local(rota.ends, rota.zone))
    lines += _written(whole, zone_name)
    return "\n".join([*lines, END, ""])


def _local(moment: datetime, zone: tzinfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)


def _business_hours(hours: BusinessHours, zone_name: str) -> list[str]:
    days = ", ".join(DAY_NAMES[day] for day in hours.days)
    times = _times(_clock(hours.start), _clock(hours.end))
    written = f"      - {{weekdays: [{days}], {times}, location: {zone_name}}}"
    return [f"  - name: {BUSINESS_HOURS}", "    time_intervals:", written]


def _holidays(hours: BusinessHours, zone_name: str) -> list[str]:
    if not hours.holidays:
        return [f"  - name: {HOLIDAYS}", "    time_intervals: []"]
    written = _written((Piece(day, day) for day in sorted(hours.holidays)), zone_name)
    return [f"  - name: {HOLIDAYS}", "    time_intervals:", *written]


def _written(found: Iterable[Piece], zone_name: str) -> Iterator[str]:
    for piece in found:
        first, last = piece.first, piece.last
        days = f"{first.day}" if first == last else f"{first.day}:{last.day}"
        whole = (piece.start, piece.end) == ("00:00", "24:00")
        hours = "" if whole else f"{_times(piece.start, piece.end)}, "
        yield (
            f'      - {{years: ["{first.year}"], months: ["{first.month}"],'
            f' days_of_month: ["{days}"], {hours}location: {zone_name}}}'
        )


def _times(start: str, end: str) -> str:
    return f'times: [{{start_time: "{start}", end_time: "{end}"}}]'


def replaced(text: str, section: str) -> str | None:
    """`text` with its section between the marks replaced; None when it has not both, once."""
    if text.count(f"{BEGIN}\n") != 1 or text.count(f"{END}\n") != 1:
        return None
    before, _, rest = text.partition(f"{BEGIN}\n")
    _, found, after = rest.partition(f"{END}\n")
    return before + section + after if found else None

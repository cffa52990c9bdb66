"""The compiled rota, minute by minute, by a reader of Alertmanager's intervals of our own.

It knows nothing of how they were made: it reads alertmanager.yml as Alertmanager documents it,
and asks oncall.yml by wall clocks alone. One bit of a number is one minute.
"""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from remediator.config_oncall import load_oncall
from remediator.oncall_intervals import compiled, replaced

REPO = Path(__file__).resolve().parents[2]
ALERTMANAGER = REPO / "alert_rules" / "alertmanager.yml"
ONCALL = REPO / "alert_rules" / "oncall.yml"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTES = 24 * 60
QUARTER = timedelta(minutes=15)  # no zone's clocks change within one
TWO_YEARS = timedelta(days=2 * 365 + 1)


def ones(first: int, last: int) -> int:
    """The bits from `first` until before `last`."""
    return (1 << last) - (1 << first)


class Evaluator:
    """Of one interval: which minutes of a local day it holds."""

    def __init__(self, specs: list[dict[str, Any]]) -> None:
        self.specs = specs
        self.days: dict[date, int] = {}

    def day(self, day: date) -> int:
        if day not in self.days:
            self.days[day] = 0
            for spec in self.specs:
                self.days[day] |= minutes(spec) if on_day(spec, day) else 0
        return self.days[day]


def within(ranges: list[str] | None, value: int) -> bool:
    if ranges is None:
        return True
    pairs = [str(text).partition(":") for text in ranges]
    return any(int(low) <= value <= int(high or low) for low, _, high in pairs)


def on_day(spec: dict[str, Any], day: date) -> bool:
    assert set(spec) <= {"years", "months", "days_of_month", "weekdays", "times", "location"}
    names = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    return (
        within(spec.get("years"), day.year)
        and within(spec.get("months"), day.month)
        and within(spec.get("days_of_month"), day.day)
        and ("weekdays" not in spec or names[day.weekday()] in spec["weekdays"])
    )


def minutes(spec: dict[str, Any]) -> int:
    found = 0
    for hours in spec.get("times", [{"start_time": "00:00", "end_time": "24:00"}]):
        found |= ones(minute(hours["start_time"]), minute(hours["end_time"]))
    return found


def minute(clock: str) -> int:
    hour, _, rest = clock.partition(":")
    return int(hour) * 60 + int(rest)


def timeline(specs: list[dict[str, Any]], start: datetime, end: datetime) -> int:
    """One bit for each minute from start to end: does the interval hold it?"""
    (zone,) = {ZoneInfo(spec["location"]) for spec in specs}
    evaluator, quarters, mask = Evaluator(specs), [], ones(0, 15)
    moment = start
    while moment < end:
        local = moment.astimezone(zone)
        bits = evaluator.day(local.date()) >> (local.hour * 60 + local.minute)
        quarters.append((bits & mask).to_bytes(2, "little"))
        moment += QUARTER
    # 16 bits a quarter of which the last is never set: fewer bits would cost time to pack.
    return int.from_bytes(b"".join(quarters), "little")


def everything(start: datetime, end: datetime) -> int:
    return int.from_bytes(ones(0, 15).to_bytes(2, "little") * ((end - start) // QUARTER), "little")


@pytest.fixture(scope="module")
def intervals() -> dict[str, list[dict[str, Any]]]:
    document = yaml.safe_load(ALERTMANAGER.read_text())
    return {one["name"]: one["time_intervals"] for one in document["time_intervals"]}


@pytest.fixture(scope="module")
def written() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(ONCALL.read_text())
    return found


def at(day: date, written: dict[str, Any]) -> datetime:
    """The hand-over on a day."""
    clock = datetime.strptime(written["hand_over"]["at"], "%H:%M").time()  # noqa: DTZ007 - local
    local = datetime.combine(day, clock, tzinfo=ZoneInfo(written["timezone"]))
    return local.astimezone(UTC)


def expected(written: dict[str, Any], start: datetime, end: datetime) -> dict[str, int]:
    """Each team's minutes, by the wall clock and the words of the file."""
    zone, (rota,) = ZoneInfo(written["timezone"]), written["rota"]
    first, clock = rota["from"], written["hand_over"]["at"]
    found: dict[str, list[bytes]] = {team: [] for team in written["teams"]}
    swaps = [(one["from"], one["to"], one["team"]) for one in written["overrides"]]
    moment = start
    while moment < end:
        local = moment.astimezone(zone)
        wall = f"{local:%Y-%m-%d %H:%M}"
        week = ((local.date() - first).days - (f"{local:%H:%M}" < clock)) // 7
        team = rota["order"][week % len(rota["order"])]
        team = next((who for begin, until, who in swaps if begin <= wall < until), team)
        for name, quarters in found.items():
            quarters.append(ones(0, 15).to_bytes(2, "little") if name == team else b"\0\0")
        moment += QUARTER
    return {team: int.from_bytes(b"".join(parts), "little") for team, parts in found.items()}


def test_one_team_is_on_call_in_every_minute_of_two_years_and_it_is_the_right_one(
    intervals: dict[str, list[dict[str, Any]]], written: dict[str, Any]
) -> None:
    start, end = at(written["rota"][0]["from"], written), at(written["ends"], written)
    assert end - start >= TWO_YEARS
    teams = {team: timeline(intervals[f"oncall-{team}"], start, end) for team in written["teams"]}

    assert teams == expected(written, start, end)
    anybody = twice = 0
    for bits in teams.values():
        twice |= anybody & bits
        anybody |= bits
    assert twice == 0
    assert anybody == everything(start, end)
    assert sum(bits.bit_count() for bits in teams.values()) == (end - start) // QUARTER * 15


def test_the_fallback_is_told_outside_of_the_rota_and_in_no_minute_of_it(
    intervals: dict[str, list[dict[str, Any]]], written: dict[str, Any]
) -> None:
    start, end = at(written["rota"][0]["from"], written), at(written["ends"], written)
    month = timedelta(days=30)
    assert timeline(intervals["rota-covered"], start, end) == everything(start, end)
    for name in ("rota-covered", *(f"oncall-{team}" for team in written["teams"])):
        assert timeline(intervals[name], start - month, start) == 0
        assert timeline(intervals[name], end, end + month) == 0


def test_business_hours_hold_on_their_days_and_holidays_on_theirs(
    intervals: dict[str, list[dict[str, Any]]], written: dict[str, Any]
) -> None:
    hours, holidays = Evaluator(intervals["business-hours"]), Evaluator(intervals["holidays"])
    own = written["business_hours"]
    first = written["rota"][0]["from"]
    for day in (first + timedelta(days=n) for n in range((written["ends"] - first).days)):
        works = DAYS[day.weekday()] in own["days"]
        assert hours.day(day) == (ones(minute(own["from"]), minute(own["to"])) if works else 0)
        assert holidays.day(day) == (ones(0, MINUTES) if day in written["holidays"] else 0)


def test_the_committed_file_is_compiled_from_the_committed_rota() -> None:
    own, text = load_oncall(ONCALL), ALERTMANAGER.read_text()

    assert replaced(text, compiled(own.rota, own.zone_name)) == text

"""oncall.yml -> Rota; or ConfigError with every mistake and its path in the file.

Rule: what is read here has one team on call at every moment from the first hand-over to the
last, and every clock time in it is one moment.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from remediator.config_files import mapping, read
from remediator.config_guards import ClockTime, Day, Zone
from remediator.config_mistakes import ConfigError, Mistake, from_pydantic
from remediator.config_values import Name, Section
from remediator.oncall import (
    BusinessHours,
    Rota,
    Stretch,
    Turn,
    hand_overs,
    instants,
    swapped,
    weekly,
)
from remediator.windows import DAYS

LONGEST = timedelta(days=3660)
_LOCAL = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d", re.ASCII)


def _local_time(text: object) -> datetime:
    if isinstance(text, str) and _LOCAL.fullmatch(text):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass
    raise ValueError(f"{str(text)!r} is not a local time; write it like 2026-12-24 09:00")


LocalTime = Annotated[datetime, BeforeValidator(_local_time)]
Line = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=100)]


class HandOverSection(Section):
    day: Day = "mon"
    """The day of the week."""
    at: ClockTime = "09:00"
    """The local time."""


class StretchSection(Section):
    from_: Annotated[date, Field(alias="from")]
    """A day of a hand-over; the first team's week begins there."""
    order: Annotated[list[Name], Field(min_length=1, max_length=52)]
    """Teams, a week each, again and again until the next entry begins or the rota ends."""


class OverrideSection(Section):
    from_: Annotated[LocalTime, Field(alias="from")]
    """When it begins."""
    to: LocalTime
    """When the rota goes on."""
    team: Name
    """Who is on call instead."""
    why: Line
    """For people."""

    @model_validator(mode="after")
    def ends_later(self) -> "OverrideSection":
        if self.to <= self.from_:
            raise ValueError("to must be later than from")
        return self


class BusinessHoursSection(Section):
    days: Annotated[list[Day], Field(min_length=1)]
    """The days of the week."""
    from_: Annotated[ClockTime, Field(alias="from")]
    """When they begin."""
    to: ClockTime
    """When they end."""

    @model_validator(mode="after")
    def ends_later(self) -> "BusinessHoursSection":
        if self.to <= self.from_:
            raise ValueError("to must be later than from, on the same day")
        return self


class OncallFile(Section):
    version: Literal[1]
    """The version of this format."""
    timezone: Zone
    """Whose clocks all times here are, as in Europe/Rome."""
    teams: Annotated[dict[Name, Line], Field(min_length=1)]
    """Each team's name, as in the label `team` and the intervals, and what people call it."""
    hand_over: HandOverSection = HandOverSection()
    """When one team takes over from another."""
    rota: Annotated[list[StretchSection], Field(min_length=1)]
    """Who takes turns, and from when on."""
    ends: date
    """The day of the last hand-over: nobody is on call after it."""
    overrides: list[OverrideSection] = Field(default_factory=list)
    """Times at which somebody else is on call: holidays, swaps."""
    business_hours: BusinessHoursSection
    """When what can wait is told."""
    holidays: list[date] = Field(default_factory=list)
    """Days without business hours."""


@dataclass(frozen=True, slots=True)
class Oncall:
    """`zone_name` as written: Alertmanager looks it up by itself."""

    rota: Rota
    zone_name: str


def load_oncall(path: Path) -> Oncall:
    """Errors: ConfigError, with every mistake."""
    return _parsed(read(path), str(path))


def parse_oncall(text: str, source: str) -> Oncall:
    """Errors: ConfigError, with every mistake."""
    return _parsed(mapping(text, source), source)


def _parsed(raw: dict[str, object], source: str) -> Oncall:
    try:
        file = OncallFile.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(source, list(from_pydantic(error))) from None
    mistakes = [*_unknown_teams(file), *_unfit_days(file), *_overlaps(file)]
    mistakes = mistakes or [*_unfit_times(file)]
    if mistakes:
        raise ConfigError(source, mistakes)
    return Oncall(_rota(file), file.timezone)


# -- mistakes: what one value cannot say alone ------------------------------------------------


def _unknown_teams(file: OncallFile) -> Iterator[Mistake]:
    used = set[str]()
    named = [
        (f"rota[{number}].order[{index}]", team)
        for number, stretch in enumerate(file.rota)
        for index, team in enumerate(stretch.order)
    ]
    named += [(f"overrides[{i}].team", one.team) for i, one in enumerate(file.overrides)]
    for path, team in named:
        used.add(team)
        if team not in file.teams:
            yield Mistake(path, f"{team!r} is not one of the teams")
    for team in file.teams:
        if team not in used:
            yield Mistake(f"teams.{team}", "is never on call")


def _unfit_days(file: OncallFile) -> Iterator[Mistake]:
    day = file.hand_over.day
    days = [(f"rota[{number}].from", one.from_) for number, one in enumerate(file.rota)]
    days.append(("ends", file.ends))
    for path, found in days:
        if DAYS[found.weekday()] != day:
            yield Mistake(path, f"{found} is a {DAYS[found.weekday()]}; hand-overs are on {day}")
    for (_, earlier), (path, later) in pairwise(days):
        if later <= earlier:
            yield Mistake(path, f"must be later than {earlier}")
    if file.ends - file.rota[0].from_ > LONGEST:
        yield Mistake("ends", "a rota is ten years long at most")


def _overlaps(file: OncallFile) -> Iterator[Mistake]:
    at = time.fromisoformat(file.hand_over.at)
    first, last = datetime.combine(file.rota[0].from_, at), datetime.combine(file.ends, at)
    for index, one in enumerate(file.overrides):
        if one.from_ < first or one.to > last:
            yield Mistake(
                f"overrides[{index}]",
                f"is not within the rota, {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}",
            )
        for number, other in enumerate(file.overrides[:index]):
            if one.from_ < other.to and other.from_ < one.to:
                yield Mistake(f"overrides[{index}]", f"overlaps overrides[{number}]")


def _unfit_times(file: OncallFile) -> Iterator[Mistake]:
    """Clock times that summer time leaves out or shows twice."""
    zone = ZoneInfo(file.timezone)
    told = [("hand_over.at", local) for local in _hand_overs(file)]
    for index, one in enumerate(file.overrides):
        told += [(f"overrides[{index}].from", one.from_), (f"overrides[{index}].to", one.to)]
    for path, local in told:
        count = len(instants(local, zone))
        if count != 1:
            how_often = "twice" if count else "never"
            yield Mistake(
                path, f"clocks in {file.timezone} show {local:%Y-%m-%d %H:%M} {how_often}"
            )


# -- building: every value is checked already -------------------------------------------------


def _stretches(file: OncallFile) -> Sequence[Stretch]:
    return [Stretch(one.from_, tuple(one.order)) for one in file.rota]


def _hand_overs(file: OncallFile) -> Iterator[datetime]:
    at = time.fromisoformat(file.hand_over.at)
    return hand_overs(_stretches(file), file.ends, at)


def _rota(file: OncallFile) -> Rota:
    zone = ZoneInfo(file.timezone)
    at = time.fromisoformat(file.hand_over.at)
    swaps = [
        Turn(one.team, instants(one.from_, zone)[0], instants(one.to, zone)[0], one.why)
        for one in file.overrides
    ]
    hours = file.business_hours
    return Rota(
        teams=dict(file.teams),
        zone=zone,
        turns=swapped(weekly(_stretches(file), file.ends, at, zone), swaps),
        hours=BusinessHours(
            days=tuple(sorted({DAYS.index(day) for day in hours.days})),
            start=time.fromisoformat(hours.from_),
            end=time.fromisoformat(hours.to),
            holidays=tuple(sorted(set(file.holidays))),
        ),
    )

"""The keys of remediator.yml that the guards hold a run against: limits, hours, groups.

Rule: as in `config_schema.py`, only what one value can say about itself.
"""

import zoneinfo
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from remediator.config_values import Name, Positive, Section
from remediator.durations import Seconds

ClockTime = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def _known_zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, zoneinfo.ZoneInfoNotFoundError):
        raise ValueError(f"{name!r} is not a time zone like Europe/Rome") from None
    return name


Zone = Annotated[str, AfterValidator(_known_zone)]


class ApprovalSection(Section):
    timeout: Positive = 900.0
    """A question that nobody answers by then is withdrawn and a human called; an approval is as
    good for this long."""


class WindowSection(Section):
    days: Annotated[list[Day], Field(min_length=1)]
    """The days of the week on which it begins."""
    from_: Annotated[ClockTime, Field(alias="from")]
    """When it begins, local time."""
    to: ClockTime
    """When it ends; before `from`, it is of the next day."""
    timezone: Zone = "UTC"
    """Whose clocks these are, as in Europe/Rome."""
    weeks: list[Literal[1, 2, 3, 4, 5, -1]] = Field(default_factory=list)
    """Only in these weeks of the month; -1 is the last. Empty: in all."""

    @model_validator(mode="after")
    def has_a_length(self) -> "WindowSection":
        if self.from_ == self.to:
            raise ValueError("from and to are the same: it would never hold")
        return self


class GroupSection(Section):
    members: Annotated[list[Name], Field(min_length=2)]
    """Topology keys that stand in for one another."""
    min_healthy: Annotated[int, Field(ge=1)] = 1
    """A member that serves is not taken down unless so many others serve."""


class GlobalLimits(Section):
    runs_per_hour: Annotated[int, Field(ge=0)] = 6
    """Runs in an hour, over all targets and runbooks."""
    runs_per_day: Annotated[int, Field(ge=0)] = 12
    """Runs in a day, over all targets and runbooks."""
    concurrency: Annotated[int, Field(ge=1, le=10)] = 1
    """Runs at once, over all targets; entries whose risk is safe are not counted."""
    max_alert_age: Positive = 86400.0
    """An alert that has fired for longer is left to a human."""


class BreakerSection(Section):
    failures: Annotated[int, Field(ge=1, le=10)] = 2
    """So many failed runs in a row open the breaker."""
    runs: Annotated[int, Field(ge=1, le=10)] = 3
    """So many runs in the time of `within` open it, however they ended."""
    within: Positive = 6 * 3600.0
    """The time that `runs` counts in."""
    runs_per_day: Annotated[int, Field(ge=1, le=10)] = 6
    """So many runs in a day open it."""
    trial_after: Positive = 6 * 3600.0
    """An entry whose risk is safe may try once more after this."""
    clean: Seconds = 2 * 3600.0
    """A success ends a row of failures only if nothing had to be run for so long after it."""


class StormSection(Section):
    targets: Annotated[int, Field(ge=1)] = 5
    """More targets than this that broke at once are a storm."""
    within: Positive = 120.0
    """The time that `targets` counts in."""
    share: Annotated[float, Field(gt=0, le=1)] = 0.3
    """More than this part of all services, each broken by itself, is a storm too."""
    at_least: Annotated[int, Field(ge=2)] = 3
    """Fewer broken services than this are never a storm by their share."""
    calm: Seconds = 300.0
    """Nothing is begun until it has been calm for this long."""

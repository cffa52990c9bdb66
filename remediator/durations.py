"""Durations as people write them in a config: 500ms, 10s, 5m, 1h30m, 1d.

Rule: pure; a bare number is refused, because nobody remembers its unit.
"""

import re
from typing import Annotated

from pydantic import BeforeValidator

_UNIT_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII)


def parse_duration_seconds(text: object) -> float:
    """`"1h30m"` -> 5400.0. Errors: ValueError, worded for the person who wrote the config."""
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if not match or not match[0]:
        raise ValueError(f"{text!r} is not a duration; write it like 500ms, 10s, 5m or 1h30m")
    pairs = zip(match.groups(), _UNIT_SECONDS.values(), strict=True)
    return sum(int(number) * unit for number, unit in pairs if number is not None)


Seconds = Annotated[float, BeforeValidator(parse_duration_seconds)]
"""A config field written as a duration and read as seconds."""

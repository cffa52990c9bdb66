"""Which colour is live."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LiveColour:
    colour: str
    problems: tuple[str, ...] = ()

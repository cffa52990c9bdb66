"""nginx's own counters, from its stub_status page."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Nginx:
    active: int
    accepted: int
    handled: int
    requests: int
    reading: int
    writing: int
    waiting: int
    problems: tuple[str, ...] = ()

"""A Redis server."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Redis:
    """INFO as the server wrote it: field -> text."""

    info: Mapping[str, str]
    databases: int = 0  # how many the server is configured for, 0 if it does not tell
    problems: tuple[str, ...] = ()

"""A Postgres server."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class StatementCounts:
    """Counters of one statement, or of all the others together."""

    calls: float
    seconds: float
    rows: float


@dataclass(frozen=True, slots=True)
class Postgres:
    """One server seen through one database. An empty part was not readable: see problems."""

    version: str
    settings: Mapping[str, float] = field(default_factory=dict)
    # (datname, state) -> sessions
    sessions: Mapping[tuple[str, str], int] = field(default_factory=dict)
    # (datid, datname) -> column -> value
    databases: Mapping[tuple[str, str], Mapping[str, float]] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    # keyed by user, datname, queryid
    statements: Mapping[tuple[str, str, str], StatementCounts] = field(default_factory=dict)
    statements_tracked: int | None = None
    problems: tuple[str, ...] = ()

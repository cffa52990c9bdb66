"""A Postgres server."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

# user, datname, queryid; "" for a name that is not known
StatementKey = tuple[str, str, str]
# The first three are always calls, seconds, rows.
Counts = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """One answered query. columns name the numbers; a row is its labels and its numbers.

    None is a number that the server does not tell.
    """

    columns: tuple[str, ...]
    rows: Sequence[tuple[tuple[str, ...], tuple[float | None, ...]]]


@dataclass(frozen=True, slots=True)
class PartState:
    """How reading one part went.

    last_success_at: Unix seconds, of a part whose answer is kept for a while; else 0.
    """

    error: str = ""
    duration_seconds: float = 0.0
    last_success_at: float = 0.0


class Setting(NamedTuple):
    """One row of pg_settings, as the server wrote it. A tuple, for hundreds are compared."""

    name: str
    text: str
    unit: str
    kind: str  # bool, integer or real


@dataclass(frozen=True, slots=True)
class Statements:
    columns: tuple[str, ...]
    rows: Mapping[StatementKey, Counts]
    tracked: int
    dealloc: float | None = None
    stats_reset_at: float | None = None
    texts: Mapping[str, str] = field(default_factory=dict)  # queryid -> start of its text


@dataclass(frozen=True, slots=True)
class Login:
    """The last login on a connection of its own."""

    success: bool
    duration_seconds: float


@dataclass(frozen=True, slots=True)
class Postgres:
    """One server. A part that could not be read is not in tables: see parts and problems."""

    version: str
    short_version: str
    tables: Mapping[str, Table] = field(default_factory=dict)
    parts: Mapping[str, PartState] = field(default_factory=dict)
    settings: tuple[Setting, ...] = ()
    statements: Statements | None = None
    login: Login | None = None
    duration_seconds: float = 0.0
    problems: tuple[str, ...] = ()

"""One Postgres server: its parts, each read and kept by itself.

Rule: a part that cannot be read is absent and reported, the others are not. What is dear is
kept for a while: successes only, dropped when they are too old, with the time of each told.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

import psycopg

from exporter.collectors.port import Clocks
from exporter.collectors.postgres.pgss import StatementReader
from exporter.collectors.postgres.queries import (
    HELLO,
    HELLO_COLUMNS,
    HELLO_FINDS,
    QUERIES,
    SETTINGS,
    Keep,
    Query,
    Scope,
)
from exporter.collectors.postgres.session import Session, first_line, unreachable
from exporter.readings import (
    Cause,
    Login,
    PartState,
    Postgres,
    Setting,
    Statements,
    Table,
    Unreachable,
)
from exporter.targets import Database

_LONG = 10
_DROPPED_AFTER = 5  # intervals
_SETTINGS_SECONDS = 300.0  # a few change without a reload of the configuration


@dataclass(slots=True)
class Kept:
    """The last good answer of one part on one database."""

    table: Table
    read_at: float  # monotonic
    success_at: float  # Unix seconds


@dataclass(slots=True)
class Found:
    """One scrape's reading while it is being made."""

    deadline: float
    version: int
    empty: set[str] = field(default_factory=set)  # parts with no row to read
    tables: dict[str, Table] = field(default_factory=dict)
    parts: dict[str, PartState] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


class PostgresCollector:
    def __init__(self, target: Database, clocks: Clocks) -> None:
        self._target = target
        self._clocks = clocks
        self._clock = clocks.monotonic
        self._where = f"{target.host}:{target.port}/{target.database}"
        self._main = Session(target, target.database, self._clock)
        self._others: dict[str, Session] = {}
        self._statements = StatementReader(target, self._clock)
        self._kept: dict[tuple[str, str], Kept] = {}
        self._columns: dict[str, tuple[str, ...]] = {}  # of each statement
        self._names: dict[str, str] = {}  # oid of a database -> its name
        self._settings: tuple[tuple[object, ...], float, tuple[Setting, ...]] | None = None
        self._login: Login | None = None
        self._login_at = float("-inf")
        self._queries = [query for query in QUERIES if _wanted(query, target)]

    def collect(self, deadline: float) -> Postgres | Unreachable:
        began_at = self._clock()
        try:
            hello = self._begin(deadline)
            return self._read(hello, Found(deadline, hello[2]), began_at)
        except psycopg.Error as error:
            self.close()
            return unreachable(self._where, error)
        except (OSError, UnicodeDecodeError) as error:
            return Unreachable(Cause.AUTH, f"{self._where}: password file: {error}")

    def cancel(self) -> None:
        for session in (self._main, *self._others.values()):
            session.cancel()

    def close(self) -> None:
        self._main.close()
        for session in self._others.values():
            session.close()
        self._others.clear()

    def _begin(self, deadline: float) -> tuple[Any, ...]:
        """Connect if need be, limit this scrape's statements, and prove the server answers."""
        kept = self._main.is_open
        try:
            return self._hello(self._main, deadline)
        except psycopg.OperationalError:
            # A kept connection may have died with a restart: once more on a fresh one.
            if not kept or self._clock() >= deadline:
                raise
            self._main.close()
            return self._hello(self._main, deadline)

    def _hello(self, session: Session, deadline: float) -> tuple[Any, ...]:
        if not session.is_open:
            self._kept_login(lambda: session.open(deadline))
        milliseconds = max(1, int((deadline - self._clock()) * 1000))
        row = session.execute(HELLO, (f"{milliseconds}ms",)).fetchone()
        if row is None:
            raise psycopg.OperationalError("the server answered nothing")
        return row

    def _kept_login(self, login: Callable[[], object]) -> None:
        """Log in, and remember how it went. Errors: those of the login."""
        began_at = self._login_at = self._clock()
        self._login = Login(success=False, duration_seconds=0.0)
        try:
            login()
        finally:
            took = self._clock() - began_at
            self._login = Login(self._login.success, took)
        self._login = Login(success=True, duration_seconds=took)

    def _read(self, hello: tuple[Any, ...], found: Found, began_at: float) -> Postgres:
        server, finds = hello[4 : 4 + len(HELLO_COLUMNS)], hello[-len(HELLO_FINDS) :]
        found.tables["server"] = Table(HELLO_COLUMNS, [((), server)])
        found.empty = {part for part, there in zip(HELLO_FINDS, finds, strict=True) if not there}
        settings = self._part(found, "settings", lambda: self._read_settings(hello[3:5]))
        for query in self._queries:
            if query.scope is Scope.SERVER:
                self._query(found, query, self._main)
        statements = self._part(found, "stat_statements", self._read_statements)
        for session in self._sessions(found):
            for query in self._queries:
                if query.scope is Scope.DATABASE:
                    self._query(found, query, session)
        self._check_login(found)
        return Postgres(
            version=hello[1],
            short_version=short_version(hello[2]),
            tables=found.tables,
            parts=found.parts,
            settings=settings or (),
            statements=statements,
            login=self._login,
            duration_seconds=round(self._clock() - began_at, 6),
            problems=tuple(found.problems),
        )

    def _part(self, found: Found, part: str, read: Callable[[], Any]) -> Any:  # noqa: ANN401  what read returns
        """Read one part and note how it went; None when it failed or is switched off.

        Errors: psycopg.Error only when the connection to the server is lost.
        """
        if part in self._target.without_parts:
            return None
        began_at, error, answer = self._clock(), "", None
        if began_at >= found.deadline:
            error = "no time left"
        else:
            try:
                answer = read()
            except psycopg.Error as failure:
                if not self._main.is_open:
                    raise
                error = first_line(failure)
        if error:
            found.problems.append(f"{part}: {error}")
        before = found.parts.get(part, PartState())
        found.parts[part] = PartState(
            before.error or error,
            round(before.duration_seconds + self._clock() - began_at, 6),
            before.last_success_at,
        )
        return answer

    def _query(self, found: Found, query: Query, session: Session) -> None:
        sql = query.sql(found.version)
        if sql is None:
            return
        place = (query.part, session.database)
        kept, lasts = self._kept.get(place), self._lasts(query.keep)
        now = self._clock()
        if kept is None or now - kept.read_at >= lasts:
            table = self._part(found, query.part, lambda: self._ask(found, session, query, sql))
            if table is not None:
                kept = Kept(table, now, round(self._clocks.wall(), 3))
                if lasts:
                    self._kept[place] = kept
            elif kept is not None and now - kept.read_at >= lasts * _DROPPED_AFTER:
                kept = self._kept.pop(place, None) and None
        if kept is not None:
            state = found.parts.get(query.part, PartState())
            if lasts:
                found.parts[query.part] = replace(state, last_success_at=kept.success_at)
            found.tables[query.part] = _joined(found.tables.get(query.part), kept.table)

    def _lasts(self, keep: Keep) -> float:
        if keep is Keep.SCRAPE:
            return 0.0
        return self._target.slow_interval * (_LONG if keep is Keep.LONG else 1)

    def _ask(self, found: Found, session: Session, query: Query, sql: str) -> Table:
        if query.part in found.empty:
            return Table((), ())
        taken = ((getattr(self._target, name)) for name in query.takes)
        parameters = tuple(list(value) if isinstance(value, tuple) else value for value in taken)
        cursor = session.execute(sql, parameters)
        rows = [(row[: query.labels], row[query.labels :]) for row in cursor.fetchall()]
        columns = self._columns.get(sql)
        if columns is None:
            names = (column.name for column in cursor.description or ())
            columns = self._columns[sql] = tuple(names)[query.labels :]
        if query.by_datid:
            rows = [((self._names.get(k[0], ""), *k[1:]), n) for k, n in rows]
        if query.part == "stat_database":
            self._names = {labels[0]: labels[1] for labels, _ in rows}
        return Table(columns, rows)

    def _read_settings(self, loaded: tuple[object, ...]) -> tuple[Setting, ...]:
        """Again only after a reload, a restart, or some minutes."""
        now, before = self._clock(), self._settings
        if before and before[0] == loaded and now - before[1] < _SETTINGS_SECONDS:
            return before[2]
        settings = tuple(Setting(*row) for row in self._main.execute(SETTINGS).fetchall())
        self._settings = (loaded, now, settings)
        return settings

    def _read_statements(self) -> Statements | None:
        return self._statements.read(self._main, self._names)

    def _sessions(self, found: Found) -> Iterator[Session]:
        """The main connection, then one to each other database that is to be looked into."""
        yield self._main
        wanted = self._chosen(found)
        for name in [name for name in self._others if name not in wanted]:
            self._others.pop(name).close()
        for name in wanted:
            session = self._others.setdefault(name, Session(self._target, name, self._clock))
            if self._opened(found, session):
                yield session

    def _chosen(self, found: Found) -> list[str]:
        table = found.tables.get("database")
        if table is None or not self._target.databases:
            return []
        reachable = table.columns.index("reachable")
        names = sorted(labels[0] for labels, numbers in table.rows if numbers[reachable])
        names = [name for name in names if chosen(name, self._target)]
        limit = self._target.databases_limit - 1
        if len(names) > limit:
            found.problems.append(f"databases: {len(names) - limit} over databases_limit left out")
        return names[:limit]

    def _opened(self, found: Found, session: Session) -> bool:
        try:
            if not session.is_open:
                session.open(found.deadline)
            remaining = max(1, int((found.deadline - self._clock()) * 1000))
            session.execute(
                "select set_config('statement_timeout', %s, false)", (f"{remaining}ms",)
            )
        except (psycopg.Error, OSError) as error:
            session.close()
            text = first_line(error) if isinstance(error, psycopg.Error) else str(error)
            found.problems.append(f"database {session.database}: {text}")
            return False
        return True

    def _check_login(self, found: Found) -> None:
        """A kept connection says nothing about new ones: log in afresh now and then."""
        now = self._clock()
        if now - self._login_at < self._target.slow_interval or now >= found.deadline:
            return
        try:
            self._kept_login(lambda: self._main.login(found.deadline).finish())
        except psycopg.Error as error:
            found.problems.append(f"login: {first_line(error)}")


def _wanted(query: Query, target: Database) -> bool:
    if query.optional:
        return query.part in target.with_parts
    return query.part not in target.without_parts


def _joined(before: Table | None, table: Table) -> Table:
    return Table(table.columns, [*before.rows, *table.rows]) if before else table


def chosen(database: str, target: Database) -> bool:
    """Whether discovery looks into a database besides the one it is connected to. Pure."""
    return (
        database != target.database
        and any(fnmatchcase(database, pattern) for pattern in target.databases)
        and not any(fnmatchcase(database, pattern) for pattern in target.databases_except)
    )


def short_version(number: int) -> str:
    """150008 -> 15.8.0, the form that postgres_exporter gives it."""
    return f"{number // 10000}.{number % 10000}.0"

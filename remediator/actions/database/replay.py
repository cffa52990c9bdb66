"""Runs a dump's statements in a database, and counts the rows that came in.

Rule: one statement at a time, by the protocol that takes no second one; the first that
fails ends it, unless it is only about who owns what.
"""

import re
from dataclasses import dataclass, field

import psycopg

from remediator.actions.database.session import Connection, one_line
from remediator.actions.database.sqldump import BadDump, Dump, is_copy, shown

_SHOWN = 10

# What a role without great rights cannot do, and what no row depends on.
_DISPENSABLE = re.compile(
    rb"ALTER\s[^;]*\sOWNER\s+TO\s|GRANT\s|REVOKE\s|CREATE\s+EXTENSION\s|COMMENT\s+ON\s+EXTENSION\s"
    rb"|ALTER\s+DEFAULT\s+PRIVILEGES\s|(?:CREATE|ALTER|COMMENT\s+ON)\s+EVENT\s+TRIGGER\s"
    rb"|(?:CREATE|ALTER)\s+(?:PUBLICATION|SERVER|FOREIGN\s+DATA\s+WRAPPER|USER\s+MAPPING)\s"
    rb"|SECURITY\s+LABEL\s|SET\s+default_tablespace\s|(?:ALTER|COMMENT\s+ON)\s+SCHEMA\s+public\b",
    re.IGNORECASE,
)
_LACKS_RIGHTS = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.UndefinedObject,  # a role, an extension, a tablespace
    psycopg.errors.UndefinedFile,  # an extension that is not installed
    psycopg.errors.FeatureNotSupported,
)
# What every replay passes over: settings of a newer pg_dump, and the schema that is there.
_HARMLESS = re.compile(rb"SET\s|(?:CREATE|COMMENT\s+ON)\s+SCHEMA\s+public\b", re.IGNORECASE)


@dataclass
class Replayed:
    """How much came in. `skipped` are the first statements that were passed over, and why."""

    statements: int = 0
    rows: int = 0
    skipped_count: int = 0
    skipped: list[str] = field(default_factory=list)

    def skip(self, statement: bytes, error: psycopg.Error) -> None:
        self.skipped_count += 1
        if len(self.skipped) < _SHOWN:
            self.skipped.append(f"{shown(statement)}: {one_line(error)[:200]}")


def replay(connection: Connection, dump: Dump, replayed: Replayed, *, strict: bool) -> None:
    """Run all of `dump`; `strict`: owners and grants must come, too.

    `replayed` is kept up to date, so that it tells how far it came. Errors: BadDump, and
    psycopg.Error when the server goes away.
    """
    connection.execute("SET synchronous_commit = off")
    for statement in dump.statements():
        try:
            replayed.rows += _run(connection, statement, dump)
        except psycopg.Error as error:
            if connection.broken:
                raise
            if not _may_be_missing(statement, error, strict=strict):
                raise _failure(statement, error, replayed) from error
            replayed.skip(statement, error)
        replayed.statements += 1


def _run(connection: Connection, statement: bytes, dump: Dump) -> int:
    """The rows that it brought."""
    with connection.cursor() as cursor:
        if is_copy(statement):
            with cursor.copy(statement) as copy:
                for rows in dump.rows():
                    copy.write(rows)
        else:
            # binary: the extended protocol, which refuses a second statement in the text.
            cursor.execute(statement, binary=True)
        brings_rows = is_copy(statement) or statement[:6].upper() == b"INSERT"
        return max(0, cursor.rowcount) if brings_rows else 0


def _may_be_missing(statement: bytes, error: psycopg.Error, *, strict: bool) -> bool:
    if isinstance(error, psycopg.errors.DuplicateSchema | psycopg.errors.UndefinedObject) and (
        _HARMLESS.match(statement)
    ):
        return True
    if strict or not isinstance(error, _LACKS_RIGHTS):
        return False
    return _DISPENSABLE.match(statement) is not None


def _failure(statement: bytes, error: psycopg.Error, replayed: Replayed) -> BadDump:
    earlier = f" (passed over before: {replayed.skipped[0]})" if replayed.skipped else ""
    return BadDump(f"cannot be restored: {shown(statement)}: {one_line(error)[:500]}{earlier}")

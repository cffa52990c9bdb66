"""Takes the plain SQL that pg_dump writes apart into single statements, and judges each.

Rule: pure, and the text is foreign. It is never given to psql, which knows a shell; a
statement is run only when it is of a kind that a dump of one database is made of.
"""

import re
from collections.abc import Iterator
from typing import Protocol

LONGEST_LINE = 16 * 1024 * 1024
LONGEST_STATEMENT = 64 * 1024 * 1024
_ROWS_BYTES = 256 * 1024
_SHOWN = 80

_LAST_LINE = b"-- PostgreSQL database dump complete"
# Letters and digits, and the bytes of others than ASCII: what a name is made of.
_NAME = rb"\w$\x80-\xff"
# Every branch begins with a plain byte: then the search jumps from one to the next.
_SIGNS = (
    rb"--[^\n]*|/\*|'|\"|\(|\)|;|\\"
    rb"|\$(?<![" + _NAME + rb"]\$)(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*)?\$"
)
_TOKEN = re.compile(_SIGNS)
_TOKEN_OF_A_ROUTINE = re.compile(
    _SIGNS + rb"|(?<![" + _NAME + rb"])(?:begin|case|end)(?![" + _NAME + rb"])", re.IGNORECASE
)
_ESCAPED = re.compile(rb"\\.|''|'", re.DOTALL)
_ROUTINE = re.compile(rb"\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?:FUNCTION|PROCEDURE)\s", re.IGNORECASE)
_COPY = re.compile(rb"COPY\s+[^;]+\sFROM\s+stdin;", re.IGNORECASE)

_SETTINGS = (
    rb"statement_timeout|lock_timeout|idle_in_transaction_session_timeout|transaction_timeout"
    rb"|client_encoding|standard_conforming_strings|check_function_bodies|xmloption"
    rb"|client_min_messages|row_security|default_tablespace|default_table_access_method"
    rb"|default_with_oids|escape_string_warning|search_path"
)
_FUNCTIONS = (
    rb"setval|set_config\('search_path'|lo_create|lo_open|lowrite|lo_close|lo_from_bytea|lo_unlink"
    rb"|pg_extension_config_dump"
)
_BEYOND = (
    rb"DATABASE|ROLE|USER(?!\s+MAPPING)|GROUP|TABLESPACE|SYSTEM|SUBSCRIPTION|LANGUAGE|TRANSFORM"
)
_ALLOWED = re.compile(
    rb"SET\s+(?:" + _SETTINGS + rb")\s*(?:=|TO\b)"
    rb"|SELECT\s+(?:pg_catalog\.)?(?:" + _FUNCTIONS + rb")"
    rb"|SELECT\s+\*\s+FROM\s+pg_catalog\.pg_restore_\w+_stats\s*\("
    rb"|(?:CREATE|ALTER|DROP)\s+(?:OR\s+REPLACE\s+)?(?!OR\b|" + _BEYOND + rb")[A-Z]"
    rb"|COMMENT\s+ON\s+(?!" + _BEYOND + rb")[A-Z]"
    rb"|SECURITY\s+LABEL\b|REFRESH\s+MATERIALIZED\s+VIEW\b|INSERT\s+INTO\s"
    rb"|(?:GRANT|REVOKE)\s[^;]*?\sON\s+(?!" + _BEYOND + rb")"
    rb"|BEGIN;|COMMIT;",
    re.IGNORECASE,
)


class BadDump(Exception):
    """The text is not the whole plain dump of one database. The message says why."""


class TooMuch(BadDump):
    """It needs more time or room than it is given; that says nothing about the backup."""


class Lines(Protocol):
    """A stream of bytes; an empty answer is its end."""

    def readline(self, size: int, /) -> bytes: ...


class Dump:
    """A dump, read once from its beginning. After a COPY, `rows` gives the data."""

    def __init__(self, stream: Lines) -> None:
        self._stream = stream
        self._parts: list[bytes] = []
        self._size = 0
        self._closing = b""  # what ends the quote that we are in
        self._parentheses = 0
        self._token = _TOKEN
        self._blocks = 0  # BEGIN ATOMIC and CASE of a routine
        self._escapes = False  # standard_conforming_strings is off
        self._in_rows = False
        self._complete = False

    def statements(self) -> Iterator[bytes]:
        """Each statement with its semicolon. Errors: BadDump, whatever the stream raises."""
        while line := self._stream.readline(LONGEST_LINE):
            if len(line) == LONGEST_LINE:
                raise BadDump(f"holds a line of more than {LONGEST_LINE} bytes")
            for statement in self._fed(line):
                self._judge(statement)
                self._in_rows = is_copy(statement)
                yield statement
                for _ in self.rows():  # those that nobody asked for
                    pass
        if self._closing or self._parts:
            raise BadDump("ends in the middle of a statement")
        if not self._complete:
            raise BadDump("ends before pg_dump's last line: it was cut off, or is no pg_dump")

    def rows(self) -> Iterator[bytes]:
        """The data of the COPY that was just given, some rows at a time; nothing a second time."""
        waiting, size, at_start = [], 0, True
        while self._in_rows:
            line = self._stream.readline(_ROWS_BYTES)
            if not line:
                raise BadDump("ends in the middle of the rows of a table")
            if at_start and line in {b"\\.\n", b"\\.\r\n"}:
                self._in_rows = False
                break
            at_start = line.endswith(b"\n")
            waiting.append(line)
            size += len(line)
            if size >= _ROWS_BYTES:
                yield b"".join(waiting)
                waiting, size = [], 0
        if waiting:
            yield b"".join(waiting)

    def _fed(self, line: bytes) -> Iterator[bytes]:
        """The statements that end on this line; the rest is kept."""
        start = position = 0
        while position < len(line):
            if self._closing:
                position = self._after_quote(line, position)
                continue
            if not self._parts and _ROUTINE.match(line, start):
                self._token = _TOKEN_OF_A_ROUTINE
            found = self._token.search(line, position)
            if found is None:
                break
            token, position = found.group(), found.end()
            if token.startswith(b"--"):
                self._keep(line[start : found.start()])
                self._complete = self._complete or token.startswith(_LAST_LINE)
                start = position
            elif token == b"\\":
                self._meta_command(line, found.start())
                return
            elif token == b";" and not self._parentheses and not self._blocks:
                self._keep(line[start:position])
                yield self._taken()
                start = position
            else:
                self._enter(token, line, found.start())
        self._keep(line[start:])

    def _enter(self, token: bytes, line: bytes, at: int) -> None:
        if token == b"'":
            before = line[max(0, at - 2) : at]
            escapes = self._escapes or re.search(rb"(?<![" + _NAME + rb"])[eE]$", before)
            self._closing = b"e'" if escapes else b"'"
        elif token == b"/*":
            raise BadDump("holds a /* comment, which no pg_dump writes")
        elif token[:1] in b'"$':
            self._closing = token
        elif token == b"(":
            self._parentheses += 1
        elif token == b")":
            self._parentheses = max(0, self._parentheses - 1)
        elif token != b";":
            self._enter_block(token.lower())

    def _enter_block(self, word: bytes) -> None:
        if word == b"begin" or (word == b"case" and self._blocks):
            self._blocks += 1
        elif word == b"end":
            self._blocks = max(0, self._blocks - 1)

    def _after_quote(self, line: bytes, position: int) -> int:
        if self._closing == b"e'":
            for found in _ESCAPED.finditer(line, position):
                if found.group() == b"'":
                    self._closing = b""
                    return found.end()
            return len(line)
        end = line.find(self._closing, position)
        if end < 0:
            return len(line)
        end += len(self._closing)
        self._closing = b""
        return end

    def _meta_command(self, line: bytes, at: int) -> None:
        alone = not self._parts and not line[:at].strip()
        if not alone or not re.match(rb"\\(?:un)?restrict\s", line[at:]):
            raise BadDump(f"holds a command of psql: {shown(line[at:])}")

    def _keep(self, part: bytes) -> None:
        if part.strip() or self._parts:
            self._parts.append(part)
        self._size += len(part)
        if self._size > LONGEST_STATEMENT:
            raise BadDump(f"holds a statement of more than {LONGEST_STATEMENT} bytes")

    def _taken(self) -> bytes:
        statement = b"".join(self._parts).strip()
        self._parts, self._size, self._token = [], 0, _TOKEN
        return statement

    def _judge(self, statement: bytes) -> None:
        if not is_copy(statement) and not _ALLOWED.match(statement):
            raise BadDump(f"holds what no dump of one database does: {shown(statement)}")
        if re.match(rb"SET\s+standard_conforming_strings\s*=\s*off", statement, re.IGNORECASE):
            self._escapes = True


def is_copy(statement: bytes) -> bool:
    """Whether rows follow it in the dump."""
    return _COPY.fullmatch(statement) is not None


def shown(statement: bytes) -> str:
    """Its beginning, for a human."""
    return " ".join(statement[:_SHOWN].decode(errors="replace").split())

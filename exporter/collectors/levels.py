"""One log message -> its level, and whether it only continues the message before.

Rule: pure. A message is the raw bytes of the "log" field, still escaped as JSON: unescaping
every line costs more than all the rest. A level comes from the form of the line, never from a
word somewhere in its text, so "0 errors" is no error.
"""

import re
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    CRITICAL = "critical"
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    DEBUG = "debug"
    UNKNOWN = "unknown"


_WORDS = {
    **dict.fromkeys((b"critical", b"fatal", b"panic", b"emerg", b"alert"), Level.CRITICAL),
    **dict.fromkeys((b"error", b"err", b"crit", b"severe"), Level.ERROR),
    **dict.fromkeys((b"warning", b"warn"), Level.WARNING),
    **dict.fromkeys((b"info", b"notice", b"log", b"information"), Level.INFO),
    **dict.fromkeys((b"debug", b"trace", b"verbose"), Level.DEBUG),
    b"crit": Level.CRITICAL,
}
_REDIS = {b"#": Level.WARNING, b"*": Level.INFO, b"-": Level.DEBUG, b".": Level.DEBUG}
# In reverse, so that "warning" is tried before "warn".
_NAMES = b"|".join(sorted(_WORDS.keys(), reverse=True))

# {"level": "error"}, escaped, anywhere in a message that is a JSON object.
_JSON = re.compile(
    rb'\\"(?:level|severity|levelname|log\.level|lvl)\\":\s*\\"([A-Za-z]+)', re.IGNORECASE
)
_LOGFMT = re.compile(rb"\b(?:level|lvl|severity)=(?:\\\")?([A-Za-z]+)")
# 1:M 24 Nov 2026 10:00:00.000 # text
_REDIS_LINE = re.compile(rb"\d+:[A-Z] [\w :]{15,30}\.\d{3} ([.\-*#]) ")
# nginx and Apache write the word in lower case, in brackets: [error]
_BRACKETS = re.compile(rb"\[(?:\w+:)?(" + _NAMES + rb")\]")
# In capitals, on its own: Python, Celery's [..: ERROR/..], Postgres' "ERROR:  ", and most others.
_CAPITALS = re.compile(
    rb"(?:^|(?<=[\s\[(|:\-]))(" + _NAMES.upper() + rb")(?=[\]\s:/|,)\-]|\\n|\\t|$)"
)
_COLOUR_CODE = re.compile(rb"\\u001b\[[0-9;]*m")
_HEAD = 256  # a level further in is text, not form

# What belongs to the message before: indented lines and the named tails of Java and Postgres.
_CONTINUES = re.compile(
    rb"\s|\\t|Caused by:|\.\.\. \d+ more|During handling of the above|The above exception was"
    rb"|\\[nr]|$"
)
_POSTGRES_TAIL = re.compile(rb"[^\\]{0,120}?\b(?:DETAIL|HINT|STATEMENT|CONTEXT|QUERY):  ")
_TRACEBACK = b"Traceback (most recent call last):"


def level_of(message: bytes) -> Level:
    if message.startswith(b"{"):
        found = _JSON.search(message)
        return _WORDS.get(found[1].lower(), Level.UNKNOWN) if found else Level.UNKNOWN
    head = message[:_HEAD]
    if b"\\u001b" in head:
        head = _COLOUR_CODE.sub(b"", head)
    redis = _REDIS_LINE.match(head)
    if redis:
        return _REDIS[redis[1]]
    for pattern in (_LOGFMT, _BRACKETS, _CAPITALS):
        found = pattern.search(head)
        if found:
            return _WORDS.get(found[1].lower(), Level.UNKNOWN)
    return Level.UNKNOWN


@dataclass(slots=True)
class Events:
    """Follows one stream and tells which of its lines begin an event."""

    last: Level | None = None
    in_traceback: bool = False

    def level_of(self, message: bytes) -> Level | None:
        """The level of the event that begins here; None when the line continues one."""
        if message.startswith(_TRACEBACK):
            return self._traceback()
        if _CONTINUES.match(message) and self.last is not None:
            return None
        if self.in_traceback:
            # The exception's own line ends the traceback and belongs to it.
            self.in_traceback = False
            return None
        if self.last is not None and _POSTGRES_TAIL.match(message):
            return None
        self.last = level_of(message)
        return self.last

    def _traceback(self) -> Level | None:
        logged = self.last in {Level.ERROR, Level.CRITICAL}
        self.in_traceback = True
        if logged:
            return None  # the line that logged it has been counted
        self.last = Level.ERROR
        return Level.ERROR

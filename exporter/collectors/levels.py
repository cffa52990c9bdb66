"""One log message -> its level, and whether it only continues the message before.

Rule: pure. A message is the raw bytes of the "log" field, still escaped as JSON: unescaping
every line costs more than all the rest. A level comes from the form of the line, never from a
word somewhere in its text, so "0 errors" is no error. Only what somebody acts on has a level of
its own: telling info from debug would mean looking at every line instead of one in a hundred.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache


class Level(StrEnum):
    CRITICAL = "critical"
    ERROR = "error"
    WARNING = "warning"
    OTHER = "other"

    # Enum's own is written in Python, and every counted message asks for it.
    __hash__ = str.__hash__


# What a traceback may follow.
_ERRORS = frozenset({Level.ERROR, Level.CRITICAL})

# A word that makes a level must contain one of matcher.WORDS, or its line is never looked at.
_WORDS = {
    **dict.fromkeys(
        (b"critical", b"crit", b"fatal", b"panic", b"emerg", b"emergency", b"alert"),
        Level.CRITICAL,
    ),
    b"error": Level.ERROR,
    **dict.fromkeys((b"warning", b"warn"), Level.WARNING),
    # Known so that the first word decides: "INFO ... ERROR" is no error.
    **dict.fromkeys((b"info", b"notice", b"log", b"debug", b"trace", b"verbose"), Level.OTHER),
}
# In reverse, so that "warning" is tried before "warn".
_NAMES = b"|".join(sorted(_WORDS.keys(), reverse=True))

# {"level": "error"}, escaped, anywhere in a message that is a JSON object.
_JSON = re.compile(
    rb'\\"(?:level|severity|levelname|log\.level|lvl)\\":\s*\\"([A-Za-z]+)', re.IGNORECASE
)
_LOGFMT = re.compile(rb"\b(?:level|lvl|severity)=(?:\\\")?([A-Za-z]+)")
# 1:M 24 Nov 2026 10:00:00.000 # text; of Redis' four marks only this one is a warning.
_REDIS_WARNING = re.compile(rb"\d+:[A-Z] [\w :]{15,30}\.\d{3} # ")
# nginx and Apache write the word in lower case, in brackets: [error]
_BRACKETS = re.compile(rb"\[(?:\w+:)?(" + _NAMES + rb")\]")
# In capitals, on its own: Python, Celery's [..: ERROR/..], Postgres' "ERROR:  ", and most others.
# Any word in capitals first: the search is several times as fast as one for the names.
_CAPITALS = re.compile(rb"[A-Z]{3,9}(?=[\]\s:/|,)\-]|\\n|\\u0009|\\t|$)")
_CAPITAL_WORDS = {word.upper(): level for word, level in _WORDS.items()}
_BEFORE_CAPITALS = b" \t[(|:-"
_COLOUR_CODE = re.compile(rb"\\u001b\[[0-9;]*m")
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_REMEMBERED = 1024
_HEAD = 256  # a level further in is text, not form

# What belongs to the message before: indented lines and the named tails of Java and Postgres.
_MAY_CONTINUE = frozenset(b" \t\v\f\r\n\\C.DT")
_CONTINUES = re.compile(
    rb"\s|\\[tnr]|\\u00(?:09|0d|0D)|Caused by:|\.\.\. \d+ more|During handling of the above"
    rb"|The above exception was|$"
)
_POSTGRES_TAIL = re.compile(rb"[^\\]{0,120}?\b(?:DETAIL|HINT|STATEMENT|CONTEXT|QUERY):  ")
TRACEBACK = b"Traceback (most recent call last):"


def level_of(message: bytes) -> Level:
    if message[:1] == b"{":
        found = _JSON.search(message)
        return _WORDS.get(found[1].lower(), Level.OTHER) if found else Level.OTHER
    head = message[:_HEAD]
    if b"\\u00" in head:  # an escaped control character, whose digits matter
        return _level_of_head(_COLOUR_CODE.sub(b"", head))
    # The same program writes the same line again and again, with other numbers.
    return _remembered(head.translate(_DIGITS))


def _level_of_head(head: bytes) -> Level:
    if b" # " in head and _REDIS_WARNING.match(head):
        return Level.WARNING
    # Most lines hold neither mark; asking first saves two searches of the head.
    found = _LOGFMT.search(head) if b"=" in head else None
    if found is None and b"[" in head:
        found = _BRACKETS.search(head)
    if found is not None:
        return _WORDS.get(found[1].lower(), Level.OTHER)
    word = _CAPITALS.search(head)
    while word is not None:
        level = _CAPITAL_WORDS.get(word[0])
        begin = word.start()
        if level is not None and (begin == 0 or head[begin - 1] in _BEFORE_CAPITALS):
            return level
        word = _CAPITALS.search(head, word.end())
    return Level.OTHER


_remembered = lru_cache(maxsize=_REMEMBERED)(_level_of_head)


def continues(message: bytes) -> bool:
    if not message or (message[0] in _MAY_CONTINUE and _CONTINUES.match(message)):
        return True
    # The mark first: it is rare, and the search for the names is not cheap.
    return message.find(b":  ", 0, _HEAD) >= 0 and _POSTGRES_TAIL.match(message) is not None


@dataclass(slots=True)
class Events:
    """Follows one stream: an event of many lines counts once, with its first line's level.

    open_error: the last event is an error and may still get a traceback. in_traceback: the
    exception's own line is still to come. unnamed: that traceback is an event of its own, so
    its exception's line is what it is called.
    """

    open_error: bool = False
    in_traceback: bool = False
    unnamed: bool = False

    @property
    def is_open(self) -> bool:
        """The next line of the stream matters, whatever it says."""
        return self.open_error or self.in_traceback

    def level_of(self, message: bytes) -> tuple[Level, bytes]:
        """The level of the event that begins here, OTHER when none does; and its name.

        The name is the line that says what happened, empty where this line does not.
        """
        if message.startswith(TRACEBACK):
            logged = self.open_error
            self.open_error = self.in_traceback = True
            self.unnamed = self.unnamed or not logged
            return (Level.OTHER if logged else Level.ERROR), b""
        if self.in_traceback or continues(message):
            return Level.OTHER, self.passed(message)
        level = level_of(message)
        self.open_error = level in _ERRORS
        return level, message if self.open_error else b""

    def passed(self, message: bytes) -> bytes:
        """A line without a level of its own went by. Its name, as level_of tells it."""
        if continues(message):
            return b""
        if self.in_traceback:
            # The exception's own line ends the traceback and belongs to it.
            named, self.unnamed, self.in_traceback = self.unnamed, False, False
            return message if named else b""
        self.open_error = False
        return b""

"""Which errors come again and again: the weekly log review, kept all the time.

Rule: pure, and bounded per container: the K most frequent forms have a count of their own, all
others share `other`. A form that gets a place keeps it until it has been quiet for the TTL or
another one is twice as frequent, and no count ever falls. Text never becomes a label.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

SHOWN = 20
WAITING = 200
TTL_SECONDS = 8 * 86400.0  # a week's review, and a day for whoever is late
OTHER = "other"
_LOOKED_AT = 300
_SAMPLE = 240
_REMEMBERED = 2048

_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_ESCAPES = re.compile(rb"\\u00[01][0-9a-fA-F](?:\[[0-9;]*m)?|\\[nrt]")
_QUOTED = re.compile(rb"""\\"(?:[^\\"]|\\[^"])*\\"|(?<!\w)'[^']*'""")
_DIGIT = re.compile(rb"\d")
_HEX = re.compile(rb"\b[0-9a-fA-F]{8,}(?:-[0-9a-fA-F]{4,})*\b")
# What a message that is a JSON object says in words.
_JSON_TEXT = re.compile(
    rb'\\"(?:msg|message|event|error|exception)\\":\s*\\"((?:[^\\]|\\\\\\"|\\[^"])*)', re.IGNORECASE
)
_UNPRINTABLE = re.compile(r"\x1b\[[0-9;]*m|[\x00-\x1f\x7f]")
_SECRETS = re.compile(
    r"(?i)((?:pass(?:word|wd)?|pwd|secret|token|api[_-]?key|access[_-]?key|authorization|cookie"
    r"|credential)s?[\"']?\s*[=:]\s*)(?:(?:bearer|basic)\s+)?(?:\"[^\"]*\"|'[^']*'|[^\s,;&\"']+)"
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]{6,}")
_URL_PASSWORD = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s@/]+@", re.IGNORECASE)
_LONG_WORD = re.compile(r"\b(?=[A-Za-z_+/-]*\d)[A-Za-z0-9_+/.-]{32,}={0,2}")


def decoded(message: bytes) -> str:
    """A message as it was before the engine escaped it."""
    for cut in range(min(6, len(message))):  # it may end in the middle of an escape
        with suppress(ValueError):
            return str(json.loads(b'"' + message[: len(message) - cut] + b'"', strict=False))
    return message.decode("utf-8", "replace")


def form_of(message: bytes) -> bytes:
    """The message without what differs from one time to the next."""
    if message.startswith(b"{"):
        found = _JSON_TEXT.search(message)
        message = found[1] if found else message
    text = _QUOTED.sub(b"'", _ESCAPES.sub(b" ", message[:_LOOKED_AT]))
    # Times, numbers, addresses and most identifiers: any word with a digit in it.
    words = (b"#" if _DIGIT.search(word) else word for word in text.split())
    return _HEX.sub(b"#", b" ".join(words))


def fingerprint_of(message: bytes) -> str:
    return hashlib.blake2b(form_of(message), digest_size=6).hexdigest()


def sample_of(message: bytes) -> str:
    """What people may read: unescaped, without credentials, short."""
    text = _UNPRINTABLE.sub(" ", decoded(message[: 4 * _SAMPLE]))
    text = _URL_PASSWORD.sub(r"\1:***@", text)
    text = _SECRETS.sub(r"\1***", text)
    text = _LONG_WORD.sub("***", _BEARER.sub(r"\1 ***", text))
    return " ".join(text.split())[:_SAMPLE]


@dataclass(slots=True)
class Entry:
    count: int = 0  # what is exported: only grows
    weight: int = 0  # how often it was seen since it is known at all
    seen_at: float = 0.0
    sample: str = ""


@dataclass(slots=True)
class Fingerprints:
    """The recurring errors of one container name."""

    shown: dict[str, Entry] = field(default_factory=dict)
    other: int = 0
    _waiting: dict[str, Entry] = field(default_factory=dict)
    # Message with its digits made equal -> fingerprint: most repetitions differ in digits only.
    _known: dict[bytes, str] = field(default_factory=dict)

    def add(self, message: bytes, now: float) -> None:
        key = self._fingerprint(message)
        entry = self.shown.get(key)
        if entry is None:
            entry = self._candidate(key, message)
        if key in self.shown:
            entry.count += 1
            if not entry.sample:
                entry.sample = sample_of(message)
        else:
            self.other += 1
        entry.weight += 1
        entry.seen_at = now

    def expire(self, now: float) -> None:
        for key in [k for k, e in self.shown.items() if now - e.seen_at > TTL_SECONDS]:
            del self.shown[key]

    def counts(self) -> dict[str, int]:
        return {key: entry.count for key, entry in self.shown.items()} | {OTHER: self.other}

    def saved(self) -> dict[str, Any]:
        return {
            "other": self.other,
            "shown": {k: [e.count, e.weight, e.seen_at] for k, e in self.shown.items()},
        }

    @staticmethod
    def restored(saved: Mapping[str, Any]) -> "Fingerprints":
        # No text in the state file: the next occurrence brings its sample again.
        shown = {
            str(key): Entry(int(count), int(weight), float(seen_at))
            for key, (count, weight, seen_at) in saved["shown"].items()
        }
        return Fingerprints(shown, int(saved["other"]))

    def _fingerprint(self, message: bytes) -> str:
        head = message[:_LOOKED_AT].translate(_DIGITS)
        key = self._known.get(head)
        if key is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            key = self._known[head] = fingerprint_of(message)
        return key

    def _candidate(self, key: str, message: bytes) -> Entry:
        """The entry of a form without a place; given one when it has earned it."""
        entry = self._waiting.pop(key, None) or Entry()
        if len(self.shown) >= SHOWN:
            weakest = min(self.shown, key=lambda k: self.shown[k].weight) if entry.weight else ""
            if not weakest or entry.weight < 2 * self.shown[weakest].weight:
                self._wait(key, entry)
                return entry
            self._wait(weakest, self.shown.pop(weakest))
        entry.sample = sample_of(message)
        self.shown[key] = entry
        return entry

    def _wait(self, key: str, entry: Entry) -> None:
        entry.sample = ""
        self._waiting[key] = entry  # at the end: the first one is the one not seen for longest
        if len(self._waiting) > WAITING:
            self._waiting.pop(next(iter(self._waiting)))

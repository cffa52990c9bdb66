"""Whole lines of one container's log -> counts.

Rule: exact, block by block. Lines are counted by searching; only those that a finder names, and
what follows an error, are taken apart. Blocks with pieces of long messages or with something
that is not the engine's JSON are gone through line by line, with the same result.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from exporter.collectors.fingerprints import Fingerprints, decoded
from exporter.collectors.levels import Events, Level
from exporter.collectors.matcher import Finder

# The engine cuts messages into pieces of this size; only the last piece ends the line.
PIECE_BYTES = 16384
KEPT_OF_MESSAGE = 65536
STREAMS = ("stdout", "stderr")
_LOG = b'{"log":"'
_STREAM = b'","stream":"'
_TOKENS = {stream: _STREAM + stream.encode() + b'"' for stream in STREAMS}
_STDERR = _TOKENS["stderr"]
_TIME = b'"time":"'
# What stands behind the stream unless the engine adds attributes: a longer text is found faster.
_TIME_FOLLOWS = b',"time":"20'
_PROBE = PIECE_BYTES // 2


@dataclass(frozen=True, slots=True)
class Pattern:
    """What is counted besides levels: messages with a text, and also matching a regex."""

    name: str
    text: bytes
    regex: re.Pattern[str] | None = None

    def matches(self, message: bytes) -> bool:
        if self.text not in message:
            return False
        return self.regex is None or self.regex.search(decoded(message)) is not None


@dataclass(slots=True)
class Noticed:
    """What happened to files and lines, over all containers."""

    rotations: int = 0
    truncations: int = 0
    partials_joined: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def drop(self, reason: str, lines: int = 1) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + lines


@dataclass(slots=True)
class Tally:
    """What has been counted under one container name."""

    messages: dict[tuple[str, str], int] = field(default_factory=dict)
    size: int = 0
    matches: dict[str, int] = field(default_factory=dict)
    last_message_at: float = 0.0
    fingerprints: Fingerprints = field(default_factory=Fingerprints)

    def __post_init__(self) -> None:
        # Zeros from the start, or the first error of a container is no increase.
        for stream in STREAMS:
            for level in Level:
                self.messages.setdefault((stream, level), 0)

    def saved(self) -> dict[str, Any]:
        return {
            "messages": [[*key, count] for key, count in self.messages.items()],
            "size": self.size,
            "matches": self.matches,
            "last_message_at": self.last_message_at,
            "fingerprints": self.fingerprints.saved(),
        }

    @staticmethod
    def restored(saved: dict[str, Any]) -> "Tally":
        return Tally(
            {(stream, level): int(count) for stream, level, count in saved["messages"]},
            int(saved["size"]),
            {str(name): int(count) for name, count in saved["matches"].items()},
            float(saved["last_message_at"]),
            Fingerprints.restored(saved["fingerprints"]),
        )


class LineCounter:
    """The lines of one container id, whichever files they come from."""

    def __init__(
        self,
        tally: Tally,
        noticed: Noticed,
        finder: Finder,
        *,
        patterns: tuple[Pattern, ...],
        wall: Callable[[], float],
    ) -> None:
        self._tally = tally
        self._noticed = noticed
        self._finder = finder
        self._patterns = patterns
        self._wall = wall
        self._events = {stream: Events() for stream in STREAMS}
        self._pieces: dict[str, bytes] = {}
        for pattern in patterns:
            tally.matches.setdefault(pattern.name, 0)

    def count(self, lines: bytes) -> None:
        """Count whole lines, each with its newline."""
        if not lines:
            return
        tally = self._tally
        tally.size += len(lines)
        tally.last_message_at = max(tally.last_message_at, last_time(lines))
        by_stream = None if self._pieces or _may_hold_pieces(lines) else _by_stream(lines)
        if by_stream is None:
            for line in lines.splitlines():
                self._line(line)
            return
        found = self._suspects(lines, by_stream)
        for stream, count in by_stream.items():
            tally.messages[stream, Level.OTHER] += count - found[stream]

    def gap(self) -> None:
        """Lines are missing here: nothing before them goes on after them."""
        self._pieces.clear()
        self._events = {stream: Events() for stream in STREAMS}

    def message(self, stream: str, message: bytes) -> Level:
        """Count one message, whole or as much as is kept of it, but not as OTHER."""
        level, name = self._events[stream].level_of(message)
        tally = self._tally
        if level is not Level.OTHER:
            tally.messages[stream, level] += 1
        if name:
            self._name(name)
        for pattern in self._patterns:
            if pattern.matches(message):
                tally.matches[pattern.name] += 1
        return level

    def _suspects(self, lines: bytes, by_stream: dict[str, int]) -> dict[str, int]:
        """Take the suspicious lines apart, and those after an error; how many had a level."""
        counted = dict.fromkeys(STREAMS, 0)
        # By stream: where its next line begins, if that one matters whatever it says.
        followers: dict[str, int] = {}
        for stream, count in by_stream.items():
            if count and self._events[stream].is_open:
                self._follow(followers, stream, lines, 0)
        for start in self._finder.lines(lines):
            if followers:
                self._pass(followers, lines, start)
            mark = lines.find(_STREAM, start)
            stream = "stderr" if lines.startswith(_STDERR, mark) else "stdout"
            if self.message(stream, lines[start + len(_LOG) : mark]) is not Level.OTHER:
                counted[stream] += 1
            if followers:
                followers.pop(stream, None)
            if self._events[stream].is_open:
                self._follow(followers, stream, lines, mark + 1)
        self._pass(followers, lines, len(lines))
        return counted

    def _pass(self, followers: dict[str, int], lines: bytes, end: int) -> None:
        """Go through the followers before end, and through those that follow them."""
        while followers:
            stream = min(followers, key=followers.__getitem__)
            start = followers[stream]
            if start >= end:
                return
            del followers[stream]
            mark = lines.find(_STREAM, start)
            self._name(self._events[stream].passed(lines[start + len(_LOG) : mark]))
            if self._events[stream].is_open:
                self._follow(followers, stream, lines, mark + 1)

    def _follow(self, followers: dict[str, int], stream: str, lines: bytes, begin: int) -> None:
        """Note where the stream's next line begins, if there is one."""
        at = lines.find(_TOKENS[stream], begin)
        if at >= 0:
            followers[stream] = lines.rfind(b"\n", 0, at) + 1

    def _name(self, name: bytes) -> None:
        if name:
            self._tally.fingerprints.add(name, self._wall())

    def _line(self, line: bytes) -> None:
        mark = line.find(_STREAM)
        stream = line[mark + len(_STREAM) : mark + len(_STREAM) + 6].decode("latin-1")
        if mark < 0 or not line.startswith(_LOG) or stream not in STREAMS:
            self._noticed.drop("nonsense")
            return
        message = line[len(_LOG) : mark]
        before = self._pieces.pop(stream, None)
        whole = ((before or b"") + message)[:KEPT_OF_MESSAGE]
        # Shorter and without end: the container ended before its line did.
        if len(message) >= PIECE_BYTES and not _ends(message):
            self._pieces[stream] = whole
            return
        if before is not None:
            self._noticed.partials_joined += 1
        if self.message(stream, whole) is Level.OTHER:
            self._tally.messages[stream, Level.OTHER] += 1

    def saved(self) -> dict[str, Any]:
        return {
            "pieces": {k: v.decode("latin-1") for k, v in self._pieces.items()},
            "events": {
                k: [v.open_error, v.in_traceback, v.unnamed] for k, v in self._events.items()
            },
        }

    def restore(self, saved: dict[str, Any]) -> None:
        self._pieces = {k: v.encode("latin-1") for k, v in saved["pieces"].items()}
        for stream in STREAMS:
            self._events[stream] = Events(*(bool(flag) for flag in saved["events"][stream]))


def last_time(lines: bytes) -> float:
    """When the engine wrote the last of the lines; 0 when it does not say."""
    at = lines.rfind(_TIME)
    text = lines[at + len(_TIME) : at + len(_TIME) + 19] if at >= 0 else b""
    try:
        return datetime.fromisoformat(text.decode("ascii") + "+00:00").timestamp()
    except ValueError:
        return 0.0


def _may_hold_pieces(lines: bytes) -> bool:
    """False: no line is as long as a piece. Looks at eight places of a block, not at all of it."""
    last = len(lines) - _PROBE
    return any(lines.find(b"\n", at, at + _PROBE) < 0 for at in range(0, last, _PROBE))


def _by_stream(lines: bytes) -> dict[str, int] | None:
    """How many lines each stream has; None when some line is not the engine's."""
    if b"\0" in lines:
        return None
    # Twice as fast as count(): it hops from newline to newline instead of looking at each byte.
    total = len(lines) - len(lines.replace(b"\n", b""))
    for after in (_TIME_FOLLOWS, b""):
        stderr = lines.count(_STDERR + after)
        stdout = lines.count(_TOKENS["stdout"] + after) if stderr != total else 0
        if stdout + stderr == total:
            return {"stdout": stdout, "stderr": stderr}
    return None


def _ends(message: bytes) -> bool:
    if not message.endswith(b"\\n"):
        return False
    before = message[:-1].rstrip(b"\\")
    return (len(message) - 1 - len(before)) % 2 == 1

"""Which lines of a block deserve a look.

Rule: a finder may name a line too many, never one too few: whoever asked looks at the line
itself. So the plain finder and the optional one over the hyperscan library give the same
counts, and a block of lines without a suspicious word costs a few searches and no loop.
"""
# ruff: noqa: PLC0415  hyperscan is optional and 3 MiB: imported where it is chosen

import logging
from collections.abc import Sequence
from typing import Protocol

from exporter.collectors.levels import TRACEBACK

log = logging.getLogger(__name__)

WORDS = (b"error", b"warn", b"crit", b"fatal", b"panic", b"emerg", b"alert")
_REDIS_MARK = b" # "
_TRACEBACK_LINE = b'{"log":"' + TRACEBACK  # the longer a text, the faster its search


class Finder(Protocol):
    def lines(self, block: bytes) -> list[int]:
        """Where the suspicious lines of whole lines begin, in order, each once."""
        ...


def _folding_table() -> bytes:
    """Folds case, and letters so that fatal/panic and alert/emerg look alike: two searches less."""
    table = bytearray(bytes(range(256)).lower())
    for alike in (b"aei", b"fp", b"tng", b"lcm"):
        for letter in alike + alike.upper():
            table[letter] = alike[0]
    return bytes(table)


_FOLD = _folding_table()
# Without these the rest is short, and words only lie closer together: no word is lost.
_NO_LETTERS = bytes(c for c in range(256) if not chr(c).isascii() or not chr(c).isalpha())
_DELETED = _NO_LETTERS.replace(b"\n", b"")
_FOLDED = tuple(dict.fromkeys(word.translate(_FOLD) for word in WORDS))


class PlainFinder:
    """bytes.translate and bytes.find: no dependency, some 200 MB a second of one core."""

    def __init__(self, texts: Sequence[bytes] = ()) -> None:
        self._texts = (_TRACEBACK_LINE, *texts)

    def lines(self, block: bytes) -> list[int]:
        starts: set[int] = set()
        folded = block.translate(_FOLD, _DELETED)
        places: set[int] = set()
        for word in _FOLDED:
            _add_lines_with(word, folded, places)
        _add_same_lines(sorted(places), folded, block, starts)
        for text in self._texts:
            _add_lines_with(text, block, starts)
        if b"#" in block:  # of one byte: forty times as fast as the mark itself
            _add_lines_with(_REDIS_MARK, block, starts)
        return sorted(starts)


def _add_lines_with(text: bytes, block: bytes, starts: set[int]) -> None:
    at = block.find(text)
    while at >= 0:
        starts.add(block.rfind(b"\n", 0, at) + 1)
        end = block.find(b"\n", at)
        if end < 0:
            return
        at = block.find(text, end)


def _add_same_lines(places: list[int], folded: bytes, block: bytes, starts: set[int]) -> None:
    """Where the lines at these places of the folded block begin in the block itself."""
    before = start = 0
    for place in places:
        for _ in range(folded.count(b"\n", before, place)):
            start = block.find(b"\n", start) + 1
        starts.add(start)
        before = place


# A word makes a level in capitals, or after one of these: [error], [core:error], level=error,
# "level":"error", and the m that ends a colour code. So "0 errors" costs no look at its line.
_MARKED = rb'[\[:m="](?:' + b"|".join(WORDS) + rb")"


class FastFinder:
    """All forms of the words in one pass of hyperscan."""

    def __init__(self, texts: Sequence[bytes] = ()) -> None:
        import hyperscan

        capitals = [_escaped(word.upper()) for word in WORDS]
        plain = [_escaped(text) for text in (_TRACEBACK_LINE, _REDIS_MARK, *texts)]
        expressions = [_MARKED, *capitals, *plain]
        flags = [hyperscan.HS_FLAG_CASELESS] + [0] * (len(expressions) - 1)
        self._database = hyperscan.Database()
        self._database.compile(
            expressions=expressions,
            ids=list(range(len(expressions))),
            elements=len(expressions),
            flags=flags,
        )
        self._ends: list[int] = []

    def lines(self, block: bytes) -> list[int]:
        self._ends.clear()
        self._database.scan(block, match_event_handler=self._note)
        starts: list[int] = []
        last = -1
        for end in sorted(self._ends):
            start = block.rfind(b"\n", 0, end) + 1
            if start != last:  # or another match in the line that is known already
                starts.append(start)
                last = start
        return starts

    def _note(self, _id: int, _begin: int, end: int, _flags: int, _context: object) -> None:
        self._ends.append(end - 1)


def _escaped(text: bytes) -> bytes:
    return b"".join(b"\\x%02x" % byte for byte in text)


def finder(texts: Sequence[bytes] = ()) -> Finder:
    """The fastest finder that is installed."""
    try:
        fast = FastFinder(texts)
    except ImportError:
        return PlainFinder(texts)
    log.info("logs: searched by hyperscan")
    return fast

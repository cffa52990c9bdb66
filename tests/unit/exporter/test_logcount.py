"""Counting by the block gives what counting line by line gives, whoever finds the lines."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.collectors.logcount import LineCounter, Noticed, Pattern, Tally
from exporter.collectors.matcher import FastFinder, Finder, PlainFinder

PATTERNS = (
    Pattern("text", b"pool exhausted"),
    Pattern("regex", b"took", re.compile(r"took \d+ ms")),
)
TEXTS = tuple(pattern.text for pattern in PATTERNS)


class EveryLine:
    def lines(self, block: bytes) -> list[int]:
        return [0, *(found.end() for found in re.finditer(b"\n", block))][:-1]


def finders() -> list[Finder]:
    found: list[Finder] = [PlainFinder(TEXTS)]
    pytest.importorskip("hyperscan")
    return [*found, FastFinder(TEXTS)]


WORDS = st.sampled_from(
    [
        "ERROR", "error", "WARNING", "warn", "CRITICAL", "FATAL:  ", "[emerg]", "[alert]", "PANIC",
        "INFO", "[error]", "level=warn", "0 errors", "client", "final", "DETAIL:  ", "x" * 90,
        "pool exhausted", "took 12 ms", "took long", "\x1b[31m", "é", "\\", '"', "\t", "\x00", " ",
        "1:M 24 Nov 2026 10:00:00.000 # Can't save", "1:M 24 Nov 2026 10:00:00.000 * ok",
        "Traceback (most recent call last):", '{"level": "error", "msg": "no"}', "ValueError: no",
    ]
)  # fmt: skip
MESSAGES = st.one_of(
    st.lists(WORDS, max_size=4).map(" ".join),
    st.sampled_from(
        [
            "Traceback (most recent call last):",
            '  File "app.py", line 1',
            "KeyError: 'x'",
            "During handling of the above exception, another exception occurred:",
            "",
            "ERROR:root:went wrong",
            "\tat a.b(C.java:1)",
        ]
    ),
    st.just("ERROR " + "x" * 17000),
)
LINES = st.lists(
    st.tuples(MESSAGES, st.sampled_from(["stdout", "stderr"]), st.sampled_from(["\n"] * 9 + [""])),
    min_size=1,
    max_size=30,
)


def written(text: str, stream: str, end: str) -> bytes:
    entry = {"log": text + end, "stream": stream, "time": "2026-11-24T10:00:00.5Z"}
    return json.dumps(entry, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def counted(finder: Finder, blocks: list[bytes]) -> tuple[object, ...]:
    tally, noticed = Tally(), Noticed()
    counter = LineCounter(tally, noticed, finder, patterns=PATTERNS, wall=lambda: 1.0)
    for block in blocks:
        counter.count(block)
    return (
        tally.messages,
        tally.matches,
        tally.size,
        tally.fingerprints.counts(),
        noticed,
        counter.saved(),
    )


@settings(max_examples=400, deadline=None)
@given(lines=LINES, cut=st.integers(0, 30), nonsense=st.sampled_from([b"", b"", b'{"log":1}\n']))
def test_blocks_count_as_their_lines_do(
    lines: list[tuple[str, str, str]], cut: int, nonsense: bytes
) -> None:
    raw = [written(*line) for line in lines]
    blocks = [b"".join(raw[:cut]), nonsense + b"".join(raw[cut:])]
    one_by_one = [line for line in [*raw[:cut], nonsense, *raw[cut:]] if line]
    expected = counted(EveryLine(), one_by_one)

    for finder in finders():
        assert counted(finder, blocks) == expected


def test_the_levels_of_a_stream_sum_up_to_its_messages() -> None:
    lines = [written(f"{word} {n}", "stderr", "\n") for n in range(40) for word in ("ERROR", "a")]
    tally = Tally()
    counter = LineCounter(tally, Noticed(), PlainFinder(), patterns=(), wall=lambda: 1.0)
    counter.count(b"".join(lines))

    assert sum(tally.messages.values()) == 80
    assert tally.messages["stderr", "error"] == 40


@pytest.mark.parametrize("text", ["C:\\new\\n", "a\\", "\\\\n"])
def test_a_piece_that_ends_in_an_escaped_n_has_no_end(text: str) -> None:
    tally = Tally()
    counter = LineCounter(tally, Noticed(), PlainFinder(), patterns=(), wall=lambda: 1.0)
    piece = "x" * (16384 - len(text)) + text
    counter.count(written(piece, "stdout", "") + written("rest", "stdout", "\n"))

    assert tally.messages["stdout", "other"] == 1

"""What the engine sends of a log -> entries."""

from collections.abc import Iterator

import pytest

from exporter.collectors.logsapi import _entries_of, _padded, _since

LINES = (b"2026-01-02T03:04:05.1Z first\n", b"2026-01-02T03:04:05.2Z a piece", b"t third\n")


def frame(payload: bytes, stream: int = 1) -> bytes:
    return bytes((stream, 0, 0, 0)) + len(payload).to_bytes(4, "big") + payload


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 7, 8, 9, 1000])
def test_frames_are_entries_wherever_they_are_cut(size: int) -> None:
    data = b"".join(map(frame, LINES))

    assert tuple(_entries_of(cut(data, size), terminal=False)) == LINES


@pytest.mark.parametrize("missing", [1, 5, 10, 12])
def test_an_entry_that_breaks_off_is_left_out(missing: int) -> None:
    data = b"".join(map(frame, LINES))[:-missing]

    assert tuple(_entries_of(cut(data, 9), terminal=False)) == LINES[:2]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_lines_of_a_terminal_are_entries(size: int) -> None:
    data = b"t one\r\nt two\r\nt thr"

    assert tuple(_entries_of(cut(data, size), terminal=True)) == (b"t one\r\n", b"t two\r\n")


def test_asked_from_the_nanosecond_on() -> None:
    assert _since(_padded("2026-01-02T03:04:05.1Z")) == "1767323045.100000000"
    assert _since(_padded("2026-01-02T03:04:05Z")) == "1767323045.000000000"

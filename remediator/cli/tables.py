"""What the commands print for people: tables, times, states.

Rule: pure. Text of labels, logs and notes is untrusted: nothing of it steers the terminal. Colours
go where a terminal is; click takes them out elsewhere.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import click

from remediator.outcomes import MENDED, NOT_MENDED, State
from remediator.postmortem import clean

WIDEST, LONGEST = 100, 300

_COLOURS = {
    **{state.value: "green" for state in MENDED},
    **{state.value: "red" for state in NOT_MENDED},
    State.BLOCKED.value: "yellow",
    State.AWAITING_APPROVAL.value: "yellow",
    State.INTERRUPTED.value: "red",
    State.ABORTED.value: "red",
    "blocked": "yellow",
    "allowed": "green",
    "open": "yellow",
    "good": "green",
    "broken": "red",
    "failed": "red",
    "works": "green",
    "silent": "red",
    "lost": "red",
    "done": "green",
    "would_run": "green",
    "P0": "red",
}


def plain(value: object, widest: int = WIDEST) -> str:
    """One line without anything that a terminal would obey."""
    line = " ".join(clean("-" if value is None or value == "" else str(value)).split())
    return line if len(line) <= widest else f"{line[: widest - 3]}..."


def coloured(word: str, shown: str | None = None) -> str:
    colour = _COLOURS.get(word)
    text = word if shown is None else shown
    return click.style(text, fg=colour) if colour else text


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Aligned lines; the last column is as long as it wants to be. No rows: nothing."""
    cells = [[*map(plain, row[:-1]), plain(row[-1], LONGEST)] for row in rows]
    if not cells:
        return
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    yield click.style(_line(heads, widths), bold=True)
    for row in cells:
        yield _line(row, widths)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    padded = [coloured(cell, cell.ljust(width)) for cell, width in zip(row, widths, strict=True)]
    return "  ".join(padded).rstrip()


def clock(moment: str | None) -> str:
    """`2026-01-05T12:00:00.000Z` as `2026-01-05 12:00:00`; all of it is UTC."""
    return moment[:19].replace("T", " ") if moment else "-"


def guards(verdicts: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    yield from table(
        ("guard", "verdict", "reason", "why"),
        ((v["guard"], v["verdict"], v["reason"], v["detail"]) for v in verdicts),
    )


def steps(planned: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """What will be done, exactly."""
    for step in planned:
        parameters = [f"{key}={value}" for key, value in step["with"].items()]
        what = f"{plain(step['action'])} {plain(', '.join(parameters))}" if parameters else ""
        bound = f"within {step['timeout_seconds']:g} s, {step['repeat']}"
        yield f"  {plain(step['id'])}: {what or plain(step['action'])}, {bound}"

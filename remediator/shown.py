"""How commands show things: tables for people, no control characters, progress on a terminal.

Rule: text of alerts, logs and queries is untrusted; everything that goes to a terminal passes
`plain`. Progress goes to stderr, and only when that is a terminal.
"""

import sys
from collections.abc import Callable, Iterable, Sequence

import click

_BAR = 30


def plain(text: object) -> str:
    """On one line, with whatever a terminal would obey written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns as wide as they need to be; the last one is not filled up."""
    cells = [[plain(heading).upper() for heading in headings]]
    cells += [[plain(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(value.ljust(width) for value, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """No cell can leave its place: it becomes no link, no markup and no other column."""
    lines = [[_cell(heading) for heading in headings], ["---"] * len(headings)]
    lines += [[_cell(value) for value in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    text = plain(value).replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{c}" if c in "\\`*_[]|#!@" else c for c in text)


def progress(what: str) -> Callable[[float], None]:
    """Shows a share from 0 to 1; leaves nothing behind at its end."""
    stream = sys.stderr
    if not stream.isatty():
        return lambda _: None

    def show(share: float) -> None:
        done = round(share * _BAR)
        bar = "#" * done + "." * (_BAR - done)
        click.echo(f"\r{what} [{bar}] {share:4.0%}", err=True, nl=False)
        if share >= 1:
            click.echo("\r\x1b[K", err=True, nl=False)

    return show

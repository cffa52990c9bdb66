"""docs/runbooks/<Alert>.md for the console: what a person who was paged reads and types.

Rule: only the Markdown that those pages use; whatever else stands in one is shown as text.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

BY_HAND = "Check by hand"

_SPAN = re.compile(
    r"`(?P<code>[^`]+)`|\[(?P<text>[^\]]+)\]\((?P<to>[^)\s]+)\)|\*\*(?P<strong>[^*]+)\*\*"
)
_ITEM = r"([-*]|\d+\.) "


@dataclass(frozen=True, slots=True)
class Span:
    """`kind`: text, code, strong, page (of the alert `to`) or link (to the URL `to`)."""

    kind: str
    text: str
    to: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """`kind`: heading, text, list, numbers, code or table.

    `rows` are lines: of a table its cells, else one cell each. `code` is verbatim.
    """

    kind: str
    rows: tuple[tuple[tuple[Span, ...], ...], ...] = ()
    code: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    alert: str
    blocks: tuple[Block, ...]

    def section(self, heading: str) -> tuple[Block, ...]:
        """What stands below the heading."""
        found: list[Block] = []
        inside = False
        for block in self.blocks:
            if block.kind == "heading":
                inside = text_of(block) == heading
            elif inside:
                found.append(block)
        return tuple(found)


def text_of(block: Block) -> str:
    return " ".join(span.text for row in block.rows for cell in row for span in cell)


@cache
def handbook() -> Mapping[str, Page]:
    """Alert -> its page. An installed package has them beside it, a checkout in docs/."""
    packed = files("remediator").joinpath("runbooks")
    folder = packed if packed.is_dir() else Path(__file__).parents[3] / "docs" / "runbooks"
    found = sorted(folder.iterdir(), key=lambda file: file.name) if folder.is_dir() else []
    return {
        alert: Page(alert, tuple(read(file.read_text(encoding="utf-8"))))
        for file in found
        if file.name.endswith(".md")
        for alert in [file.name.removesuffix(".md")]
    }


def read(text: str) -> Iterator[Block]:
    """The blocks below the title."""
    for number, part in enumerate(re.split(r"^```.*$", text, flags=re.MULTILINE)):
        if number % 2:
            yield Block("code", code=part.strip("\n"))
        else:
            yield from _prose(part)


def _prose(text: str) -> Iterator[Block]:
    """Blocks end at an empty line, at a heading, and where a list begins."""
    lines: list[str] = []
    for line in [*text.splitlines(), ""]:
        begins_list = re.match(_ITEM, line) and lines and not re.match(_ITEM, lines[0])
        if begins_list or line.startswith("#") or not line.strip():
            yield from _closed(lines)
            lines = []
        if line.startswith("##"):
            yield Block("heading", _rows([line.lstrip("#").strip()]))
        elif line.strip() and not line.startswith("# "):
            lines.append(line)


def _closed(lines: Sequence[str]) -> Iterator[Block]:
    """The block that these lines without a gap are."""
    if not lines:
        return
    if lines[0].startswith("|"):
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        rows = [row for row in cells if not all(set(cell) <= set("-: ") for cell in row)]
        yield Block("table", tuple(tuple(spans(cell) for cell in row) for row in rows))
        return
    for kind, mark in (("list", r"[-*] "), ("numbers", r"\d+\. ")):
        if re.match(mark, lines[0]):
            yield Block(kind, _rows(_items(lines, mark)))
            return
    yield Block("text", _rows([" ".join(line.strip() for line in lines)]))


def _items(lines: Sequence[str], mark: str) -> list[str]:
    items: list[str] = []
    for line in lines:
        if re.match(mark, line):
            items.append(re.sub(mark, "", line, count=1).strip())
        else:
            items[-1] += f" {line.strip()}"
    return items


def _rows(texts: Sequence[str]) -> tuple[tuple[tuple[Span, ...], ...], ...]:
    return tuple((spans(text),) for text in texts)


def spans(text: str) -> tuple[Span, ...]:
    found: list[Span] = []
    end = 0
    for match in _SPAN.finditer(text):
        if match.start() > end:
            found.append(Span("text", text[end : match.start()]))
        end = match.end()
        found.append(_span(match))
    if end < len(text):
        found.append(Span("text", text[end:]))
    return tuple(found)


def _span(match: re.Match[str]) -> Span:
    if match["code"]:
        return Span("code", match["code"])
    if match["strong"]:
        return Span("strong", match["strong"])
    if page := re.fullmatch(r"(\w+)\.md", match["to"]):
        return Span("page", match["text"], page[1])
    if match["to"].startswith(("https://", "http://")):
        return Span("link", match["text"], match["to"])
    return Span("text", match["text"])

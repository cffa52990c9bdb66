"""The runbook pages, as the console shows them."""

from pathlib import Path

import pytest

from remediator.web.console.handbook import BY_HAND, Span, handbook, read, text_of

PAGES = sorted(Path(__file__).parents[3].joinpath("docs", "runbooks").glob("*.md"))


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.stem)
def test_a_page_has_commands_and_loses_no_line(file: Path) -> None:
    page = handbook()[file.stem]
    assert any(block.kind in {"code", "text"} for block in page.section(BY_HAND))
    shown = " ".join(
        block.code if block.kind == "code" else text_of(block) for block in page.blocks
    )
    fences = [block.code for block in page.blocks if block.kind == "code"]
    assert len(fences) == file.read_text().count("```") / 2
    assert "](" not in shown
    assert "```" not in shown


def test_each_kind_of_block_is_told_apart() -> None:
    text = (
        "# Title\n\n## Part\n\n"
        "Some `code` and\n[a page](Other.md), [out](https://x.org), **bold**.\n"
        "- one\n  more\n- two\n\n1. first\n2. second\n\n"
        "| a | b |\n|---|---|\n| c | d |\n\n"
        "```bash\nls -l\n\n# not a heading\n```\n"
    )
    heading, words, points, numbers, table, code = read(text)
    assert [block.kind for block in (heading, words, points, numbers, table, code)] == [
        *("heading", "text", "list", "numbers", "table", "code")
    ]
    assert words.rows[0][0] == (
        Span("text", "Some "),
        Span("code", "code"),
        Span("text", " and "),
        Span("page", "a page", "Other"),
        Span("text", ", "),
        Span("link", "out", "https://x.org"),
        Span("text", ", "),
        Span("strong", "bold"),
        Span("text", "."),
    )
    assert [text_of(block) for block in (points, numbers)] == ["one more two", "first second"]
    assert len(table.rows) == 2
    assert code.code == "ls -l\n\n# not a heading"


@pytest.mark.parametrize("to", ["javascript:x", "data:x", "//evil", "../x.md", "x.md/.."])
def test_a_link_leads_to_a_page_or_to_the_web_or_nowhere(to: str) -> None:
    (block,) = read(f"[text]({to})")
    assert block.rows[0][0] == (Span("text", "text"),)

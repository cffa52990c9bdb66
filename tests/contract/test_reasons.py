"""Whoever reads a reason at night finds it explained, and after what time a human is called."""

import re
from datetime import timedelta
from pathlib import Path

from remediator.guards import CALLS_HUMAN_AFTER
from remediator.outcomes import BLOCKING, Reason

PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "reasons.md"
TIMES = {"never": None, "at once": timedelta(0)}


def rows() -> dict[str, list[str]]:
    """Reason -> the cells behind it."""
    found: dict[str, list[str]] = {}
    for line in PAGE.read_text().splitlines():
        if row := re.fullmatch(r"\| `(\w+)` \| (.+) \|", line):
            assert row[1] not in found, f"{row[1]} is explained twice"
            found[row[1]] = row[2].split(" | ")
    return found


def test_every_reason_is_explained() -> None:
    assert set(rows()) == {str(reason) for reason in Reason}


def test_the_page_says_when_a_human_is_called() -> None:
    told = {reason: cells[-1] for reason, cells in rows().items() if len(cells) > 1}
    assert set(told) == {str(reason) for reason in BLOCKING}
    units = {"min": timedelta(minutes=1), "h": timedelta(hours=1)}
    for reason, words in told.items():
        if words in TIMES:
            after = TIMES[words]
        else:
            number, unit = words.split()
            after = int(number) * units[unit]
        assert after == CALLS_HUMAN_AFTER.get(Reason(reason)), reason

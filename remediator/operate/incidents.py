"""Incidents, as lists and one by one, each with where it stands now in a sentence.

Rule: reads only.
"""

from typing import Any

from remediator.journal import Wanted
from remediator.notices import resolution, status_of
from remediator.operate.desk import Desk

MOST = 200
"""Incidents in one page."""

Story = dict[str, Any]


def incidents(desk: Desk, wanted: Wanted) -> dict[str, Any]:
    """A page, the newest first. `next`: what `before` of the next page must be; None: the last."""
    found = [_now(story) for story in desk.records.page(wanted)]
    more = len(found) == wanted.limit
    return {"incidents": found, "next": found[-1]["id"] if more else None}


def incident(desk: Desk, number: int) -> Story | None:
    """With its timeline; long ones are cut, and say of how many."""
    story = desk.records.story(number)
    return None if story is None else _now(story)


def _now(story: Story) -> Story:
    if story["state"] == "closed":
        return story | {"now": {"status": "closed", "detail": resolution(story)}}
    status, detail = status_of(story)
    return story | {"now": {"status": status, "detail": detail}}

"""How the console says things: times, states with their shapes, events, evidence.

Rule: values in, text out; nothing here is HTML. Ages are told in minutes, so that a page
that says the same again is the same again.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from remediator.outcomes import MENDED, NOT_MENDED, State

EVIDENCE_CHARS = 20_000
VALUE_CHARS = 2_000


class Mark(NamedTuple):
    """`kind`: bad, wait, run, good or off; it gives the colour. `shape` and `word` say the same."""

    kind: str
    shape: str
    word: str


SHAPES = {"bad": "▲", "wait": "◆", "run": "▶", "good": "●", "off": "■"}
KINDS: Mapping[str, str] = {
    # runs
    **dict.fromkeys(map(str, MENDED), "good"),
    **dict.fromkeys(map(str, NOT_MENDED), "bad"),
    State.BLOCKED: "wait",
    State.AWAITING_APPROVAL: "wait",
    State.CLAIMED: "run",
    State.EXECUTING: "run",
    State.VERIFYING: "run",
    State.INTERRUPTED: "bad",
    # incidents
    "investigating": "run",
    "waiting": "wait",
    "mitigating": "run",
    "watching": "good",
    "needs a human": "bad",
    "open": "bad",
    # guards, checks, steps
    "allowed": "good",
    "pass": "good",
    "fail": "bad",
    "inconclusive": "wait",
    "done": "good",
    "not_done": "bad",
    "unknown": "bad",
    "working": "run",
    # remediators on one journal
    "works": "good",
    "silent": "bad",
    "lost": "bad",
    # what an explanation says
    "would_run": "good",
    "would_ask": "wait",
    "would_observe": "off",
}


def mark(word: str | None, kind: str | None = None) -> Mark:
    """For a state's word; `off` for one that asks nothing of anybody."""
    kind = kind or KINDS.get(word or "", "off")
    return Mark(kind, SHAPES[kind], words(word))


def words(text: str | None) -> str:
    return (text or "-").replace("_", " ")


def clock(moment: str | datetime | None, now: datetime) -> str:
    """`02:14:05`, with its day when that is not today. UTC, as everywhere."""
    at = _time(moment)
    if at is None:
        return "-"
    if at.date() == now.date():
        return f"{at:%H:%M:%S}"
    return f"{at:%d %b %H:%M:%S}" if at.year == now.year else f"{at:%Y-%m-%d %H:%M}"


def ago(moment: str | datetime | None, now: datetime) -> str:
    at = _time(moment)
    if at is None:
        return "never"
    seconds = (now - at).total_seconds()
    return f"{lasting(seconds)} ago" if seconds >= 60 else "just now"  # noqa: PLR2004 - a minute


def left(moment: str | datetime | None, now: datetime) -> str:
    at = _time(moment)
    if at is None:
        return "no end"
    seconds = (at - now).total_seconds()
    if seconds <= 0:
        return "over"
    return f"{lasting(seconds)} left" if seconds >= 60 else "less than a minute left"  # noqa: PLR2004


def lasting(seconds: float | None) -> str:
    """In the one unit that matters: `12 s`, `3 min`, `5 h`, `2 d`; a second one below ten."""
    if seconds is None:
        return "-"
    units = (("d", 86400), ("h", 3600), ("min", 60))
    for index, (unit, size) in enumerate(units):
        if seconds >= size:
            whole, rest = divmod(int(seconds), size)
            small, small_size = (*units, ("s", 1))[index + 1]
            more = f" {rest // small_size} {small}" if whole < 10 and unit != "min" else ""  # noqa: PLR2004
            return f"{whole} {unit}{more if rest // small_size else ''}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"  # noqa: PLR2004


def share(part: float | None) -> str:
    return "-" if part is None else f"{part * 100:.0f} %"


def parameters(given: Mapping[str, Any]) -> str:
    """A step's `with`, as one reads it."""
    return ", ".join(f"{key}: {_value(value)}" for key, value in given.items())


def happened(event: Mapping[str, Any]) -> tuple[str, str]:
    """What an event is and says."""
    detail = event["detail"]
    first = [str(detail[key]) for key in ("alert", "step", "outcome", "reason") if detail.get(key)]
    said = str(detail.get("summary") or detail.get("detail") or "")
    sentence = ": ".join(filter(None, [" ".join(first), said]))
    if detail.get("by") and (first or said):
        sentence += f" (by {detail['by']}{_through(detail)})"
    if not sentence:
        told = (f"{key} {_value(value)}" for key, value in detail.items() if value)
        sentence = ", ".join(told)
    return words(event["kind"]), plain(sentence)[:VALUE_CHARS]


def _through(detail: Mapping[str, Any]) -> str:
    return f", {detail['via']}" if detail.get("via") else ""


def evidence(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each piece's name and text. What a log held is text and stays text."""
    for name, value in found.items():
        text = _lines(value)
        kept = text[-EVIDENCE_CHARS:]
        cut = f"({len(text) - len(kept)} characters before this are left out)\n"
        yield words(str(name)), plain(kept if kept == text else cut + kept)


def plain(text: str) -> str:
    """Without terminal colours, control characters and those that turn text around."""
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
    return "".join(char if char in "\n\t" or char.isprintable() else " " for char in text)


def _lines(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    return json.dumps(value, default=str, ensure_ascii=False, indent=1)


def _value(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence) and all(isinstance(part, str) for part in value):
        return ", ".join(value)
    return json.dumps(value, default=str, ensure_ascii=False)


def _time(moment: str | datetime | None) -> datetime | None:
    return datetime.fromisoformat(moment) if isinstance(moment, str) else moment

"""The file in which log counters and places survive the process.

Rule: counters and places are one value, written at once or not at all; so whoever starts again
reads on exactly where the counts stood. Nothing in it is text of a log but the beginning of a
message that is not finished.
"""

import json
import logging
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from exporter.collectors.logcount import Noticed, Tally

log = logging.getLogger(__name__)

_FORMAT = 2


@dataclass(slots=True)
class State:
    """What was counted by container name, and the place in each log by container id."""

    saved_at: float
    noticed: Noticed = field(default_factory=Noticed)
    tallies: dict[str, Tally] = field(default_factory=dict)
    places: dict[str, Any] = field(default_factory=dict)


def load(path: Path, now: float) -> State:
    """The saved state; a new one when there is none or it is broken."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != _FORMAT:
            raise ValueError("another format")  # noqa: TRY301  told with the other faults below
        return State(
            float(data["saved_at"]),
            Noticed(**data["noticed"]),
            {name: Tally.restored(saved) for name, saved in data["names"].items()},
            dict(data["places"]),
        )
    except FileNotFoundError:
        return State(now)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        # Counting from here on beats not starting; counters begin at zero again.
        log.warning("%s: not used: %s", path, error)
        return State(now)


def save(path: Path, state: State, *, durable: bool) -> str:
    """Empty when it was saved. durable: also against a loss of power, which takes longer."""
    data = {
        "format": _FORMAT,
        "saved_at": state.saved_at,
        "noticed": asdict(state.noticed),
        "names": {name: tally.saved() for name, tally in state.tallies.items()},
        "places": state.places,
    }
    temporary = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8") as file:
            file.write(json.dumps(data, separators=(",", ":")))
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        return f"{path}: cannot be written: {error.strerror}"
    return ""

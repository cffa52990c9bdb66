"""The file that turns nginx's maintenance page on: what it says, and until when.

Rule: the file is the state. It carries its reason and its end, so that whoever finds it, a
scrape or a run after a crash, knows when it is over.
"""

import json
import os
import stat
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

_MARK = "# stackmedic maintenance "
_SWITCH = "set $maintenance on;"
_LARGEST = 4096


@dataclass(frozen=True, slots=True)
class Maintenance:
    """`until` is aware UTC."""

    reason: str
    until: datetime


class NotOurs(ValueError):
    """There is a file, and it has not the form that the remediator writes."""


def written(maintenance: Maintenance) -> bytes:
    # JSON's ASCII form has no line end in it: the comment stays one line of nginx's file.
    told = {"until": maintenance.until.isoformat(), "reason": maintenance.reason}
    return f"{_MARK}{json.dumps(told)}\n{_SWITCH}\n".encode("ascii")


def read(path: Path) -> Maintenance | None:
    """None: the page is off. Errors: NotOurs; OSError."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise NotOurs(f"{path} is no regular file")
        content = file.read(_LARGEST + 1)
    return _parsed(path, content)


def _parsed(path: Path, content: bytes) -> Maintenance:
    try:
        first, rest = content.decode("ascii").split("\n", 1)
        told = json.loads(first.removeprefix(_MARK))
        reason, until = str(told["reason"]), datetime.fromisoformat(told["until"])
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise NotOurs(f"{path} was not written by the remediator") from error
    if not first.startswith(_MARK) or rest != f"{_SWITCH}\n" or until.tzinfo is None:
        raise NotOurs(f"{path} was not written by the remediator")
    return Maintenance(reason, until)

"""What a collector keeps over a restart of the exporter: one JSON document in one file.

Rule: replaced whole and on the disk before the old one is gone, so that whoever reads it finds
one state or the other.
"""

import json
import os
from pathlib import Path
from typing import Any


def write(path: Path, state: dict[str, Any]) -> str:
    """Empty when it was written, else why not, for a reading's problems."""
    temporary = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(state, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        return f"{path}: cannot be written: {error.strerror}"
    return ""

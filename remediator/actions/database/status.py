"""The small file that says which backup was proven, and when.

Rule: it is replaced as a whole, so its modification time is the time of the proof; that is
what the exporter's `verification` reads.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from remediator.ports import Permanent
from remediator.topology import BackupFiles, Target

_LARGEST = 64 * 1024


@dataclass(frozen=True, slots=True)
class Status:
    """The proven file by its name and sha256; `verified_at` is aware UTC."""

    file: str
    sha256: str
    verified_at: datetime
    tables: int
    rows: int


def backup_of(target: Target) -> BackupFiles:
    if target.backup is None:
        raise Permanent(f"{target.key} has no backup; give it one in the topology")
    return target.backup


def writable(backup: BackupFiles) -> bool:
    return os.access(Path(backup.status_file).parent, os.W_OK | os.X_OK)


def write_status(backup: BackupFiles, status: Status, details: Mapping[str, object]) -> None:
    """Errors: Permanent."""
    path = Path(backup.status_file)
    text = json.dumps(
        {
            **details,
            "file": status.file,
            "sha256": status.sha256,
            "verified_at": status.verified_at.isoformat(),
            "tables": status.tables,
            "rows": status.rows,
        }
    )
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(handle)
            Path(name).chmod(0o644)  # the exporter is another user
            Path(name).replace(path)
        except OSError:
            with suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise Permanent(
            f"the backup is good, but {path} cannot be written: {error}; "
            "see that its folder is mounted for writing"
        ) from error


def read_status(backup: BackupFiles) -> Status | None:
    """None when nothing was proven yet. Errors: Permanent, for a file that is not ours."""
    path = Path(backup.status_file)
    try:
        with path.open(encoding="utf-8") as file:
            found = json.loads(file.read(_LARGEST))
        return Status(
            file=str(found["file"]),
            sha256=str(found["sha256"]),
            verified_at=datetime.fromisoformat(found["verified_at"]),
            tables=int(found["tables"]),
            rows=int(found["rows"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Permanent(
            f"{path} does not tell which backup was proven: {error!r}; verify the backup first"
        ) from error

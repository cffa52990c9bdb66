"""Frees disk space by deleting old rotated log files of one folder.

Rule: everything goes through the opened folder, by plain names: no link is followed, and
nothing outside can be reached, whoever renames what meanwhile. The newest files stay.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from itertools import islice
from typing import Annotated

from pydantic import Field

from remediator.actions.clients import Clients, Deadline, Params
from remediator.ports import Done, Effect, Permanent, Ready, Refused, RemediationError
from remediator.topology import RotatedLogs, Target

_MOST_ENTRIES = 100_000
_SHOWN = 20


class PruneLogsParams(Params):
    """`max_files`: how many go in one step, the oldest first."""

    max_files: Annotated[int, Field(ge=1, le=10_000)] = 1000


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    inode: int
    modified: float
    size_bytes: int


@dataclass(frozen=True, slots=True)
class PruneLogs:
    """Delete the rotated logs of the target's folder that are old enough."""

    params: PruneLogsParams
    clients: Clients

    def precheck(self, target: Target) -> Ready | Refused:
        logs = _logs(target)
        with _opened(logs) as folder:
            old = self._old(logs, folder)
        if not old:
            return Refused(
                f"{target.key}: no file {logs.pattern} in {logs.folder} is older than "
                f"{logs.min_age_seconds / 86400:g} days, the newest {logs.keep} aside"
            )
        return Ready()

    def run(self, target: Target, *, timeout_seconds: float) -> Done:
        deadline = Deadline.after(self.clients.clock, timeout_seconds)
        logs = _logs(target)
        gone: list[_File] = []
        failed: list[str] = []
        with _opened(logs) as folder:
            old = self._old(logs, folder)
            for file in old[: self.params.max_files]:
                if deadline.is_over():
                    break
                try:
                    if _delete(folder, file):
                        gone.append(file)
                except OSError as error:
                    failed.append(f"{file.name}: {error.strerror}")
        if not gone and failed:
            raise Permanent(
                f"none of {len(old)} files in {logs.folder} could be deleted ({failed[0]}); "
                "see that the folder is mounted for writing"
            )
        freed = sum(file.size_bytes for file in gone)
        summary = f"deleted {len(gone)} of {len(old)} old log files, {freed / 1e6:.0f} MB"
        told = [{"name": f.name[:200], "bytes": f.size_bytes} for f in gone[:_SHOWN]]
        evidence = {"deleted": len(gone), "freed_bytes": freed, "oldest": told}
        return Done(summary, {**evidence, "failed": failed[:_SHOWN]})

    def probe(self, target: Target, *, intended_at: datetime) -> Effect:  # noqa: ARG002
        logs = _logs(target)
        try:
            with _opened(logs) as folder:
                return Effect.NOT_DONE if self._old(logs, folder) else Effect.DONE
        except RemediationError:
            return Effect.UNKNOWN

    def _old(self, logs: RotatedLogs, folder: int) -> list[_File]:
        """What may go, the oldest first."""
        files = sorted(_matching(logs, folder), key=lambda file: (file.modified, file.name))
        before = self.clients.clock().timestamp() - logs.min_age_seconds
        return [file for file in files[: -logs.keep] if file.modified < before]


def _matching(logs: RotatedLogs, folder: int) -> Iterator[_File]:
    """Regular files of the pattern; a link, a folder, a device or a second name is none."""
    try:
        with os.scandir(folder) as entries:
            for entry in islice(entries, _MOST_ENTRIES):
                if not fnmatchcase(entry.name, logs.pattern):
                    continue
                found = _looked_at(folder, entry.name)
                if found is not None:
                    yield found
    except OSError as error:
        raise Permanent(f"cannot list {logs.folder}: {error}") from error


def _looked_at(folder: int, name: str) -> _File | None:
    try:
        told = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(told.st_mode) or told.st_nlink != 1:
        return None
    return _File(name, told.st_ino, told.st_mtime, told.st_blocks * 512)


def _delete(folder: int, file: _File) -> bool:
    """False when the name has become something else since it was looked at."""
    now = _looked_at(folder, file.name)
    if now is None or (now.inode, now.modified) != (file.inode, file.modified):
        return False
    os.unlink(file.name, dir_fd=folder)
    return True


@contextmanager
def _opened(logs: RotatedLogs) -> Iterator[int]:
    try:
        folder = os.open(logs.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise Permanent(
            f"cannot open the folder {logs.folder}: {error}; see that it is mounted, and no link"
        ) from error
    try:
        yield folder
    finally:
        os.close(folder)


def _logs(target: Target) -> RotatedLogs:
    if target.rotated_logs is None:
        raise Permanent(f"{target.key} has no rotated_logs; give it some in the topology")
    return target.rotated_logs

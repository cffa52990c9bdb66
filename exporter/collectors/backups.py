"""One expected backup, judged by the files that it leaves.

Rule: only a file that is big enough, begins as its format does and can be read to its end
counts as a success; a backup that never was is 0, not absent. A folder is looked at once in a
while, and only a look that succeeded is kept. Names are taken from one folder level per
wildcard, and only so many.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from exporter.collectors.port import Clocks
from exporter.readings import Backup, BackupFault, Backups, Cause, Unreachable
from exporter.targets import BackupFolder

MAX_FILES = 10_000
_CANDIDATES = 5  # how far back a success is looked for
_FUTURE_SECONDS = 300
_TAIL_BYTES = 4096
# (offset, bytes): how files of a format begin.
FORMATS: dict[str, tuple[int, bytes]] = {
    "gzip": (0, b"\x1f\x8b\x08"),
    "zstd": (0, b"\x28\xb5\x2f\xfd"),
    "xz": (0, b"\xfd7zXZ\x00"),
    "bzip2": (0, b"BZh"),
    "lz4": (0, b"\x04\x22\x4d\x18"),
    "zip": (0, b"PK\x03\x04"),
    "tar": (257, b"ustar"),
    "pg_dump": (0, b"PGDMP"),
    "rdb": (0, b"REDIS"),
    "age": (0, b"age-encryption.org/"),
}


@dataclass(frozen=True, slots=True)
class Candidate:
    path: Path
    modified_at: float
    size: int


class BackupCollector:
    def __init__(self, folder: BackupFolder, clocks: Clocks) -> None:
        self._folder = folder
        self._clocks = clocks
        self._kept: Backups | None = None
        self._looked_at = 0.0

    def collect(self, deadline: float) -> Backups | Unreachable:  # noqa: ARG002  bounded by MAX_FILES
        began_at = self._clocks.monotonic()
        if self._kept is not None and began_at - self._looked_at < self._folder.check_every:
            return self._kept
        try:
            reading = look(self._folder, self._clocks.wall())
        except OSError as error:
            self._kept = None
            return Unreachable(Cause.FILES, f"{self._folder.directory}: {error.strerror}")
        self._kept, self._looked_at = reading, began_at
        return reading

    def cancel(self) -> None:
        """A call into a file system that is away cannot be ended; the scrape goes on without."""

    def close(self) -> None:
        """Nothing is kept open."""


def look(folder: BackupFolder, now: float) -> Backups:
    """Errors: OSError when the folder itself cannot be listed."""
    root = Path(folder.directory)
    os.scandir(root).close()  # glob is silent about a folder that is away
    found = sorted(
        islice(_candidates(root, folder.pattern), MAX_FILES), key=lambda c: c.modified_at
    )
    # A file that is still being written is no failure, and not yet a success.
    settled = [c for c in found if not 0 <= now - c.modified_at < folder.settle]
    judged = [(c, fault_of(c, folder, now)) for c in reversed(settled[-_CANDIDATES:])]
    good = next((c for c, fault in judged if fault is None), None)
    newest, fault = judged[0] if judged else (None, BackupFault.MISSING)
    backup = Backup(
        name=folder.name,
        service=folder.service,
        fault=fault,
        last_success=good.modified_at if good else 0.0,
        size_bytes=newest.size if newest else 0,
        files=len(found),
        last_verification=_verified_at(root, folder, now),
    )
    problems: tuple[str, ...] = (f"{newest.path.name}: {fault}",) if newest and fault else ()
    if len(found) == MAX_FILES:
        problems += (f"more than {MAX_FILES} files match {folder.pattern}",)
    return Backups(now, backup, problems)


def _candidates(root: Path, pattern: str) -> Iterator[Candidate]:
    for path in root.glob(pattern):
        try:
            state = path.stat()
        except OSError:
            continue  # rotated away while we looked, or a link that leads nowhere
        if stat.S_ISREG(state.st_mode):
            yield Candidate(path, state.st_mtime, state.st_size)


def fault_of(candidate: Candidate, folder: BackupFolder, now: float) -> BackupFault | None:
    """Why the file is no good backup, or None."""
    if candidate.modified_at > now + _FUTURE_SECONDS:
        return BackupFault.FUTURE
    if candidate.size < folder.min_bytes:
        return BackupFault.TOO_SMALL
    offset, magic = FORMATS[folder.format] if folder.format else (0, b"")
    try:
        with candidate.path.open("rb") as file:
            head = file.read(offset + len(magic))
            file.seek(max(0, candidate.size - _TAIL_BYTES))
            file.read(_TAIL_BYTES)
    except OSError:
        return BackupFault.UNREADABLE
    return None if head[offset:] == magic else BackupFault.FORMAT


def _verified_at(root: Path, folder: BackupFolder, now: float) -> float:
    """When the marker file was touched; 0 without one, or with one from the future."""
    if folder.verification is None:
        return 0.0
    try:
        touched_at = (root / folder.verification).stat().st_mtime
    except FileNotFoundError:
        return 0.0
    return touched_at if touched_at <= now + _FUTURE_SECONDS else 0.0

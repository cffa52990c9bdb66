"""Backups, by the files that they leave."""

from dataclasses import dataclass
from enum import StrEnum


class BackupFault(StrEnum):
    """Why the newest backup is not a good one. A closed list: the words are label values."""

    MISSING = "missing"  # there never was one
    TOO_SMALL = "too_small"
    FORMAT = "format"  # it does not begin as a file of its format does
    UNREADABLE = "unreadable"
    FUTURE = "future"  # its date would make it look fresh for ever


@dataclass(frozen=True, slots=True)
class Backup:
    """What was found for one expected backup. Times are seconds since 1970, 0 for never."""

    name: str
    service: str
    fault: BackupFault | None
    last_success: float = 0.0
    size_bytes: int = 0
    files: int = 0
    last_verification: float = 0.0


@dataclass(frozen=True, slots=True)
class Backups:
    """checked_at: the wall clock when the folder was looked at; readings are kept a while."""

    checked_at: float
    backup: Backup
    problems: tuple[str, ...] = ()

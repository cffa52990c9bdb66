"""File systems, by the paths that are watched."""

from dataclasses import dataclass
from enum import StrEnum


class FilesystemFault(StrEnum):
    """Why a path could not be asked. A closed list: the words are values of a label."""

    STUCK = "stuck"  # the kernel has not answered yet: a server of files that is away
    MISSING = "missing"
    PERMISSION = "permission"
    IO = "io"


@dataclass(frozen=True, slots=True)
class Filesystem:
    """One path. The sizes are 0 where fault is set."""

    mountpoint: str
    device: str = ""
    fstype: str = ""
    size_bytes: int = 0
    free_bytes: int = 0
    available_bytes: int = 0
    files: int = 0
    files_free: int = 0
    readonly: bool = False
    fault: FilesystemFault | None = None


@dataclass(frozen=True, slots=True)
class Disks:
    filesystems: tuple[Filesystem, ...]
    problems: tuple[str, ...] = ()

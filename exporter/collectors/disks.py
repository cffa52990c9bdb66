"""Space and inodes of the listed paths.

Rule: statvfs on a file system whose server is away does not return, and cannot be
interrupted. So the paths are asked side by side in threads; one that is not back in time is
called stuck, and is not asked again until its thread has returned.
"""

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from exporter.collectors.port import Clock
from exporter.readings import Disks, Filesystem, FilesystemFault
from exporter.targets import Disk
from exporter.workers import Workers

STUCK_AFTER_SECONDS = 2.0
_MOUNTS = Path("/proc/self/mountinfo")
Statvfs = Callable[[str], os.statvfs_result]


@dataclass(frozen=True, slots=True)
class Mount:
    point: str
    device: str
    fstype: str


class _Asked:
    """One statvfs in flight or done; the thread sets answer, then done."""

    def __init__(self, path: str, statvfs: Statvfs) -> None:
        self.done = threading.Event()
        self.answer: os.statvfs_result | OSError | None = None
        self._path, self._statvfs = path, statvfs

    def ask(self) -> None:
        try:
            self.answer = self._statvfs(self._path)
        except OSError as error:
            # Its traceback knows this object, and the two would keep each other alive.
            self.answer = error.with_traceback(None)
        self.done.set()


class DiskCollector:
    def __init__(
        self,
        disks: Sequence[Disk],
        clock: Clock,
        *,
        statvfs: Statvfs = os.statvfs,
        stuck_after: float = STUCK_AFTER_SECONDS,
    ) -> None:
        self._disks = disks
        self._clock = clock
        self._statvfs = statvfs
        self._stuck_after = stuck_after
        self._stuck: dict[str, _Asked] = {}
        self._workers = Workers("statvfs")

    def collect(self, deadline: float) -> Disks:
        until = min(deadline, self._clock() + self._stuck_after)
        mounts = mounts_of(_MOUNTS.read_bytes()) if _MOUNTS.exists() else []
        asked = self._stuck
        for path in {disk.path for disk in self._disks} - asked.keys():
            asked[path] = _Asked(path, self._statvfs)
            self._workers.run(asked[path].ask)
        seen: list[Filesystem] = []
        for disk in self._disks:
            question = asked[disk.path]
            question.done.wait(max(0.0, until - self._clock()))
            mount = mount_of(disk.path, mounts)
            empty = Filesystem(
                disk.mountpoint, mount.device if mount else "", mount.fstype if mount else ""
            )
            seen.append(told(empty, question.answer if question.done.is_set() else None))
        self._stuck = {path: q for path, q in asked.items() if not q.done.is_set()}
        problems = tuple(f"{fs.mountpoint}: {fs.fault}" for fs in seen if fs.fault is not None)
        return Disks(tuple(seen), problems)

    def cancel(self) -> None:
        """Nothing can end a statvfs; collect() does not wait for one past its deadline."""

    def close(self) -> None:
        """What is stuck ends with the process."""
        self._workers.close()


def told(empty: Filesystem, answer: os.statvfs_result | OSError | None) -> Filesystem:
    """The kernel's answer as a reading; None: there is none. Pure."""
    match answer:
        case None:
            return replace(empty, fault=FilesystemFault.STUCK)
        case FileNotFoundError() | NotADirectoryError():
            return replace(empty, fault=FilesystemFault.MISSING)
        case PermissionError():
            return replace(empty, fault=FilesystemFault.PERMISSION)
        case OSError():
            return replace(empty, fault=FilesystemFault.IO)
        case _:
            return _measured(empty, answer)


def _measured(empty: Filesystem, answer: os.statvfs_result) -> Filesystem:
    return replace(
        empty,
        size_bytes=answer.f_blocks * answer.f_frsize,
        free_bytes=answer.f_bfree * answer.f_frsize,
        available_bytes=answer.f_bavail * answer.f_frsize,
        files=answer.f_files,
        files_free=answer.f_ffree,
        readonly=bool(answer.f_flag & os.ST_RDONLY),
    )


def mounts_of(mountinfo: bytes) -> list[Mount]:
    """The lines of /proc/<pid>/mountinfo; what has another form is left out. Pure."""
    mounts = []
    for line in mountinfo.decode("utf-8", "replace").splitlines():
        first, _, second = line.partition(" - ")
        mine, theirs = first.split(" "), second.split(" ")
        if len(mine) > 4 and len(theirs) > 1:  # noqa: PLR2004  proc(5): the fifth is the mount point
            mounts.append(Mount(_plain(mine[4]), _plain(theirs[1]), theirs[0]))
    return mounts


def mount_of(path: str, mounts: Sequence[Mount]) -> Mount | None:
    """The mount that holds path: the deepest one, of equals the last. Pure."""
    holding = [
        mount
        for mount in mounts
        if path == mount.point or path.startswith(mount.point.rstrip("/") + "/")
    ]
    # max gives the first of equals, so the list is turned round.
    return max(reversed(holding), key=lambda mount: len(mount.point), default=None)


def _plain(text: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text

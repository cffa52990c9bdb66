"""Following one container's json-file log through rotation, truncation and restarts.

Rule: files are opened read-only and belong to the engine. A file is known by its inode, its
first bytes and the bytes before the place reached, because inodes are used again and a truncated
file may have outgrown the place. A newer file is opened as soon as it is seen, so it may be
rotated away before it is read; files are read in order, each to its end. What went away unseen
is counted as a gap, and nothing is guessed about it.
"""

import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter.collectors.logcount import LineCounter, Noticed
from exporter.readings.logs import JSON_FILE

BLOCK_BYTES = 65536
HEAD_BYTES = 256
TAIL_BYTES = 64
LONGEST_LINE = 1 << 20
_ROTATED_FILES = 64
Stamp = tuple[int, int, int]  # of a path: inode, size, time of change


@dataclass(slots=True)
class OpenFile:
    """One file and how far it was read. tail: the bytes just before offset."""

    fd: int
    inode: int
    head: bytes
    offset: int = 0
    tail: bytes = b""
    seen: tuple[int, int] = (-1, 0)  # size and time of change when it was last compared

    def stands_at(self, stamp: Stamp) -> bool:
        """Read to the end of the file as the stamp tells it."""
        return (self.inode, self.offset) == stamp[:2]

    def same(self) -> bool:
        """Still the file that was read: as long at least, and with the same bytes."""
        status = os.fstat(self.fd)
        if status.st_size < self.offset:
            return False
        before, self.seen = self.seen, (status.st_size, status.st_mtime_ns)
        if before == self.seen:
            return True
        begin = self.offset - len(self.tail)
        return (
            os.pread(self.fd, len(self.head), 0) == self.head
            and os.pread(self.fd, len(self.tail), begin) == self.tail
        )


def _stamp(name: str) -> Stamp | None:
    """None: there is no such file."""
    try:
        status = os.stat(name)  # noqa: PTH116  a Path is slow to look at
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def opened(path: Path) -> OpenFile | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    return OpenFile(fd, os.fstat(fd).st_ino, os.pread(fd, HEAD_BYTES, 0))


class JsonLog:
    """The log of one container id."""

    def __init__(self, path: Path, counter: LineCounter, noticed: Noticed) -> None:
        self.source = JSON_FILE
        self._path = path
        self._name = str(path)  # looked at all the time, and a Path is slow to look at
        self._counter = counter
        self._noticed = noticed
        self._files: deque[OpenFile] = deque()  # oldest first; the last one is being written
        self._rest = b""  # an unfinished line at the end of what was read
        self._skipping = False  # until the next newline: its beginning was not read
        self._place: dict[str, Any] | None = None  # saved by another process, not found yet
        self._done: Stamp | None = None  # the file as it was when all of it had been read

    @property
    def lag_bytes(self) -> int:
        return sum(max(0, os.fstat(f.fd).st_size - f.offset) for f in self._files)

    def begin_at_end(self) -> None:
        """Skip what is there: it was written before anybody counted."""
        file = opened(self._path)
        if file is None:
            return
        file.offset = os.fstat(file.fd).st_size
        file.tail = os.pread(file.fd, TAIL_BYTES, max(0, file.offset - TAIL_BYTES))
        self._skipping = not file.tail.endswith(b"\n") and file.offset > 0
        self._files.append(file)

    def close(self) -> None:
        while self._files:
            os.close(self._files.popleft().fd)

    def poll(self, more_time: Callable[[], bool]) -> int:
        """Read what is new; how many bytes. more_time is asked between blocks."""
        stamp = _stamp(self._name)
        if stamp is not None and stamp == self._done:
            return 0  # most logs are quiet most of the time
        read = self._read(stamp, more_time)
        # Whoever wrote after the stamp was taken has changed the file's size since.
        whole = stamp is not None and len(self._files) == 1 and self._files[0].stands_at(stamp)
        self._done = stamp if whole else None
        return read

    def _read(self, stamp: Stamp | None, more_time: Callable[[], bool]) -> int:
        read = 0
        self._look(stamp)
        while self._files:
            file = self._files[0]
            newest = len(self._files) == 1
            if newest and not file.same():
                self._truncated(file)
            before = file.offset
            at_end = self._drain(file, more_time)
            read += file.offset - before
            if newest or not at_end:
                break
            os.close(self._files.popleft().fd)
            self._noticed.rotations += 1
            self._unfinished()
        return read

    # Which files, and from where.

    def _look(self, stamp: Stamp | None) -> None:
        """Open what has come into being since."""
        if not self._files:
            # Without the file that is written to there is nothing to look for, or not yet.
            if stamp is not None or self._place is not None:
                self._files.extend(self._resume())
            return
        if stamp is None or stamp[0] == self._files[-1].inode:
            return
        newest = self._files[-1].inode
        found, newer = self._walk(lambda file: file.inode == newest)
        if found is None:
            self._gap()
        else:
            os.close(found.fd)
        self._files.extend(newer)

    def _resume(self) -> list[OpenFile]:
        place, self._place = self._place, None
        if place is None:
            return self._walk(lambda _: False)[1]
        found, newer = self._walk(lambda file: _is_at(file, place))
        if found is not None:
            return [found, *newer]
        # Rotated away or truncated in the meantime: everything still there is newer.
        if place["inode"]:
            self._gap()
        return newer

    def _walk(self, is_known: Callable[[OpenFile], bool]) -> tuple[OpenFile | None, list[OpenFile]]:
        """From the newest file back to the known one; and those in between, oldest first.

        The engine may rename while we walk. Files only move the way we go, so one can be met
        twice, never missed, and a number can be free for a moment.
        """
        newer: list[OpenFile] = []
        missing = 0
        for number in range(_ROTATED_FILES):
            name = f"{self._path.name}.{number}" if number else self._path.name
            file = opened(self._path.with_name(name))
            if file is None:
                missing += 1
                if missing > 1:
                    break
            elif is_known(file):
                return file, newer
            elif any(file.inode == other.inode for other in newer):
                os.close(file.fd)
            else:
                newer.insert(0, file)
        return None, newer

    def _gap(self) -> None:
        self._noticed.drop("rotated_away")  # one a gap: nobody knows how many lines
        self._counter.gap()
        self._unfinished()

    def _unfinished(self) -> None:
        """The engine writes whole lines, so half a line at the end of a file stays one."""
        if self._rest:
            self._noticed.drop("unfinished")
        self._rest, self._skipping = b"", False

    def _truncated(self, file: OpenFile) -> None:
        self._noticed.truncations += 1
        self._unfinished()
        file.offset, file.tail = 0, b""
        file.head = os.pread(file.fd, HEAD_BYTES, 0)

    # Reading.

    def _drain(self, file: OpenFile, more_time: Callable[[], bool]) -> bool:
        """True: read to the end."""
        while block := os.pread(file.fd, BLOCK_BYTES, file.offset):
            file.offset += len(block)
            file.tail = (file.tail + block[-TAIL_BYTES:])[-TAIL_BYTES:]
            if len(file.head) < HEAD_BYTES:
                file.head = os.pread(file.fd, min(HEAD_BYTES, file.offset), 0)
            self._block(block)
            if not more_time():
                return os.fstat(file.fd).st_size == file.offset
        return True

    def _block(self, block: bytes) -> None:
        end = block.rfind(b"\n") + 1
        if not end:
            self._rest = b"" if self._skipping else self._rest + block
        else:
            lines = self._rest + block[:end]
            if self._skipping:
                lines = lines[lines.find(b"\n") + 1 :]
                self._skipping = False
            self._rest = block[end:]
            self._counter.count(lines)
        if len(self._rest) > LONGEST_LINE:
            self._rest, self._skipping = b"", True
            self._noticed.drop("too_long")

    # What survives a restart.

    def saved(self) -> dict[str, Any]:
        if not self._files:
            place = self._place or {"inode": 0, "offset": 0, "head": "", "tail": "", "skipping": 0}
            return place | self._counter.saved()
        file = self._files[0]
        rest = len(self._rest)
        # The rest is read again, so the place is before it; its tail is read from there.
        offset = file.offset - rest
        begin = max(0, offset - TAIL_BYTES)
        tail = os.pread(file.fd, offset - begin, begin) if rest else file.tail
        return {
            "inode": file.inode,
            "offset": offset,
            "head": file.head[:offset].decode("latin-1"),
            "tail": tail.decode("latin-1"),
            "skipping": self._skipping,
        } | self._counter.saved()

    def restore(self, saved: dict[str, Any]) -> None:
        """Stand where saved() stood. The file is opened by the next poll."""
        self._counter.restore(saved)
        self._skipping = bool(saved["skipping"])
        self._place = {key: saved[key] for key in ("inode", "offset", "head", "tail", "skipping")}


def _is_at(file: OpenFile, place: dict[str, Any]) -> bool:
    """The file that was saved; it then stands where it stood."""
    head, tail = str(place["head"]).encode("latin-1"), str(place["tail"]).encode("latin-1")
    offset = int(place["offset"])
    if file.inode != place["inode"] or not file.head.startswith(head):
        return False
    with suppress(OSError):
        if os.pread(file.fd, len(tail), offset - len(tail)) == tail and offset:
            file.offset, file.tail = offset, tail
            return True
    return offset == 0

"""Following one container's json-file log through rotation, truncation and restarts.

Rule: files are opened read-only and belong to the engine. Where the reading stands is
(inode, offset) plus the file's first bytes, because inodes are used again and a truncated file
may have outgrown the old offset. A rotated file is read to its end before the next one.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exporter.collectors.levels import Events, Level

BLOCK_BYTES = 65536
HEAD_BYTES = 256
# A level is found at the head of a message, so the rest of a long one need not be kept.
KEPT_OF_PARTIAL = 4096
LONGEST_LINE = 1 << 20
_ROTATED_FILES = 32

_LOG = b'{"log":"'
_STREAM = b'","stream":"'
STREAMS = {b"stdout": "stdout", b"stderr": "stderr"}


@dataclass(slots=True)
class Tally:
    """What has been counted under one container name."""

    messages: dict[tuple[str, str], int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Zeros from the start, or the first error of a container is no increase.
        for stream in STREAMS.values():
            self.sizes.setdefault(stream, 0)
            for level in Level:
                self.messages.setdefault((stream, level), 0)


@dataclass(slots=True)
class Noticed:
    """What happened to files and lines, over all containers."""

    rotations: int = 0
    truncations: int = 0
    partials_joined: int = 0
    lines_dropped: int = 0


class JsonLog:
    """The log of one container id."""

    def __init__(self, path: Path, tally: Tally, noticed: Noticed) -> None:
        self._path = path
        self._tally = tally
        self._noticed = noticed
        self._fd: int | None = None
        self._inode = 0
        self._offset = 0
        self._head = b""
        self._rest = b""  # an unfinished line at the end of what was read
        self._partials: dict[str, bytes] = {}
        self._events = {stream: Events() for stream in STREAMS.values()}
        self.lag_bytes = 0

    def begin_at_end(self) -> None:
        """Skip what is there: it was written before anybody counted."""
        self._open(self._path)
        if self._fd is not None:
            self._offset = os.fstat(self._fd).st_size

    def begin_at_start(self) -> None:
        self._open(self._path)

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def poll(self, more_time: Callable[[], bool]) -> None:
        """Read what is new. more_time is asked between blocks; what is left waits."""
        if self._fd is None:
            self._resume()
        if self._fd is None:
            return
        self._check_truncation()
        if not self._drain(more_time):
            return
        for path in self._newer_files():
            self._noticed.rotations += 1
            self._open(path)
            if not self._drain(more_time):
                return

    # Which file, and from where.

    def _open(self, path: Path) -> None:
        self.close()
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        self._inode = os.fstat(self._fd).st_ino
        self._offset, self._rest = 0, b""
        self._head = os.pread(self._fd, HEAD_BYTES, 0)

    def _resume(self) -> None:
        """After a restart: the file with the saved inode and head, under whatever name."""
        inode, offset, head, rest = self._inode, self._offset, self._head, self._rest
        for path in reversed(self._files()):
            if path.stat().st_ino != inode:
                continue
            self._open(path)
            if self._head[: len(head)] == head:
                self._offset, self._rest = offset, rest
                return
        oldest = self._files()
        if oldest:
            # Rotated away in the meantime: everything still there is newer.
            self._open(oldest[0] if inode else self._path)

    def _files(self) -> list[Path]:
        """The readable files of this log, oldest first."""
        files = [self._path] if self._path.exists() else []
        for number in range(1, _ROTATED_FILES):
            path = self._path.with_name(f"{self._path.name}.{number}")
            if not path.exists():
                break
            files.insert(0, path)
        return files

    def _newer_files(self) -> list[Path]:
        try:
            if self._path.stat().st_ino == self._inode:
                return []
        except FileNotFoundError:
            return []
        files = self._files()
        inodes = [path.stat().st_ino for path in files]
        # Not among them: it was the oldest and is gone; all that is there is newer.
        return files[inodes.index(self._inode) + 1 :] if self._inode in inodes else files

    def _check_truncation(self) -> None:
        assert self._fd is not None  # noqa: S101  poll opened it
        size = os.fstat(self._fd).st_size
        if size == self._offset:
            return
        head = os.pread(self._fd, HEAD_BYTES, 0)
        if size < self._offset or head[: len(self._head)] != self._head[: len(head)]:
            self._noticed.truncations += 1
            self._offset, self._rest = 0, b""
        self._head = head

    # Reading.

    def _drain(self, more_time: Callable[[], bool]) -> bool:
        """True: read to the end."""
        assert self._fd is not None  # noqa: S101  poll opened it
        while block := os.pread(self._fd, BLOCK_BYTES, self._offset):
            self._offset += len(block)
            self._block(block)
            if not more_time():
                self.lag_bytes = os.fstat(self._fd).st_size - self._offset
                return self.lag_bytes == 0
        self.lag_bytes = 0
        return True

    def _block(self, block: bytes) -> None:
        lines = (self._rest + block).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > LONGEST_LINE:
            self._rest = b""
            self._noticed.lines_dropped += 1
        for line in lines:
            self._line(line)

    def _line(self, line: bytes) -> None:
        end = line.find(_STREAM)
        if end < 0 or not line.startswith(_LOG):
            if line:
                self._noticed.lines_dropped += 1
            return
        after = end + len(_STREAM)
        stream = STREAMS.get(line[after : after + 6])
        if stream is None:
            self._noticed.lines_dropped += 1
            return
        message = line[len(_LOG) : end]
        self._tally.sizes[stream] += len(message)
        if not message.endswith(b"\\n"):
            # A piece of a message above 16 KiB; the last piece ends the line.
            kept = self._partials.get(stream, b"")
            self._partials[stream] = (kept + message)[:KEPT_OF_PARTIAL]
            return
        if stream in self._partials:
            message = self._partials.pop(stream) + message
            self._noticed.partials_joined += 1
        level = self._events[stream].level_of(message)
        if level is not None:
            self._tally.messages[stream, level] += 1

    # What survives a restart.

    def saved(self) -> dict[str, Any]:
        return {
            "inode": self._inode,
            "offset": self._offset - len(self._rest),
            "head": self._head.decode("latin-1"),
            "partials": {k: v.decode("latin-1") for k, v in self._partials.items()},
            "events": {k: [v.last, v.in_traceback] for k, v in self._events.items()},
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Stand where saved() stood. The file is opened by the next poll."""
        self._inode = int(saved["inode"])
        self._offset = int(saved["offset"])
        self._head = str(saved["head"]).encode("latin-1")
        self._partials = {k: v.encode("latin-1") for k, v in saved["partials"].items()}
        for stream, (last, in_traceback) in saved["events"].items():
            self._events[stream] = Events(Level(last) if last else None, bool(in_traceback))

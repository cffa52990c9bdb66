"""Opens the dump in a backup file as a stream: gzip, tar and pg_dump's own format, nested.

Rule: a backup is foreign. Nothing of it is ever written to a disk, no name in it is followed,
and what it unpacks to has a cap in bytes and in time.
"""

import gzip
import hashlib
import io
import os
import resource
import subprocess
import tarfile
import tempfile
import threading
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, Protocol

from typing_extensions import Buffer, override

from remediator.actions.clients import Deadline
from remediator.actions.database.sqldump import BadDump, TooMuch
from remediator.ports import Permanent
from remediator.topology import BackupFiles

_BUFFER = 256 * 1024
_BLOCK = 512  # of a tar file
_DEEPEST = 6
_HEADER_BYTES = 64 * 1024  # long names and pax records
_READER_MEMORY = 1024 * 1024 * 1024  # addresses, not pages
_SETTLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class BackupFile:
    path: Path
    size: int
    modified_at: float


def newest(backup: BackupFiles, now: datetime) -> BackupFile | None:
    """The newest file that is not still being written. Errors: Permanent."""
    folder, found = Path(backup.folder), []
    try:
        for path in folder.iterdir():
            if fnmatchcase(path.name, backup.pattern) and path.is_file():
                state = path.stat()
                found.append(BackupFile(path, state.st_size, state.st_mtime))
    except OSError as error:
        raise Permanent(
            f"cannot look for backups in {folder}: {error}; see that it is mounted and readable"
        ) from error
    settled = [f for f in found if now.timestamp() - f.modified_at >= _SETTLE_SECONDS]
    return max(settled, key=lambda file: file.modified_at, default=None)


@dataclass
class Limits:
    """How much may come out of a backup, over all layers, and until when."""

    max_bytes: int
    deadline: Deadline
    used: int = 0

    def count(self, size: int) -> None:
        self.used += size
        if self.used > self.max_bytes:
            raise TooMuch(f"unpacks to more than {self.max_bytes} bytes")
        if self.deadline.is_over():
            raise TooMuch("could not be read in the time of the step")


@dataclass
class OpenDump:
    """`stream` is the plain SQL. `sha256` is the file's, whole once `drain` is done."""

    stream: io.BufferedReader
    layers: list[io.BufferedReader]
    digest: "hashlib._Hash" = field(repr=False)

    def drain(self) -> str:
        """Read every layer to its end, so that its check sums are checked; the file's sha256."""
        with _reading():
            for layer in reversed(self.layers):
                while layer.read(_BUFFER):
                    pass
        return self.digest.hexdigest()


@contextmanager
def opened(path: Path, member: str, limits: Limits) -> Iterator[OpenDump]:
    """The dump in `path`. Errors: BadDump; OSError when the file itself cannot be read."""
    with ExitStack() as stack:
        digest = hashlib.sha256()
        file = stack.enter_context(path.open("rb"))
        layers = [_buffered(_Source(file, digest))]
        with _reading():
            while (inner := _inner(layers[-1], member, limits, stack)) is not None:
                layers.append(_buffered(inner))
                if len(layers) > _DEEPEST:
                    raise BadDump("is packed into too many layers")
        yield OpenDump(layers[-1], layers, digest)


def _buffered(raw: io.RawIOBase) -> io.BufferedReader:
    return io.BufferedReader(raw, _BUFFER)


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Source(io.RawIOBase):
    """The file, with the digest of what was read of it."""

    def __init__(self, file: BinaryIO, digest: "hashlib._Hash") -> None:
        self._file, self._digest = file, digest

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Buffer, /) -> int:
        data = self._file.read(memoryview(buffer).nbytes)
        self._digest.update(data)
        memoryview(buffer).cast("B")[: len(data)] = data
        return len(data)


class _Layer(io.RawIOBase):
    """What comes out of one layer: counted, and `size` bytes long where that is known."""

    def __init__(self, source: Readable, limits: Limits, size: int | None = None) -> None:
        self._source, self._limits, self._left = source, limits, size

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")
        wanted = len(view) if self._left is None else min(len(view), self._left)
        filled = 0
        with _reading():
            # Filled up: whoever peeks sees the beginning whole.
            while filled < wanted and (data := self._source.read(wanted - filled)):
                view[filled : filled + len(data)] = data
                filled += len(data)
        self._limits.count(filled)
        if self._left is not None:
            if filled < wanted:
                raise BadDump("is a tar file that was cut off")
            self._left -= filled
        return filled


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error, tarfile.TarError) as error:
        raise BadDump(f"is damaged or cut off: {error}") from error


def _inner(
    outer: io.BufferedReader, member: str, limits: Limits, stack: ExitStack
) -> io.RawIOBase | None:
    """The layer inside, by how it begins; None for what is not packed any more."""
    head = outer.peek(_BLOCK)[:_BLOCK]
    if not head:
        raise BadDump("is empty")
    if head.startswith(b"\x1f\x8b"):
        unpacked = stack.enter_context(gzip.GzipFile(fileobj=outer, mode="rb"))
        return _Layer(unpacked, limits)
    if head[257:262] == b"ustar":
        return _Layer(outer, limits, _seek_member(outer, member, limits))
    if head.startswith(b"PGDMP"):
        return _Layer(stack.enter_context(_pg_restore(outer, limits)), limits)
    if b"\0" in head:
        raise BadDump("is neither gzip, tar, a pg_dump nor SQL")
    return None


# -- tar --------------------------------------------------------------------------------------
# The library's reader takes a header's word for how much to read into memory; this one does not.


def _seek_member(stream: io.BufferedReader, pattern: str, limits: Limits) -> int:
    """Go to the one file that matches; its size."""
    for kind, name, size in _headers(stream):
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise BadDump(f"holds a file that leads out of it ({name[:100]!r}): do not unpack it")
        if kind in {tarfile.REGTYPE, tarfile.AREGTYPE}:
            if fnmatchcase(name.removeprefix("./"), pattern):
                return size
            _skip(stream, size, limits)
        elif kind not in {tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE}:
            _skip(stream, size, limits)
    raise BadDump(f"holds no file {pattern}")


def _headers(stream: io.BufferedReader) -> Iterator[tuple[bytes, str, int]]:
    """Kind, name and size of each file, until the end; the reader skips what it does not want."""
    name, size = "", None
    while len(block := stream.read(_BLOCK)) == _BLOCK and block.strip(b"\0"):
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        if header.type == tarfile.GNUTYPE_LONGNAME:
            name = _small(stream, header.size).rstrip(b"\0").decode(errors="surrogateescape")
        elif header.type == tarfile.XHDTYPE:
            name, size = _pax(_small(stream, header.size), name, size)
        else:
            yield header.type, name or header.name, header.size if size is None else size
            name, size = "", None


def _small(stream: io.BufferedReader, size: int) -> bytes:
    if not 0 <= size <= _HEADER_BYTES:
        raise BadDump("is a tar file with a header that is too large to be true")
    return stream.read(_padded(size))[:size]


def _skip(stream: io.BufferedReader, size: int, limits: Limits) -> None:
    left = _padded(max(0, size))
    while left:
        data = stream.read(min(left, _BUFFER))
        if not data:
            raise BadDump("is a tar file that was cut off")
        limits.count(0)  # for the deadline
        left -= len(data)


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _pax(data: bytes, name: str, size: int | None) -> tuple[str, int | None]:
    """`path` and `size` of a pax header: lines of `<length> <key>=<value>`."""
    while data:
        length, _, _ = data.partition(b" ")
        if not length.isdigit() or not 0 < int(length) <= len(data):
            raise BadDump("is a tar file with a header that makes no sense")
        record, data = data[len(length) + 1 : int(length) - 1], data[int(length) :]
        key, _, value = record.partition(b"=")
        if key == b"path":
            name = value.decode(errors="surrogateescape")
        elif key == b"size" and value.isdigit():
            size = int(value)
    return name, size


# -- pg_dump's own format ---------------------------------------------------------------------


@contextmanager
def _pg_restore(archive: io.BufferedReader, limits: Limits) -> Iterator[Readable]:
    """pg_restore writes the archive as plain SQL; it reaches no server. Killed at the end."""
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                ["pg_restore", "--file=-"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"},
            )
        except OSError as error:
            raise BadDump(
                f"is in pg_dump's custom format, and pg_restore cannot be run here: {error}; "
                "build the image with --build-arg POSTGRES_CLIENT=postgresql-client"
            ) from error
        assert process.stdin is not None  # noqa: S101 - asked for above
        assert process.stdout is not None  # noqa: S101
        failed: list[Exception] = []
        feeder = threading.Thread(
            target=_feed, args=(archive, process.stdin, failed), name="pg_restore", daemon=True
        )
        killer = threading.Timer(max(0.0, limits.deadline.left_seconds()), process.kill)
        killer.daemon = True
        with suppress(ProcessLookupError):
            resource.prlimit(process.pid, resource.RLIMIT_AS, (_READER_MEMORY, _READER_MEMORY))
        feeder.start()
        killer.start()
        try:
            yield _Checked(process, process.stdout, errors, failed)
        finally:
            killer.cancel()
            process.kill()
            process.wait()
            feeder.join()
            process.stdout.close()


class _Checked:
    """The output of pg_restore; its end counts only when the program ended well."""

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        output: Readable,
        errors: IO[bytes],
        failed: list[Exception],
    ) -> None:
        self._process, self._output = process, output
        self._errors, self._failed = errors, failed

    def read(self, size: int, /) -> bytes:
        data = self._output.read(size)
        if data or not size:
            return data
        code = self._process.wait()
        if self._failed:
            raise BadDump(f"could not be given to pg_restore: {self._failed[0]}")
        if code != 0:
            self._errors.seek(0)
            words = " ".join(self._errors.read(1000).decode(errors="replace").split())
            raise BadDump(f"pg_restore ended with {code}: {words}")
        return b""


def _feed(archive: io.BufferedReader, pipe: IO[bytes], failed: list[Exception]) -> None:
    try:
        with pipe:
            while data := archive.read(_BUFFER):
                pipe.write(data)
    except BrokenPipeError:
        return  # it has read enough, or has failed: its exit code tells
    except (BadDump, OSError, ValueError) as error:
        failed.append(error)

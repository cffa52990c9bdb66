"""A backup file is opened as a stream, whatever it is packed in, and believed in nothing."""

import gzip
import io
import os
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from remediator.actions.clients import Deadline
from remediator.actions.database.archive import Limits, newest, opened
from remediator.actions.database.sqldump import BadDump, TooMuch
from remediator.ports import Permanent
from remediator.topology import BackupFiles

SQL = b"-- a dump\nDROP TABLE t;\n" * 100
MEMBER = "*/dump.sql.gz"
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


def limits(max_bytes: int = 10_000_000, seconds: float = 60) -> Limits:
    return Limits(max_bytes, Deadline.after(lambda: datetime.now(UTC), seconds))


def tar(*members: tuple[str, bytes], mode: str = "w:gz", form: int = tarfile.GNU_FORMAT) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode, format=form) as archive:  # type: ignore[call-overload]
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def read(path: Path, content: bytes, limit: Limits | None = None) -> tuple[bytes, str]:
    file = path / "backup"
    file.write_bytes(content)
    with opened(file, MEMBER, limit or limits()) as dump:
        return dump.stream.read(), dump.drain()


ZIPPED = gzip.compress(SQL)
LONG = "nightly-" + "x" * 150


@pytest.mark.parametrize(
    "content",
    [
        SQL,
        ZIPPED,
        ZIPPED[: len(ZIPPED)] + gzip.compress(b""),
        tar(("n/notes", b"x" * 5000), ("n/dump.sql.gz", ZIPPED), ("n/after", b"y" * 5000)),
        tar(("./n/dump.sql.gz", ZIPPED)),
        tar(("n/dump.sql.gz", ZIPPED), mode="w"),
        tar((f"{LONG}/dump.sql.gz", ZIPPED)),
        tar((f"{LONG}/dump.sql.gz", ZIPPED), form=tarfile.PAX_FORMAT),
        tar(("nächtlich/dump.sql.gz", ZIPPED), form=tarfile.PAX_FORMAT),
        tar(("n/dump.sql.gz", SQL)),
        gzip.compress(tar(("n/dump.sql.gz", ZIPPED))),
    ],
)
def test_the_dump_is_found_through_its_layers(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path, content) == (SQL, sha256(content).hexdigest())


def wrapped(content: bytes, times: int) -> bytes:
    for _ in range(times):
        content = gzip.compress(content)
    return content


def member(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    header = tarfile.TarInfo(name)
    header.size, header.type = size, kind
    return header.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\0" * 2000, "is neither"),
        (gzip.compress(b""), "is empty"),
        (ZIPPED[:-20], "damaged or cut off"),
        (ZIPPED[:-8] + b"12345678", "damaged or cut off"),
        (tar(("n/dump.sql.gz", ZIPPED[:-20])), "damaged or cut off"),
        (tar(("n/other", b"x")), r"holds no file \*/dump"),
        (tar(("n/dump.sql.gz", ZIPPED), mode="w")[:520], "tar file that was cut off"),
        (tar(("n/first", b"x" * 9000), mode="w")[:5000], "tar file that was cut off"),
        (tar(("../dump.sql.gz", ZIPPED)), "leads out of it"),
        (tar(("n/../../x", b""), ("n/dump.sql.gz", ZIPPED)), "leads out of it"),
        (tar(("/n/dump.sql.gz", ZIPPED)), "leads out of it"),
        (member("n/dump.sql.gz", 0, tarfile.SYMTYPE) + b"\0" * 1024, "holds no file"),
        (member("x", 2**40, tarfile.GNUTYPE_LONGNAME), "too large to be true"),
        (member("x", 2**40, tarfile.XHDTYPE), "too large to be true"),
        (member("x", 8, tarfile.XHDTYPE) + b"99 a=b\n\n".ljust(512, b"\0"), "makes no sense"),
        (wrapped(SQL, 8), "layers"),
    ],
)
def test_what_is_no_backup_is_said_in_words(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(BadDump, match=words):
        read(tmp_path, content)


@pytest.mark.parametrize(
    "pack", [gzip.compress, lambda data: tar(("n/skipped", data), ("n/dump.sql.gz", ZIPPED))]
)
def test_more_than_the_cap_never_comes_out(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    with pytest.raises(TooMuch, match="unpacks to more than 1000000 bytes"):
        read(tmp_path, pack(b" " * 50_000_000), limits(1_000_000))


def test_when_the_time_is_up_reading_ends(tmp_path: Path) -> None:
    with pytest.raises(TooMuch, match="in the time of the step"):
        read(tmp_path, ZIPPED, limits(seconds=-1))


def test_a_damaged_end_is_found_by_draining(tmp_path: Path) -> None:
    content = bytearray(tar(("n/dump.sql.gz", ZIPPED), ("n/after", os.urandom(5000))))
    content[-6] ^= 0xFF
    with pytest.raises(BadDump, match="damaged or cut off"):
        read(tmp_path, bytes(content))


def test_without_pg_restore_its_format_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadDump, match="pg_restore cannot be run here"):
        read(tmp_path, b"PGDMP\1\16\0" * 100)


def test_the_newest_file_by_its_time_counts_once_it_is_settled(tmp_path: Path) -> None:
    files = BackupFiles(str(tmp_path), "*.tar.gz", MEMBER, str(tmp_path / "verified"))
    assert newest(files, NOW) is None
    for name, age in (("a.tar.gz", 300), ("b.tar.gz", 120), ("c.tar.gz", 10), ("d.sql", 200)):
        (tmp_path / name).write_bytes(b"x")
        at = (NOW - timedelta(seconds=age)).timestamp()
        os.utime(tmp_path / name, (at, at))
    (tmp_path / "folder.tar.gz").mkdir()
    found = newest(files, NOW)
    assert found is not None
    assert (found.path.name, found.size) == ("b.tar.gz", 1)


def test_a_folder_that_is_away_is_permanent(tmp_path: Path) -> None:
    files = BackupFiles(str(tmp_path / "gone"), "*", MEMBER, "verified")
    with pytest.raises(Permanent, match="see that it is mounted and readable"):
        newest(files, NOW)

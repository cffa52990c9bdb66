"""Certificates, disks, backups and textfiles, on real files."""

import gc
import os
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from exporter.collectors.backups import FORMATS, BackupCollector, look
from exporter.collectors.certificates import CertificateCollector
from exporter.collectors.disks import DiskCollector, Mount, mount_of, mounts_of
from exporter.collectors.port import Clocks
from exporter.collectors.textfiles import MAX_SAMPLES, TextfileCollector
from exporter.exposition import Encoder
from exporter.families import backups, certificates, disks, textfiles
from exporter.families.metric import Family
from exporter.readings import BackupFault, Backups, Cause, Textfiles, Unreachable
from exporter.targets import BackupFolder, CertificateFile, Disk, TextfileFolder
from tests.certificates import Authority

NOW = 1_700_000_000.0


def text(families: list[Family]) -> str:
    done = Encoder().encode(families)
    assert done.dropped == 0
    return done.body.decode()


# Certificates


def test_every_certificate_of_every_file_is_told_and_every_error(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    old = authority.signed("old", begins=timedelta(days=-9), ends=timedelta(days=-1))
    chain = tmp_path / "chain.pem"
    chain.write_bytes(old.certificate.read_bytes() + authority.certificate.read_bytes())
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    files = [
        CertificateFile("nginx", str(path))
        for path in (chain, pipe, tmp_path / "gone", old.key, tmp_path)
    ]

    reading = CertificateCollector(files, time.time).collect(0)
    told = text(certificates.families(files, reading))

    assert [seen.subject_cn for seen in reading.found[str(chain)]] == ["old", "Test Authority"]
    assert set(reading.errors) == {file.file for file in files[1:]}
    assert "x509_read_errors 4" in told
    assert f'x509_cert_expired{{filepath="{chain}",service="nginx",subject_CN="old",' in told
    assert "x509_cert_error" in told
    assert len(reading.problems) == 4


def test_a_renewed_certificate_is_seen_at_once(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    file = authority.signed("site").certificate
    collector = CertificateCollector([CertificateFile("nginx", str(file))], time.time)
    (before,) = collector.collect(0).found[str(file)]
    authority.signed("site", ends=timedelta(days=90))

    (after,) = collector.collect(0).found[str(file)]

    assert after.not_after > before.not_after
    assert after.serial_number != before.serial_number


# Disks


def test_a_path_is_told_under_its_name_on_the_host(tmp_path: Path) -> None:
    collector = DiskCollector([Disk(str(tmp_path), "/data")], time.monotonic)

    reading = collector.collect(time.monotonic() + 5)
    (seen,) = reading.filesystems

    state = os.statvfs(tmp_path)
    assert (seen.mountpoint, seen.size_bytes) == ("/data", state.f_blocks * state.f_frsize)
    assert seen.files == state.f_files
    assert (seen.fault, reading.problems) == (None, ())
    assert 'mountpoint="/data"' in text(disks.families([], reading))


def test_a_path_that_hangs_is_stuck_and_hides_no_other(tmp_path: Path) -> None:
    release, asked = threading.Event(), []

    def statvfs(path: str) -> os.statvfs_result:
        asked.append(path)
        if path == "/nfs":
            release.wait(30)
        return os.statvfs(tmp_path)

    listed = [Disk("/nfs", "/nfs"), Disk("/good", "/good")]
    collector = DiskCollector(listed, time.monotonic, statvfs=statvfs, stuck_after=0.05)
    readings = [collector.collect(time.monotonic() + 5) for _ in range(3)]

    for reading in readings:
        assert [fs.fault for fs in reading.filesystems] == ["stuck", None]
        assert reading.problems == ("/nfs: stuck",)
    assert asked.count("/nfs") == 1, "no second thread for a path that is stuck"
    told = text(disks.families(listed, readings[0]))
    lines = [line for line in told.splitlines() if 'mountpoint="/nfs"' in line]
    assert {line.partition("{")[0] for line in lines} == {
        "node_filesystem_device_error",
        "node_filesystem_error_info",
    }
    assert all(line.endswith(" 1") for line in lines)
    assert 'error="stuck"' in "".join(lines)

    release.set()
    collector = DiskCollector(listed, time.monotonic, statvfs=statvfs, stuck_after=30)
    assert collector.collect(time.monotonic() + 30).problems == ()


@pytest.mark.parametrize(
    ("error", "fault"),
    [(FileNotFoundError, "missing"), (PermissionError, "permission"), (OSError, "io")],
)
def test_an_error_of_a_path_is_told_by_a_word(error: type[OSError], fault: str) -> None:
    def statvfs(_: str) -> os.statvfs_result:
        raise error

    collector = DiskCollector([Disk("/x", "/x")], time.monotonic, statvfs=statvfs)

    assert collector.collect(time.monotonic() + 5).filesystems[0].fault == fault


def test_paths_that_are_missing_leave_no_garbage_behind() -> None:
    """The exporter looks for garbage seldom: what hangs together would pile up for hours."""

    class Missing(FileNotFoundError):
        pass

    errors: list[weakref.ref[Missing]] = []

    def statvfs(_: str) -> os.statvfs_result:
        error = Missing()
        errors.append(weakref.ref(error))
        raise error

    collector = DiskCollector([Disk("/x", "/x")], time.monotonic, statvfs=statvfs)
    others = threading.enumerate()
    gc.disable()
    try:
        faults = [collector.collect(time.monotonic() + 5).filesystems[0].fault for _ in range(9)]
        collector.close()
        for thread in threading.enumerate():
            if thread not in others:
                thread.join(30)
        kept = [error for error in errors if error() is not None]
    finally:
        gc.enable()

    assert faults == ["missing"] * 9
    assert kept == []


def test_the_deepest_last_mount_holds_a_path() -> None:
    mounts = mounts_of(
        b"22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"
        b"23 22 8:2 / /mnt\\040a rw - xfs /dev/sdb1 rw\n"
        b"24 22 8:3 / /mnt\\040a rw master:2 shared:3 - ext4 /dev/sdc1 rw\n"
        b"nonsense\n\xff\n"
    )

    assert mount_of("/mnt a/deep", mounts) == Mount("/mnt a", "/dev/sdc1", "ext4")
    assert mount_of("/mnt ab", mounts) == Mount("/", "/dev/sda1", "ext4")
    assert mount_of("/x", []) is None


# Backups


def folder(path: Path, **changes: object) -> BackupFolder:
    plain = BackupFolder(
        name="db",
        service="postgres",
        directory=str(path),
        pattern="*.sql.gz",
        max_age=86400.0,
        min_bytes=10,
        format="gzip",
        verification="verified",
        verification_max_age=1000.0,
        settle=60.0,
        check_every=60.0,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def written(path: Path, age: float, content: bytes = b"\x1f\x8b\x08" + b"x" * 20) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (NOW - age, NOW - age))
    return path


def test_a_backup_that_never_was_is_zero_not_absent(tmp_path: Path) -> None:
    reading = look(folder(tmp_path), NOW)

    assert reading.backup.fault is BackupFault.MISSING
    told = text(backups.families(folder(tmp_path), reading))
    labels = '{backup="db",service="postgres"}'
    assert f"backup_last_success_timestamp_seconds{labels} 0" in told
    assert f"backup_valid{labels} 0" in told
    assert f"backup_last_verification_timestamp_seconds{labels} 0" in told
    assert f"backup_max_age_seconds{labels} 86400" in told


def test_the_newest_good_backup_counts(tmp_path: Path) -> None:
    written(tmp_path / "a.sql.gz", 7200)
    written(tmp_path / "b.sql.gz", 3600)
    written(tmp_path / "other.txt", 100)
    written(tmp_path / "verified", 500, b"")

    seen = look(folder(tmp_path), NOW).backup

    assert (seen.fault, seen.last_success, seen.size_bytes, seen.files) == (None, NOW - 3600, 23, 2)
    assert seen.last_verification == NOW - 500


BAD: dict[BackupFault, Callable[[Path], Path]] = {
    BackupFault.TOO_SMALL: lambda path: written(path, 100, b"\x1f\x8b\x08"),
    BackupFault.FORMAT: lambda path: written(path, 100, b"<html>" * 10),
    BackupFault.FUTURE: lambda path: written(path, -10_000),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_backup_is_told_and_is_no_success(tmp_path: Path, fault: BackupFault) -> None:
    written(tmp_path / "a.sql.gz", 7200)
    BAD[fault](tmp_path / "b.sql.gz")

    reading = look(folder(tmp_path), NOW)

    assert (reading.backup.fault, reading.backup.last_success) == (fault, NOW - 7200)
    assert f'reason="{fault}"' in text(backups.families(folder(tmp_path), reading))
    assert reading.problems == (f"b.sql.gz: {fault}",)


def test_a_backup_that_cannot_be_read_is_no_success(tmp_path: Path) -> None:
    path = written(tmp_path / "a.sql.gz", 100)
    path.unlink()
    # A link of that name to a file that open() refuses, whoever runs the test.
    path.symlink_to("/proc/self/mem")

    assert look(folder(tmp_path, min_bytes=0), NOW).backup.fault in {
        BackupFault.UNREADABLE,
        BackupFault.FORMAT,
        BackupFault.FUTURE,
    }


def test_a_file_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    written(tmp_path / "a.sql.gz", 7200)
    written(tmp_path / "b.sql.gz", 5, b"")

    seen = look(folder(tmp_path), NOW).backup

    assert (seen.fault, seen.last_success, seen.files) == (None, NOW - 7200, 2)


def test_folders_pipes_and_dangling_links_are_no_backups(tmp_path: Path) -> None:
    (tmp_path / "a.sql.gz").mkdir()
    os.mkfifo(tmp_path / "b.sql.gz")
    (tmp_path / "c.sql.gz").symlink_to(tmp_path / "gone")

    assert look(folder(tmp_path), NOW).backup.fault is BackupFault.MISSING


def test_a_pattern_may_go_one_folder_down(tmp_path: Path) -> None:
    written(tmp_path / "2026-01-01" / "dump.sql.gz", 100)

    assert look(folder(tmp_path, pattern="*/dump.sql.gz"), NOW).backup.fault is None


@pytest.mark.parametrize("name", FORMATS)
def test_formats_are_known_by_their_first_bytes(tmp_path: Path, name: str) -> None:
    offset, magic = FORMATS[name]
    written(tmp_path / "a.sql.gz", 100, b"\0" * offset + magic + b"x" * 20)

    assert look(folder(tmp_path, format=name), NOW).backup.fault is None


def test_a_look_is_kept_a_while_and_a_failure_is_not(tmp_path: Path) -> None:
    now = [100.0]
    root = tmp_path / "late"
    collector = BackupCollector(folder(root), Clocks(lambda: now[0], lambda: NOW + now[0]))

    away = collector.collect(0)
    assert isinstance(away, Unreachable)
    assert away.cause is Cause.FILES
    root.mkdir()
    first = collector.collect(0)
    assert isinstance(first, Backups)
    written(root / "a.sql.gz", 100)
    now[0] += 59
    assert collector.collect(0) is first
    now[0] += 1
    second = collector.collect(0)
    assert isinstance(second, Backups)
    assert (second.backup.files, second.checked_at) == (1, NOW + 160)


# Textfiles


def textfile(path: Path, content: str | bytes) -> Textfiles:
    (path / "a.prom").write_bytes(content if isinstance(content, bytes) else content.encode())
    reading = TextfileCollector(TextfileFolder(str(path))).collect(0)
    assert isinstance(reading, Textfiles)
    return reading


def test_what_a_file_says_is_exported_under_its_own_names(tmp_path: Path) -> None:
    (tmp_path / "b.prom").write_text('last_run_seconds{job="b"} 2\n')
    (tmp_path / "ignored.txt").write_text("x 1\n")
    reading = textfile(
        tmp_path,
        "# HELP last_run_seconds When it ran.\n# TYPE last_run_seconds gauge\n"
        'last_run_seconds{job="a",host="x"} 1.5\n'
        "# TYPE runs_total counter\nruns_total 3\n"
        '# TYPE took histogram\ntook_bucket{le="1"} 1\ntook_bucket{le="+Inf"} 2\n'
        "took_sum 3\ntook_count 2\n",
    )

    told = text(textfiles.families(None, reading))

    assert "# HELP last_run_seconds When it ran.\n# TYPE last_run_seconds gauge\n" in told
    assert 'last_run_seconds{host="x",job="a"} 1.5' in told
    assert 'last_run_seconds{job="b"} 2' in told
    assert "# TYPE runs_total counter\nruns_total 3" in told
    assert 'took_bucket{le="+Inf"} 2' in told
    assert "node_textfile_scrape_error 0" in told
    assert told.count("node_textfile_mtime_seconds{") == 2


@pytest.mark.parametrize(
    "content",
    [
        "x 1 1700000000000\n",
        "stackmedic_build_info 1\n",
        "node_textfile_scrape_error 0\n",
        'x{a="b} 1\n',
        "x\n",
        "x one\n",
        b"\xff\xfe 1\n",
        "x{} 1\n" * (MAX_SAMPLES + 1),
        b"#" * (2 << 20),
    ],
)
def test_a_file_with_a_mistake_is_refused_whole(tmp_path: Path, content: str | bytes) -> None:
    good = b"good_gauge 1\n"
    reading = textfile(
        tmp_path, good + (content if isinstance(content, bytes) else content.encode())
    )

    told = text(textfiles.families(None, reading))

    assert "good_gauge" not in told
    assert "node_textfile_scrape_error 1" in told
    assert "node_textfile_mtime_seconds" not in told
    assert len(reading.problems) == 1


def test_a_folder_that_is_away_is_an_error(tmp_path: Path) -> None:
    reading = TextfileCollector(TextfileFolder(str(tmp_path / "gone"))).collect(0)

    assert isinstance(reading, Unreachable)
    assert text(textfiles.families(None, reading)).endswith("node_textfile_scrape_error 1\n")

"""prune_logs on real files: what is old goes, and nothing outside the folder can be reached."""

import os
import time
from pathlib import Path

import pytest

from remediator.actions.logfiles import PruneLogs, PruneLogsParams
from remediator.ports import Effect, Permanent, Ready, Refused
from remediator.topology import RotatedLogs, Target
from tests.integration.edge_containers import clients, now

DAY = 86400.0


def prune(max_files: int = 1000) -> PruneLogs:
    return PruneLogs(PruneLogsParams(max_files=max_files), clients())


def target(folder: Path, *, keep: int = 2, pattern: str = "*.log.*") -> Target:
    logs = RotatedLogs(str(folder), pattern, 7 * DAY, keep)
    return Target("host", "edge", rotated_logs=logs)


def rotated(folder: Path, name: str, days: float, size: int = 8192) -> Path:
    path = folder / name
    path.write_bytes(os.urandom(size))
    old = time.time() - days * DAY
    os.utime(path, (old, old))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    for days in range(1, 21):
        rotated(folder, f"app.log.{days}", days)
    rotated(folder, "app.log", 30)
    rotated(folder, "other.txt", 30)
    return folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_old_files_go_and_the_others_stay(folder: Path) -> None:
    assert prune().precheck(target(folder)) == Ready()
    assert prune().probe(target(folder), intended_at=now()) is Effect.NOT_DONE
    done = prune().run(target(folder), timeout_seconds=30)
    kept = {f"app.log.{days}" for days in range(1, 7)}
    assert names(folder) == kept | {"app.log", "other.txt"} | ({"app.log.7"} & names(folder))
    assert done.evidence["deleted"] in {13, 14}  # the seventh is as old as the limit
    freed = done.evidence["freed_bytes"]
    assert isinstance(freed, int)
    assert freed >= 13 * 8192
    assert prune().probe(target(folder), intended_at=now()) is Effect.DONE
    refused = prune().precheck(target(folder))
    assert isinstance(refused, Refused)
    assert "older than 7 days" in refused.detail


def test_the_newest_stay_whatever_their_age(tmp_path: Path) -> None:
    for days in (30, 40, 50):
        rotated(tmp_path, f"app.log.{days}", days)
    prune().run(target(tmp_path, keep=2), timeout_seconds=30)
    assert names(tmp_path) == {"app.log.30", "app.log.40"}


def test_the_oldest_go_first_up_to_the_cap(folder: Path) -> None:
    done = prune(max_files=3).run(target(folder), timeout_seconds=30)
    assert done.evidence["deleted"] == 3
    assert not {"app.log.20", "app.log.19", "app.log.18"} & names(folder)
    assert "app.log.17" in names(folder)


def test_links_and_everything_that_is_no_plain_file_are_left_alone(
    folder: Path, tmp_path: Path
) -> None:
    outside = rotated(tmp_path, "precious.log.1", 90)
    (folder / "link.log.1").symlink_to(outside)
    (folder / "dangling.log.1").symlink_to(tmp_path / "nowhere")
    (folder / "hard.log.1").hardlink_to(outside)
    (folder / "folder.log.1").mkdir()
    os.mkfifo(folder / "pipe.log.1")
    prune().run(target(folder), timeout_seconds=30)
    assert outside.exists()
    strange = {"link.log.1", "dangling.log.1", "hard.log.1", "folder.log.1", "pipe.log.1"}
    assert strange <= names(folder)


def test_a_folder_that_is_a_link_is_not_entered(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    before = names(folder)
    with pytest.raises(Permanent, match="cannot open the folder"):
        prune().precheck(target(tmp_path / "link"))
    with pytest.raises(Permanent):
        prune().run(target(tmp_path / "link"), timeout_seconds=30)
    assert prune().probe(target(tmp_path / "link"), intended_at=now()) is Effect.UNKNOWN
    assert names(folder) == before


def test_names_that_would_lead_elsewhere_are_only_names(folder: Path) -> None:
    rotated(folder, "..log.1\n; rm -rf .log.2", 90)
    prune().run(target(folder), timeout_seconds=30)
    assert "app.log.1" in names(folder)


def test_time_that_is_over_deletes_nothing_more(folder: Path) -> None:
    done = prune().run(target(folder), timeout_seconds=0)
    assert done.evidence["deleted"] == 0
    assert len(names(folder)) == 22

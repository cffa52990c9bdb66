"""The real remediator whose state file is in trouble: nothing is done, and a human hears of it."""

import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.builders import a_body
from tests.integration.edge_containers import needs_docker, until
from tests.integration.edge_monitoring import SLOW
from tests.integration.live_remediator import (
    RESTART,
    Remediator,
    Stage,
    a_remediator,
    a_stage,
)

pytestmark = [
    pytest.mark.integration,
    needs_docker,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system: needs root"),
]

ALARM = "RemediatorJournalUnavailable"
HOOK = "/webhook/alertmanager"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with a_stage(tmp_path_factory.mktemp("stage")) as stage:
        yield stage


@pytest.fixture
def web(stage: Stage) -> Iterator[str]:
    with stage.world.service() as name:
        yield name


@pytest.fixture
def remediator(stage: Stage, web: str, tmp_path: Path) -> Iterator[Remediator]:
    with a_remediator(stage, tmp_path, [web], runbooks=[RESTART]) as made:
        made.state_file.parent.mkdir()
        with mounted(made.state_file.parent, "4m"):
            yield made
            made.stop()


@contextmanager
def mounted(folder: Path, size: str) -> Iterator[None]:
    """A small file system in memory."""
    options = f"size={size},mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(remediator: Remediator) -> Callable[[], None]:
    """Not a byte more fits, and the log has no room of its own that it could use again."""
    rest = remediator.state_file.with_name("core.1234")
    wal = remediator.state_file.with_name(f"{remediator.state_file.name}-wal")

    def is_full() -> bool:
        if wal.exists():  # while it runs
            with closing(sqlite3.connect(remediator.state_file)) as journal:
                journal.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with rest.open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"x" * 4096)
        return not wal.exists() or wal.stat().st_size == 0

    until(is_full)
    return rest.unlink


def make_read_only(remediator: Remediator) -> Callable[[], None]:
    """Before it starts: what is open for writing cannot be made read-only."""

    def remount(how: str) -> None:
        folder = remediator.state_file.parent
        subprocess.run(["mount", "-o", f"remount,{how}", folder], check=True)

    remount("ro")
    return lambda: remount("rw")


def lock(remediator: Remediator) -> Callable[[], None]:
    backup = sqlite3.connect(remediator.state_file, isolation_level=None)
    backup.execute("BEGIN IMMEDIATE")
    return backup.close


def alarms(stage: Stage) -> list[str]:
    found = stage.alertmanager.alerts(ALARM)
    return [alert["annotations"]["description"] for alert in found]


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (fill, "database or disk is full; make room on its disk"),
        (lock, "database is locked; another program holds it locked"),
    ],
    ids=["full", "locked"],
)
def test_a_journal_that_cannot_be_written_pages_acts_on_nothing_and_recovers_by_itself(
    remediator: Remediator,
    stage: Stage,
    web: str,
    trouble: Callable[[Remediator], Callable[[], None]],
    said: str,
) -> None:
    remediator.start()
    remediator.goes_round()
    assert remediator.answers("/-/ready") == 200
    end = trouble(remediator)
    stage.world.break_(web)
    until(lambda: [p.status for p in stage.wire.of(web)][:2] == [503, 503], within_seconds=SLOW)
    remediator.until(lambda: alarms(stage), "a human is called")
    assert said in alarms(stage)[0]
    assert said in remediator.said()
    assert remediator.answers("/-/ready") == 503
    assert "Traceback" not in remediator.said()
    assert {one.status for one in stage.wire.of(web)} == {503}
    assert stage.world.starts(web) == 1

    end()
    remediator.until(lambda: remediator.rests(web), "it is mended when there is room again")
    assert remediator.runs(web)[-1] == "effective"
    assert stage.world.starts(web) == 2
    remediator.until(lambda: remediator.answers("/-/ready") == 200, "it is ready again")
    remediator.until(lambda: not alarms(stage), "the call is over")
    until(lambda: stage.wire.of(web)[-1].status == 200, within_seconds=SLOW)


def test_a_journal_that_is_damaged_while_it_runs_is_written_no_more(
    remediator: Remediator, stage: Stage, web: str
) -> None:
    remediator.start()
    remediator.goes_round()
    with closing(sqlite3.connect(remediator.state_file)) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = remediator.state_file.stat().st_size
    with remediator.state_file.open("r+b") as raw:
        raw.seek(4096)
        raw.write(os.urandom(size - 4096))
    stage.world.break_(web)
    until(lambda: 503 in {one.status for one in stage.wire.of(web)}, within_seconds=SLOW)
    remediator.until(lambda: alarms(stage), "a human is called")
    assert "move the file away" in alarms(stage)[0]
    assert remediator.answers("/-/ready") == 503
    assert stage.world.starts(web) == 1

    # What the sentence says to do.
    remediator.processes[-1].terminate()
    remediator.processes[-1].wait(40)
    for file_of_it in remediator.state_file.parent.glob("remediator.sqlite*"):
        file_of_it.rename(file_of_it.with_name(f"damaged-{file_of_it.name}"))
    remediator.start()
    remediator.until(lambda: remediator.rests(web), "it is mended")
    assert stage.world.starts(web) == 2


@pytest.mark.parametrize("how", ["damaged", "full", "read-only"])
def test_a_journal_that_is_in_trouble_at_the_start_pages_and_ends_with_a_sentence(
    remediator: Remediator, stage: Stage, web: str, how: str
) -> None:
    end: Callable[[], None] = remediator.state_file.unlink
    if how == "damaged":
        remediator.state_file.write_bytes(b"not a database" * 400)
    elif how == "full":
        end = fill(remediator)
    else:
        end = make_read_only(remediator)
    refused = remediator.begin()
    assert refused.wait(SLOW) == 1
    assert "cannot start: the state file" in remediator.said()
    assert "Traceback" not in remediator.said()
    assert any(str(remediator.state_file) in words for words in alarms(stage))

    end()
    remediator.start()
    stage.world.break_(web)
    remediator.until(lambda: remediator.rests(web), "it is mended")
    remediator.until(lambda: remediator.answers("/-/ready") == 200, "it is ready")
    assert remediator.http.post(HOOK, json=a_body()).status_code == 200

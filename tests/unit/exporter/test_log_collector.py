"""The thread around the tail: a scrape is answered by it, and what it tells was saved."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.collectors.logs import LogCollector
from exporter.collectors.port import Clocks
from exporter.readings import Cause, Container, Containers, ContainerState, Logs, Unreachable
from exporter.targets import Engine, LogFolder, LogPattern

ID = "a" * 64
WEB = Container(id=ID, name="web", image="i", state=ContainerState.RUNNING, created_at=9e9)
LINE = (
    b'{"log":"ERROR no \\u003chere\\u003e\\n","stream":"stderr","time":"2026-11-24T10:00:00.1Z"}\n'
)


class FakeSet:
    def current(self, deadline: float) -> Containers | Unreachable:
        return Containers(0, (WEB,))

    known = current


@pytest.fixture
def folder(tmp_path: Path) -> LogFolder:
    (tmp_path / ID).mkdir()
    (tmp_path / ID / f"{ID}-json.log").write_bytes(LINE * 3)
    state = str(tmp_path / "state" / "logs.json")
    patterns = (LogPattern("no", "ERROR no"),)
    return LogFolder(str(tmp_path), state, Engine("unix:///x"), patterns)


@pytest.fixture
def collector(folder: LogFolder) -> Iterator[LogCollector]:
    opened = LogCollector(folder, FakeSet(), Clocks(time.monotonic, time.time))
    yield opened
    opened.close()


def read(collector: LogCollector) -> Logs:
    reading = collector.collect(time.monotonic() + 10)
    assert isinstance(reading, Logs)
    return reading


def test_what_is_told_was_saved_before(collector: LogCollector, folder: LogFolder) -> None:
    (told,) = read(collector).logs
    saved = json.loads(Path(folder.state_file).read_text())["names"]["web"]

    assert told.messages["stderr", "error"] == 3
    assert told.matches == {"no": 3}
    assert ["stderr", "error", 3] in saved["messages"]


def test_recurring_errors_are_for_the_page(collector: LogCollector) -> None:
    read(collector)

    (error,) = collector.recurring()
    assert (error.name, error.count, error.sample) == ("web", 3, "ERROR no <here>")


def test_a_state_that_cannot_be_saved_is_a_problem_until_it_can(
    collector: LogCollector, folder: LogFolder
) -> None:
    read(collector)
    state = Path(folder.state_file)
    state.unlink()
    state.parent.rmdir()
    state.parent.write_text("a file where a folder should be")
    log = Path(folder.root) / ID / f"{ID}-json.log"
    log.write_bytes(log.read_bytes() + LINE)
    assert "cannot be written" in read(collector).problems[0]

    state.parent.unlink()
    assert read(collector).problems == ()


def test_a_folder_that_cannot_be_read_is_told(folder: LogFolder, tmp_path: Path) -> None:
    gone = LogFolder(str(tmp_path / "gone"), folder.state_file, folder.engine)
    collector = LogCollector(gone, FakeSet(), Clocks(time.monotonic, time.time))
    reading = collector.collect(time.monotonic() + 10)

    assert isinstance(reading, Unreachable)
    assert reading.cause is Cause.FILES
    collector.close()

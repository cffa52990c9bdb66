"""Following json-file logs: rotation, truncation, pieces, restarts. Real files, no engine."""

import json
from pathlib import Path

import pytest

from exporter.collectors.logs import LogCollector
from exporter.collectors.port import Clocks
from exporter.readings import Container, Containers, ContainerState, Logs, Unreachable
from exporter.targets import Engine, LogFolder

STARTED_AT = 1000.0
ID = "a" * 64
NEW = Container(
    id=ID, name="web", image="i", state=ContainerState.RUNNING, created_at=STARTED_AT + 1
)


class FakeSet:
    def __init__(self, *containers: Container) -> None:
        self.containers = containers

    def current(self, deadline: float) -> Containers | Unreachable:
        return Containers(0, self.containers)

    known = current


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return STARTED_AT + self.now


class Stage:
    """A folder of container logs, one clock, and collectors that come and go."""

    def __init__(self, tmp_path: Path) -> None:
        self.root = tmp_path / "containers"
        self.state = tmp_path / "state" / "logs.json"
        self.root.mkdir()
        self.time = Time()
        self.set = FakeSet(NEW)

    def open(self) -> LogCollector:
        folder = LogFolder(str(self.root), str(self.state), Engine("unix:///x"))
        return LogCollector(folder, self.set, Clocks(self.time.monotonic, self.time.wall))

    def path(self, suffix: str = "", container_id: str = ID) -> Path:
        folder = self.root / container_id
        folder.mkdir(exist_ok=True)
        return folder / f"{container_id}-json.log{suffix}"

    def write(self, *texts: str, stream: str = "stderr", suffix: str = "") -> None:
        with self.path(suffix).open("a") as file:
            for text in texts:
                entry = {"log": text, "stream": stream, "time": "2026-11-24T10:00:00Z"}
                file.write(json.dumps(entry, separators=(",", ":")) + "\n")

    def rotate(self) -> None:
        for number in (2, 1):
            if self.path(f".{number}").exists():
                self.path(f".{number}").replace(self.path(f".{number + 1}"))
        self.path().replace(self.path(".1"))
        self.path().touch()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def read(collector: LogCollector) -> Logs:
    reading = collector.collect(deadline=10**9)
    assert isinstance(reading, Logs)
    assert reading.problems == ()
    return reading


def errors(collector: LogCollector, stream: str = "stderr") -> int:
    (one,) = read(collector).logs
    return one.messages[stream, "error"]


def test_levels_are_zero_before_the_first_line(stage: Stage) -> None:
    collector = stage.open()

    assert set(read(collector).logs[0].messages.values()) == {0}
    collector.close()


def test_each_new_line_is_counted_once_by_stream_and_level(stage: Stage) -> None:
    collector = stage.open()
    stage.write("ERROR no\n", "INFO yes\n")
    assert errors(collector) == 1
    stage.write("ERROR again\n", stream="stdout")

    assert errors(collector) == 1
    assert errors(collector, "stdout") == 1
    assert read(collector).logs[0].messages["stderr", "info"] == 1
    assert read(collector).logs[0].sizes == {"stdout": 13, "stderr": 20}
    collector.close()


def test_lines_from_before_the_first_start_are_history(stage: Stage) -> None:
    stage.set.containers = (
        Container(id=ID, name="web", image="i", state=ContainerState.RUNNING, created_at=1),
    )
    stage.write("ERROR old\n")
    collector = stage.open()
    assert errors(collector) == 0
    stage.write("ERROR new\n")

    assert errors(collector) == 1
    collector.close()


def test_half_a_line_waits_for_its_end(stage: Stage) -> None:
    collector = stage.open()
    line = '{"log":"ERROR no\\n","stream":"stderr","time":"t"}\n'
    stage.path().write_text(line[:20])
    assert errors(collector) == 0
    with stage.path().open("a") as file:
        file.write(line[20:])

    assert errors(collector) == 1
    collector.close()


def test_rotation_loses_nothing_also_when_it_happened_twice(stage: Stage) -> None:
    collector = stage.open()
    stage.write("ERROR 1\n")
    assert errors(collector) == 1
    stage.write("ERROR 2\n")
    stage.rotate()
    stage.write("ERROR 3\n")
    stage.rotate()
    stage.write("ERROR 4\n")

    assert errors(collector) == 4
    assert read(collector).rotations == 2
    collector.close()


def test_a_truncated_file_is_read_from_its_start(stage: Stage) -> None:
    collector = stage.open()
    stage.write("ERROR 1\n", "ERROR 2\n")
    assert errors(collector) == 2
    stage.path().write_text("")
    stage.write("ERROR 3\n")

    assert errors(collector) == 3
    assert read(collector).truncations == 1
    collector.close()


def test_truncation_is_seen_when_the_file_has_outgrown_the_old_place(stage: Stage) -> None:
    collector = stage.open()
    stage.write("ERROR 1\n")
    assert errors(collector) == 1
    stage.path().write_text("")
    stage.write("WARN another first line\n", *["ERROR x\n"] * 5)

    assert errors(collector) == 6
    assert read(collector).truncations == 1
    collector.close()


def test_pieces_of_a_long_message_are_one_message(stage: Stage) -> None:
    collector = stage.open()
    stage.write("ERROR " + "x" * 16378)
    assert errors(collector) == 0
    stage.write("INFO between\n", stream="stdout")
    stage.write("y" * 16384, "z ERROR \n")

    assert errors(collector) == 1
    assert read(collector).partials_joined == 1
    collector.close()


def test_a_piece_may_end_in_the_next_file_and_the_next_process(stage: Stage) -> None:
    first = stage.open()
    stage.write("ERROR " + "x" * 16378)
    read(first)
    first.close()
    stage.rotate()
    stage.write("end\n")
    second = stage.open()

    assert errors(second) == 1
    second.close()


def test_a_restart_counts_no_line_twice_and_none_never(stage: Stage) -> None:
    first = stage.open()
    stage.write("ERROR 1\n", "ERROR 2\n")
    assert errors(first) == 2
    first.close()
    stage.write("ERROR while away\n")
    stage.rotate()
    stage.write("ERROR after rotation\n")
    stage.time.now = 500.0
    second = stage.open()

    assert errors(second) == 4
    second.close()


def test_counters_go_on_under_the_name_when_the_container_is_made_anew(stage: Stage) -> None:
    collector = stage.open()
    stage.write("ERROR 1\n")
    assert errors(collector) == 1
    other = "b" * 64
    stage.set.containers = (
        Container(id=other, name="web", image="i", state=ContainerState.RUNNING, created_at=2000),
    )
    stage.path(container_id=other).write_bytes(stage.path().read_bytes())

    assert errors(collector) == 2
    collector.close()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 99}', "\x00\xff"])
def test_a_broken_state_file_costs_only_the_old_counts(stage: Stage, text: str) -> None:
    stage.state.parent.mkdir()
    stage.state.write_text(text)
    collector = stage.open()
    stage.write("ERROR 1\n")

    assert errors(collector) == 1
    collector.close()


def test_state_is_saved_now_and_then_not_at_every_scrape(stage: Stage) -> None:
    collector = stage.open()
    read(collector)
    assert not stage.state.exists()
    stage.time.now = 11.0
    read(collector)

    assert stage.state.exists()
    collector.close()


def test_a_state_file_that_cannot_be_written_is_a_problem_not_an_end(stage: Stage) -> None:
    stage.state.parent.write_text("a file where a folder should be")
    collector = stage.open()
    stage.time.now = 11.0
    reading = collector.collect(deadline=10**9)

    assert isinstance(reading, Logs)
    assert "cannot be written" in reading.problems[0]
    collector.close()


def test_nonsense_in_the_file_is_dropped_and_counted(stage: Stage) -> None:
    collector = stage.open()
    read(collector)
    stage.path().write_bytes(b'\xff\xfe nonsense\n{"log":1}\n{"log":"x\\n","stream":"other"}\n')
    stage.write("ERROR still counted\n")

    assert errors(collector) == 1
    assert read(collector).lines_dropped == 3
    collector.close()


def test_a_line_without_end_does_not_eat_the_memory(stage: Stage) -> None:
    collector = stage.open()
    stage.path().write_bytes(b"x" * (3 << 20))
    read(collector)

    assert read(collector).lines_dropped >= 1
    assert all(len(file._rest) <= 1 << 20 for file in collector._files.values())
    collector.close()


def test_at_the_deadline_the_rest_waits_and_is_told_as_lag(stage: Stage) -> None:
    collector = stage.open()
    stage.write(*["ERROR x\n"] * 3000)
    reading = collector.collect(deadline=-1)

    assert isinstance(reading, Logs)
    assert reading.logs[0].lag_bytes > 0
    assert errors(collector) == 3000
    assert read(collector).logs[0].lag_bytes == 0
    collector.close()

"""Following json-file logs: rotation, truncation, pieces, restarts. Real files, no engine."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.collectors.jsonlog import JsonLog
from exporter.collectors.logcount import Pattern
from exporter.collectors.logtail import Tail
from exporter.collectors.matcher import PlainFinder
from exporter.collectors.port import Clocks
from exporter.readings import Container, ContainerState, Logs

STARTED_AT = 1000.0
ID = "a" * 64
NEW = Container(
    id=ID, name="web", image="i", state=ContainerState.RUNNING, created_at=STARTED_AT + 1
)


class Stage:
    """A folder of container logs, one clock, and tails that come and go."""

    def __init__(self, tmp_path: Path) -> None:
        self.root = tmp_path / "containers"
        self.state = tmp_path / "state" / "logs.json"
        self.root.mkdir()
        self.now = 0.0
        self.containers = [NEW]

    def open(self, *patterns: Pattern) -> Tail:
        clocks = Clocks(lambda: self.now, lambda: STARTED_AT + self.now)
        found = PlainFinder([pattern.text for pattern in patterns])
        tail = Tail(self.root, self.state, clocks, found, patterns=patterns)
        tail.watch(self.containers)
        return tail

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


def read(tail: Tail) -> Logs:
    tail.round(lambda: True)
    reading = tail.reading()
    assert reading.problems == ()
    return reading


def counts(tail: Tail, stream: str = "stderr") -> dict[str, int]:
    (one,) = read(tail).logs
    return {level: n for (s, level), n in one.messages.items() if s == stream and n}


def errors(tail: Tail, stream: str = "stderr") -> int:
    return counts(tail, stream).get("error", 0)


def leave(tail: Tail) -> None:
    """Stop in order: saved, then closed."""
    assert tail.save(durable=True) == ""
    tail.close()


def test_levels_are_zero_before_the_first_line(stage: Stage) -> None:
    tail = stage.open()

    assert set(read(tail).logs[0].messages.values()) == {0}
    tail.close()


def test_each_new_line_is_counted_once_by_stream_and_level(stage: Stage) -> None:
    tail = stage.open()
    stage.write("ERROR no\n", "INFO yes\n")
    assert errors(tail) == 1
    stage.write("ERROR again\n", stream="stdout")

    assert errors(tail) == 1
    assert errors(tail, "stdout") == 1
    assert counts(tail)["other"] == 1
    assert read(tail).logs[0].size_bytes == stage.path().stat().st_size
    assert read(tail).logs[0].last_message_at == 1795514400
    tail.close()


def test_lines_from_before_the_first_start_are_history(stage: Stage) -> None:
    stage.containers = [replace(NEW, created_at=1)]
    stage.write("ERROR old\n")
    tail = stage.open()
    assert errors(tail) == 0
    stage.write("ERROR new\n")

    assert errors(tail) == 1
    tail.close()


def test_half_a_line_waits_for_its_end(stage: Stage) -> None:
    tail = stage.open()
    line = '{"log":"ERROR no\\n","stream":"stderr","time":"t"}\n'
    stage.path().write_text(line[:20])
    assert errors(tail) == 0
    with stage.path().open("a") as file:
        file.write(line[20:])

    assert errors(tail) == 1
    tail.close()


def test_rotation_loses_nothing_also_when_it_happened_twice(stage: Stage) -> None:
    tail = stage.open()
    stage.write("ERROR 1\n")
    assert errors(tail) == 1
    stage.write("ERROR 2\n")
    stage.rotate()
    stage.write("ERROR 3\n")
    stage.rotate()
    stage.write("ERROR 4\n")

    assert errors(tail) == 4
    assert read(tail).rotations == 2
    tail.close()


def test_a_truncated_file_is_read_from_its_start(stage: Stage) -> None:
    tail = stage.open()
    stage.write("ERROR 1\n", "ERROR 2\n")
    assert errors(tail) == 2
    stage.path().write_text("")
    stage.write("ERROR 3\n")

    assert errors(tail) == 3
    assert read(tail).truncations == 1
    tail.close()


def test_truncation_is_seen_when_the_file_has_outgrown_the_old_place(stage: Stage) -> None:
    tail = stage.open()
    stage.write("ERROR 1\n")
    assert errors(tail) == 1
    stage.path().write_text("")
    stage.write("WARN another first line\n", *["ERROR x\n"] * 5)

    assert errors(tail) == 6
    assert read(tail).truncations == 1
    tail.close()


def test_pieces_of_a_long_message_are_one_message(stage: Stage) -> None:
    tail = stage.open()
    stage.write("ERROR " + "x" * 16378)
    assert errors(tail) == 0
    stage.write("INFO between\n", stream="stdout")
    stage.write("y" * 16384, "z ERROR \n")

    assert errors(tail) == 1
    assert read(tail).partials_joined == 1
    tail.close()


def test_a_piece_may_end_in_the_next_file_and_the_next_process(stage: Stage) -> None:
    first = stage.open()
    stage.write("ERROR " + "x" * 16378)
    read(first)
    leave(first)
    stage.rotate()
    stage.write("end\n")
    second = stage.open()

    assert errors(second) == 1
    second.close()


def test_a_restart_counts_no_line_twice_and_none_never(stage: Stage) -> None:
    first = stage.open()
    stage.write("ERROR 1\n", "ERROR 2\n")
    assert errors(first) == 2
    leave(first)
    stage.write("ERROR while away\n")
    stage.rotate()
    stage.write("ERROR after rotation\n")
    stage.now = 500.0
    second = stage.open()

    assert errors(second) == 4
    second.close()


def test_counters_go_on_under_the_name_when_the_container_is_made_anew(stage: Stage) -> None:
    tail = stage.open()
    stage.write("ERROR 1\n")
    assert errors(tail) == 1
    other = "b" * 64
    tail.watch([replace(NEW, id=other)])
    stage.path(container_id=other).write_bytes(stage.path().read_bytes())

    assert errors(tail) == 2
    tail.close()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 99}', "\x00\xff"])
def test_a_broken_state_file_costs_only_the_old_counts(stage: Stage, text: str) -> None:
    stage.state.parent.mkdir()
    stage.state.write_text(text)
    tail = stage.open()
    stage.write("ERROR 1\n")

    assert errors(tail) == 1
    tail.close()


def test_a_state_file_that_cannot_be_written_is_told(stage: Stage) -> None:
    stage.state.parent.write_text("a file where a folder should be")
    tail = stage.open()

    assert "cannot be written" in tail.save(durable=False)
    tail.close()


def test_nonsense_in_the_file_is_dropped_and_counted(stage: Stage) -> None:
    tail = stage.open()
    read(tail)
    stage.path().write_bytes(b'\xff\xfe nonsense\n{"log":1}\n{"log":"x\\n","stream":"other"}\n')
    stage.write("ERROR still counted\n")

    assert errors(tail) == 1
    assert read(tail).lines_dropped == {"nonsense": 3}
    tail.close()


def test_a_line_without_end_does_not_eat_the_memory(stage: Stage) -> None:
    tail = stage.open()
    stage.path().write_bytes(b"x" * (3 << 20))
    read(tail)

    assert read(tail).lines_dropped == {"too_long": 1}
    (log,) = tail._logs.values()
    assert isinstance(log, JsonLog)
    assert len(log._rest) <= 1 << 20
    with stage.path().open("a") as file:
        file.write("end of it\n")
    stage.write("ERROR after it\n")
    assert errors(tail) == 1
    tail.close()


def test_without_time_the_rest_waits_and_is_told_as_lag(stage: Stage) -> None:
    tail = stage.open()
    stage.write(*["ERROR x\n"] * 3000)
    tail.round(lambda: False)

    assert tail.reading().logs[0].lag_bytes > 0
    assert errors(tail) == 3000
    assert read(tail).logs[0].lag_bytes == 0
    tail.close()


def test_where_a_log_is_read_is_told_once_it_has_been_looked_at(stage: Stage) -> None:
    tail = stage.open()
    before = tail.reading().logs[0].source

    assert (before, read(tail).logs[0].source) == ("", "json_file")
    tail.close()


def test_what_was_rotated_away_unseen_is_a_gap_not_a_guess(stage: Stage) -> None:
    first = stage.open()
    stage.write("ERROR 1\n")
    read(first)
    leave(first)
    stage.rotate()
    stage.write("ERROR 2\n")
    stage.rotate()
    stage.path(".2").unlink()
    second = stage.open()

    assert errors(second) == 2
    assert read(second).lines_dropped == {"rotated_away": 1}
    second.close()


def test_a_file_that_is_held_may_be_removed_before_it_is_read(stage: Stage) -> None:
    tail = stage.open()
    stage.write("ERROR 1\n")
    tail.round(lambda: False)
    stage.write(*["ERROR 2\n"] * 2000)
    stage.rotate()
    stage.write("ERROR 3\n")
    tail.round(lambda: False)  # sees the new file, reads one block of the old one
    stage.path(".1").unlink()

    assert errors(tail) == 2002
    assert read(tail).lines_dropped == {}
    tail.close()


def test_another_file_under_the_same_inode_is_not_the_old_one(stage: Stage) -> None:
    first = stage.open()
    stage.write("ERROR 1\n", "ERROR 2\n")
    read(first)
    leave(first)
    inode = stage.path().stat().st_ino
    stage.path().write_text("")
    stage.write(*["WARN quite another text here\n"] * 4)
    assert stage.path().stat().st_ino == inode
    second = stage.open()

    assert counts(second) == {"error": 2, "warning": 4}
    second.close()


def test_killed_after_a_save_everything_since_is_counted_again_from_there(stage: Stage) -> None:
    first = stage.open()
    stage.write("ERROR 1\n", "ERROR " + "x" * 16378)
    read(first)
    first.save(durable=False)
    stage.write("ERROR 2\n")
    stage.rotate()
    stage.write("ERROR 3\n")
    read(first)
    first.close()  # no save: as if killed
    second = stage.open()

    assert errors(second) == 3  # the long one and "2" are one message
    assert read(second).rotations == 1
    second.close()


def test_configured_patterns_are_counted_in_messages_only(stage: Stage) -> None:
    tail = stage.open(
        Pattern("pool", b"pool exhausted"),
        Pattern("slow", b"took ", re.compile(r"took \d{4,} ms <")),
        Pattern("wrapper", b"stderr"),
    )
    stage.write("INFO pool exhausted, pool exhausted\n", "took 12 ms <\n", "took 1200 ms <\n")
    stage.write("y" * 16384, "pool exhausted\n")

    assert read(tail).logs[0].matches == {"pool": 2, "slow": 1, "wrapper": 0}
    tail.close()


def test_the_last_words_of_a_container_need_no_newline(stage: Stage) -> None:
    tail = stage.open()
    stage.write("ERROR cut off")
    stage.write("INFO a new start\n")

    assert counts(tail) == {"error": 1, "other": 1}
    tail.close()

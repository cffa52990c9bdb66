"""Counting a container's log by level: with and without hyperscan, beside grep and mtail.

The log is of a backend as docker writes it: accesses on stdout, the program's own lines on
stderr, one line in thirty with a level that somebody acts on. Everything is in the page cache.
grep counts one word and no lines, streams or events; mtail has three rules, as its users write
them. CPU time of the whole process each.
"""

import os
import random
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.peers import peer
from bench.rows import Better, Row, at_least, median
from exporter.collectors.logtail import Tail
from exporter.collectors.matcher import FastFinder, Finder, PlainFinder
from exporter.collectors.port import Clocks
from exporter.readings import Container, ContainerState

ID = "c" * 64
CONTAINER = Container(
    id=ID, name="backend", image="app", state=ContainerState.RUNNING, created_at=9e9
)
# mtail takes seconds for what others do at once.
MTAIL_BYTES = 8_000_000
RULES = """
counter log_messages by level
/\\b(CRITICAL|FATAL)\\b/ {
  log_messages["critical"]++
}
/\\bERROR\\b/ {
  log_messages["error"]++
}
/\\bWARN(ING)?\\b/ {
  log_messages["warning"]++
}
"""


@dataclass(frozen=True, slots=True)
class Stage:
    folder: Path
    log: Path
    size: int
    rounds: int

    def per_cpu_second(self, work: Callable[[], float], size: int) -> float:
        """MB a CPU-second. work: does it once and tells its CPU seconds."""
        return size / 1e6 / median([work() for _ in range(self.rounds)])


def run(quick: bool) -> list[Row]:
    size, rounds = (40_000_000, 3) if quick else (200_000_000, 5)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = folder / ID / f"{ID}-json.log"
        log.parent.mkdir()
        write(log, size)
        stage = Stage(folder, log, log.stat().st_size, rounds)
        grep, mtail = by_grep(stage), by_mtail(stage)
        rows = of(stage, "pure Python", PlainFinder(), bar=200, mtail=mtail, grep=grep)
        with suppress(ImportError):
            rows += of(stage, "with hyperscan", FastFinder(), bar=900, mtail=mtail, grep=grep)
        return rows


def of(
    stage: Stage, how: str, finder: Finder, *, bar: float, mtail: float | None, grep: float
) -> list[Row]:
    ours = stage.per_cpu_second(lambda: by_tail(stage, finder), stage.size)
    found = stage.per_cpu_second(lambda: by_finder(stage, finder), stage.size)
    unit = "MB/CPU-s"
    return [
        Row(
            f"logs: every line counted by stream and level, {how}",
            ours,
            unit,
            mtail,
            "mtail, three rules",
            at_least(bar),
            Better.MORE,
        ),
        Row(
            f"logs: the lines with any of seven words found, {how}",
            found,
            unit,
            grep,
            "grep -ci error",
            better=Better.MORE,
        ),
    ]


def by_tail(stage: Stage, finder: Finder) -> float:
    """The exporter's own reading, from the file to the counters."""
    clocks = Clocks(time.monotonic, time.time)
    tail = Tail(stage.folder, stage.folder / "state.json", clocks, finder)
    tail.watch([CONTAINER])
    began = time.process_time()
    tail.round(lambda: True)
    took = time.process_time() - began
    (counted,) = tail.reading().logs
    tail.close()
    if counted.size_bytes != stage.size:
        raise RuntimeError(f"read {counted.size_bytes} of {stage.size} bytes")
    return took


def by_finder(stage: Stage, finder: Finder) -> float:
    """What grep does: read, search, count."""
    began = time.process_time()
    with stage.log.open("rb", buffering=0) as file:
        while block := file.read(65536):
            len(finder.lines(block))
    return time.process_time() - began


def by_grep(stage: Stage) -> float:
    command = ["grep", "-ci", "error", str(stage.log)]
    return stage.per_cpu_second(lambda: of_child(command), stage.size)


def by_mtail(stage: Stage) -> float | None:
    program = peer("mtail")
    if program is None:
        return None
    (stage.folder / "rules.mtail").write_text(RULES)
    part = stage.folder / "part.log"
    with stage.log.open("rb") as whole:
        text = whole.read(MTAIL_BYTES)
    part.write_bytes(text[: text.rfind(b"\n") + 1])
    command = [str(program), "--one_shot", "--progs", str(stage.folder / "rules.mtail")]
    command += ["--logs", str(part), "--address", "127.0.0.1", "--port", "0"]
    # Less what it takes for an empty log.
    empty = stage.folder / "empty.log"
    empty.touch()
    idle = of_child([*command[:5], str(empty), *command[6:]])
    return stage.per_cpu_second(lambda: max(0.001, of_child(command) - idle), part.stat().st_size)


def of_child(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        command,
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,  # into /dev/null grep would stop at the first match
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def write(log: Path, size: int) -> None:
    """Fill the file: a tenth is made, the rest repeats it."""
    part = size // 10
    lines: list[str] = []
    left = part
    for line in made():
        lines.append(line)
        left -= len(line)
        if left <= 0:
            break
    block = "".join(lines).encode()
    with log.open("wb") as file:
        for _ in range(10):
            file.write(block)


def made() -> Iterator[str]:
    dice = random.Random(7)  # noqa: S311  the same log each time
    number = 0
    while True:
        number += 1
        clock = f"{number // 6000 % 24:02d}:{number // 100 % 60:02d}:{number % 60:02d}"
        time_of = f"2026-11-24T{clock}.{dice.randrange(10**9):09d}Z"
        for stream, text in event(dice, f"2026-11-24 {clock},{number % 1000:03d}", clock):
            yield f'{{"log":"{text}\\n","stream":"{stream}","time":"{time_of}"}}\n'


def event(dice: random.Random, at: str, clock: str) -> list[tuple[str, str]]:
    """The lines of one event, escaped as the engine does."""
    chance, number = dice.random(), dice.randrange(100_000)
    if chance < 0.6:  # noqa: PLR2004  shares of a backend's log
        address = ".".join(str(dice.randrange(256)) for _ in range(4))
        request = f'\\"GET /api/lessons/{number}?page={number % 30} HTTP/1.1\\" 200 {number}'
        agent = '\\"Mozilla/5.0 (X11; Linux x86_64; rv:128.0)\\"'
        return [("stdout", f"{address} - - [24/Nov/2026:{clock} +0000] {request} {agent}")]
    if chance < 0.96:  # noqa: PLR2004
        words = f"request_id={dice.getrandbits(128):032x} user={number} lesson from cache"
        return [("stderr", f"{at} INFO app.lessons {words} in {number / 1000:.2f} ms")]
    if chance < 0.97:  # noqa: PLR2004
        return [("stderr", f"{at} INFO app.jobs {number} lessons sent with 0 errors")]
    if chance < 0.985:  # noqa: PLR2004
        return [("stderr", f"{at} WARNING app.db query took {number} ms")]
    if chance < 0.999:  # noqa: PLR2004
        return [("stderr", f"{at} ERROR app.api request {number} failed: no connection to 'redis'")]
    traceback = ["Traceback (most recent call last):", '  File \\"app.py\\", line 7, in get']
    lines = [f"{at} CRITICAL app.main {number} is broken", *traceback, "KeyError: 'lesson'"]
    return [("stderr", line) for line in lines]

"""Logs of real containers through rotation, truncation and kill -9: each line counted once.

What is expected is what the container says it wrote, in its last line.
"""

import os
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.exporter_stage import (
    ENGINE,
    Metrics,
    container,
    docker,
    eventually,
    needs_docker,
    random_project,
    served,
)
from tests.unit.exporter.running import Running, running

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = needs_docker

IMAGE = os.environ.get("PYTHON_IMAGE", "stackmedic-demo/python:3.11")
# Errors on stderr, all else on stdout; at the end how many of each there were.
WRITER = """
import os, sys, time
rate, size, seconds = (int(word) for word in sys.argv[1:])
while not os.path.exists("/tmp/go"):
    time.sleep(0.02)
errors = others = 0
began = time.monotonic()
while (now := time.monotonic() - began) < seconds:
    while errors + others < now * rate:
        if (errors + others) % 10:
            sys.stdout.write("INFO %d %s\\n" % (others, "x" * size)); others += 1
        else:
            sys.stderr.write("ERROR %d %s\\n" % (errors, "x" * size)); errors += 1
    sys.stdout.flush()
    time.sleep(0.001)
print("wrote", errors, others + 1, flush=True)
while True:
    time.sleep(1)
"""


@pytest.fixture
def log_root() -> Path:
    root = Path(docker("info", "-f", "{{.DockerRootDir}}")) / "containers"
    if not os.access(root, os.R_OK | os.X_OK):
        pytest.skip(f"{root} can only be read by root")
    return root


@pytest.fixture
def project() -> str:
    return random_project()


def config(project: str, log_root: Path, folder: Path, extra: str = "") -> str:
    return f"""
docker: {{url: "{ENGINE}", projects: [{project}]}}
logs: {{root: "{log_root}", state_file: "{folder}/state/logs.json"{extra}}}
"""


@contextmanager
def writer(
    project: str, *arguments: str, driver: str = "json-file", **log_options: str
) -> "Iterator[str]":
    options = ["--memory", "128m", "--log-driver", driver]
    for key, value in log_options.items():
        options += ["--log-opt", f"{key.replace('_', '-')}={value}"]
    with container(
        IMAGE, *arguments, project=project, service="web", options=tuple(options)
    ) as name:
        yield name


def wrote(name: str) -> tuple[int, int] | None:
    """(errors, others), once the container has said so."""
    words = docker("logs", "--tail", "1", name).split()
    return (int(words[1]), int(words[2])) if words[:1] == ["wrote"] else None


def counted(metrics: Metrics, name: str) -> tuple[int, int]:
    errors = metrics.one("container_log_messages_total", name=name, stream="stderr", level="error")
    others = metrics.one("container_log_messages_total", name=name, stream="stdout", level="other")
    return int(errors or 0), int(others or 0)


def dropped(metrics: Metrics) -> dict[str, int]:
    found = metrics.all("container_log_lines_dropped_total")
    return {dict(labels)["reason"]: int(value) for labels, value in found.items() if value}


def go(name: str, ready: Callable[[], bool]) -> None:
    eventually(ready)
    docker("exec", name, "touch", "/tmp/go")


def test_a_thousand_lines_of_40_kib_a_second_through_rotations(
    project: str, log_root: Path, tmp_path: Path
) -> None:
    arguments = ("python3", "-c", WRITER, "1000", "40960", "4")
    with (
        served(config(project, log_root, tmp_path)) as exporter,
        writer(project, *arguments, max_size="20m", max_file="3") as name,
    ):
        go(name, lambda: counted(exporter.metrics(), name) == (0, 0))
        eventually(lambda: wrote(name), within_seconds=60)
        expected = wrote(name)

        eventually(lambda: counted(exporter.metrics(), name) == expected)
        metrics = exporter.metrics()
        assert dropped(metrics) == {}
        assert metrics.one("container_log_rotations_total")
        assert expected is not None
        # All are longer than a piece, but the last one.
        assert metrics.one("container_log_partials_joined_total") == sum(expected) - 1
        assert metrics.one("container_log_read_lag_bytes", name=name) == 0


def test_killed_between_rotations_and_started_again(
    project: str, log_root: Path, tmp_path: Path
) -> None:
    arguments = ("python3", "-c", WRITER, "300", "6000", "9")
    text = config(project, log_root, tmp_path)

    def metrics(exporter: Running) -> Metrics:
        return Metrics(exporter.ask("/metrics?collect[]=logs")[1])

    # So many files that none is deleted, however long a start takes.
    with writer(project, *arguments, max_size="2m", max_file="12") as name:
        before, rotations = (0, 0), 0.0
        for kill in range(3):
            with running(tmp_path, text) as exporter:
                eventually(lambda e=exporter: metrics(e).all("container_log_messages_total"))  # type: ignore[misc]
                first = counted(metrics(exporter), name)
                # What has been told is never taken back.
                assert first >= before, first
                if kill == 0:
                    docker("exec", name, "touch", "/tmp/go")
                if kill < 2:
                    eventually(lambda e=exporter, r=rotations: rotated(metrics(e)) > r)  # type: ignore[misc]
                    before, rotations = counted(metrics(exporter), name), rotated(metrics(exporter))
                    exporter.process.kill()
                    exporter.process.wait()
                    continue
                eventually(lambda: wrote(name))
                expected = wrote(name)
                eventually(lambda e=exporter, x=expected: counted(metrics(e), name) == x)  # type: ignore[misc]
                assert dropped(metrics(exporter)) == {}


def rotated(metrics: Metrics) -> float:
    return metrics.one("container_log_rotations_total") or 0


def test_a_log_of_one_file_goes_on_in_the_next(
    project: str, log_root: Path, tmp_path: Path
) -> None:
    arguments = ("python3", "-c", WRITER, "100", "1000", "3")
    with (
        served(config(project, log_root, tmp_path)) as exporter,
        writer(project, *arguments, max_size="100k", max_file="1") as name,
    ):
        go(name, lambda: counted(exporter.metrics(), name) == (0, 0))
        eventually(lambda: wrote(name))
        expected = wrote(name)
        eventually(lambda: counted(exporter.metrics(), name) == expected)

        metrics = exporter.metrics()
        # Engines differ: some cut the file, some keep one old file beside it.
        assert rotated(metrics) + (metrics.one("container_log_truncations_total") or 0)
        assert dropped(metrics) == {}


ON_REQUEST = (
    "while :; do [ -f /tmp/go ] && { rm /tmp/go; echo 'ERROR some words' >&2; }; sleep 0.05; done"
)


def test_a_file_that_an_operator_cut_to_nothing_is_read_on(
    project: str, log_root: Path, tmp_path: Path
) -> None:
    with (
        served(config(project, log_root, tmp_path)) as exporter,
        writer(project, "sh", "-c", ON_REQUEST) as name,
    ):
        go(name, lambda: counted(exporter.metrics(), name) == (0, 0))
        eventually(lambda: counted(exporter.metrics(), name) == (1, 0))
        os.truncate(docker("inspect", "-f", "{{.LogPath}}", name), 0)
        docker("exec", name, "touch", "/tmp/go")

        eventually(lambda: counted(exporter.metrics(), name) == (2, 0))
        assert exporter.metrics().one("container_log_truncations_total") == 1


ODD = (
    "import sys, time; out = sys.stdout.buffer;"
    r"out.write(b'ERROR \xff\xfe odd\nWARNING \x00 nul\n\x00\x00\n\tERROR indented\n<b>&\n');"
    "out.flush(); time.sleep(600)"
)


@pytest.mark.parametrize(("driver", "extra"), [("json-file", ""), ("local", ", ask_engine: true")])
def test_bytes_that_are_no_text_through_the_file_and_through_the_engine(
    project: str, log_root: Path, tmp_path: Path, driver: str, extra: str
) -> None:
    with (
        served(config(project, log_root, tmp_path, extra)) as exporter,
        writer(project, "python3", "-c", ODD, driver=driver) as name,
    ):

        def found() -> dict[str, float]:
            series = exporter.metrics().all("container_log_messages_total", name=name)
            return {dict(k)["level"]: v for k, v in series.items() if ("stream", "stdout") in k}

        expected = {"critical": 0, "error": 1, "warning": 1, "other": 3}
        eventually(lambda: found() == expected)
        assert dropped(exporter.metrics()) == {}

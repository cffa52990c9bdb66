"""The engine's statistics: its documents, and asking for them."""

import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import pytest
from typing_extensions import override

from exporter.collectors.inspection import told_by
from exporter.collectors.port import Clocks
from exporter.collectors.stats_api import EngineStats
from exporter.collectors.stats_document import interfaces_of, usage_of
from exporter.readings import (
    Cause,
    Container,
    ContainerState,
    Health,
    Interface,
    Unreachable,
    Usage,
)
from exporter.readings.cgroups import DeviceIO
from tests.http_fakes import served as http_served

CLOCKS = Clocks(time.monotonic, time.time)
FOREVER = 30.0
CPU = {
    "cpu_usage": {
        "total_usage": 1_500_000_000,
        "usage_in_kernelmode": 500_000_000,
        "usage_in_usermode": 1_000_000_000,
    },
    "throttling_data": {"periods": 7, "throttled_periods": 3, "throttled_time": 2_500_000_000},
}
V1 = {
    "cpu_stats": CPU,
    "memory_stats": {
        "usage": 1000,
        "max_usage": 2000,
        "stats": {
            "cache": 1,
            "total_cache": 300,
            "total_rss": 600,
            "total_mapped_file": 20,
            "total_swap": 5,
            "total_inactive_file": 250,
            "total_pgfault": 70,
            "total_pgmajfault": 2,
        },
    },
    "pids_stats": {"current": 4},
    "blkio_stats": {
        "io_service_bytes_recursive": [
            {"major": 8, "minor": 0, "op": "Read", "value": 4096},
            {"major": 8, "minor": 0, "op": "Write", "value": 8192},
            {"major": 8, "minor": 0, "op": "Total", "value": 12288},
        ],
        "io_serviced_recursive": [{"major": 8, "minor": 0, "op": "Read", "value": 1}],
    },
    "networks": {
        "eth0": {
            "rx_bytes": 1380,
            "rx_packets": 19,
            "rx_errors": 1,
            "rx_dropped": 2,
            "tx_bytes": 586,
            "tx_packets": 7,
            "tx_errors": 3,
            "tx_dropped": 4,
        }
    },
}
V2 = {
    "cpu_stats": CPU,
    "memory_stats": {
        "usage": 1000,
        "stats": {
            "anon": 600,
            "file": 300,
            "file_mapped": 20,
            "inactive_file": 250,
            "pgfault": 70,
            "pgmajfault": 2,
        },
    },
    "pids_stats": {"current": 4},
    "blkio_stats": {
        "io_service_bytes_recursive": [
            {"major": 8, "minor": 0, "op": "read", "value": 4096},
            {"major": 8, "minor": 0, "op": "write", "value": 8192},
        ],
        "io_serviced_recursive": None,
    },
}
BOTH = Usage(
    cpu_seconds=1.5,
    cpu_user_seconds=1.0,
    cpu_system_seconds=0.5,
    cfs_periods=7,
    cfs_throttled_periods=3,
    cfs_throttled_seconds=2.5,
    memory_bytes=1000,
    working_set_bytes=750,
    rss_bytes=600,
    cache_bytes=300,
    mapped_file_bytes=20,
    page_faults=70,
    major_page_faults=2,
    processes=4,
)


def name_of(number: str) -> str:
    return f"disk {number}"


def test_a_document_of_cgroup_v1() -> None:
    # A failcnt of 0 is left out by the engine.
    expected = BOTH._replace(
        max_usage_bytes=2000,
        limit_hits=0,
        swap_bytes=5,
        devices=(DeviceIO("disk 8:0", 4096, 8192, 1, 0),),
    )

    assert usage_of(V1, name_of) == expected


def test_a_document_of_cgroup_v2_says_less() -> None:
    assert usage_of(V2, name_of) == BOTH._replace(devices=(DeviceIO("disk 8:0", 4096, 8192),))


def test_an_empty_document_says_nothing() -> None:
    assert usage_of({}, name_of) == Usage()
    assert interfaces_of({"networks": None}) == ()


def test_interfaces() -> None:
    assert interfaces_of(V1) == (Interface("eth0", (1380, 19, 1, 2), (586, 7, 3, 4)),)


def running(letter: str) -> Container:
    return Container(letter * 64, letter, "i", ContainerState.RUNNING)


A, B = running("a"), running("b")


@contextmanager
def engine(
    answers: Mapping[str, tuple[int, str]], asked: list[str], go: threading.Event | None = None
) -> Iterator[str]:
    """tcp:// of one that answers by container, when told to go if there is a go."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            container_id = self.path.split("/")[2]
            asked.append(container_id)
            if go is not None:
                go.wait(FOREVER)
            status, body = answers[container_id]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        @override
        def log_message(self, *arguments: object) -> None: ...

    with http_served(Handler) as url:
        yield url.replace("http://", "tcp://")


def ask(url: str, *containers: Container, seconds: float = FOREVER) -> object:
    return EngineStats(url, CLOCKS).of(containers, CLOCKS.monotonic() + seconds)


def test_all_are_asked_and_one_that_is_gone_is_left_out() -> None:
    asked: list[str] = []
    with engine({A.id: (200, json.dumps(V1)), B.id: (404, "gone")}, asked) as url:
        assert ask(url, A, B) == {A.id: V1}
    assert sorted(asked) == [A.id, B.id]


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        ((403, "refused by engine-ro"), Cause.REFUSED),
        ((500, "{}"), Cause.REFUSED),
        ((200, "no json"), Cause.PROTOCOL),
        ((200, "[]"), Cause.PROTOCOL),
    ],
)
def test_an_answer_that_is_none_is_told_with_its_cause(
    answer: tuple[int, str], cause: Cause
) -> None:
    with engine({A.id: answer}, []) as url:
        reading = ask(url, A)

    assert isinstance(reading, Unreachable)
    assert reading.cause is cause


def test_nobody_there_and_nobody_who_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        late = ask(url, A, B, seconds=0.1)
    away = ask(url, A)

    assert isinstance(late, Unreachable)
    assert (late.cause, "0 of 2" in late.detail) == (Cause.TIMEOUT, True)
    assert isinstance(away, Unreachable)
    assert away.cause is Cause.CONNECT


def test_two_that_ask_at_once_share_the_answers() -> None:
    asked: list[str] = []
    go, second_came = threading.Event(), threading.Event()

    def clock() -> float:
        # The second asks for the time first of all, and takes it for when it came.
        now = time.monotonic()
        if threading.current_thread().name == "second":
            second_came.set()
        return now

    with engine({A.id: (200, "{}")}, asked, go) as url:
        stats = EngineStats(url, Clocks(clock, time.time))
        answers: list[object] = []
        threads = [
            threading.Thread(
                target=lambda: answers.append(stats.of([A], time.monotonic() + FOREVER)), name=name
            )
            for name in ("first", "second")
        ]
        threads[0].start()
        while not asked:
            go.wait(0.01)
        threads[1].start()
        assert second_came.wait(FOREVER)
        go.set()
        for thread in threads:
            thread.join()

    assert answers == [{A.id: {}}] * 2
    assert asked == [A.id]


LISTED = {"State": "running", "Names": ["/web"], "Status": "Up 2 minutes"}


@pytest.mark.parametrize(
    ("listed", "known", "told"),
    [
        ({}, {}, True),
        ({"State": "exited"}, {}, False),
        ({"Names": ["/other"]}, {}, False),
        ({"Names": ["/0123456789ab_web"]}, {}, True),
        ({"Names": None, "Status": None}, {}, False),
        # The streak of a health check grows without an event.
        ({"Status": "Up 2 minutes (unhealthy)"}, {"health": Health.UNHEALTHY}, False),
        ({"Status": "Up 2 minutes (health: starting)"}, {}, False),
        ({"State": "paused", "Status": "Up (Paused)"}, {"state": ContainerState.PAUSED}, True),
    ],
)
def test_what_the_list_leaves_to_ask(
    listed: dict[str, object], known: dict[str, object], *, told: bool
) -> None:
    fields = {"id": "c", "name": "web", "image": "i", "state": ContainerState.RUNNING, **known}

    assert told_by({**LISTED, **listed}, Container(**fields)) is told  # type: ignore[arg-type]

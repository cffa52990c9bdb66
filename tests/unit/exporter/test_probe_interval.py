"""Probes on an interval of their own, against a server that counts what it is asked."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from exporter.collectors.port import Clocks
from exporter.collectors.probe_interval import IntervalProbe
from exporter.families import probes
from exporter.readings import Cause, Probe, ProbeFailure, Unreachable
from exporter.targets import ProbeTarget

WALL = 1_700_000_000.0


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = threading.Semaphore(0)
        self.answers = threading.Event()
        self.answers.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.release()
        self.server.answers.wait(30)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.answers.set()
        made.shutdown()
        thread.join(5)


@contextmanager
def probing(
    url: str, interval: float, *, late: list[float] | None = None
) -> Iterator[IntervalProbe]:
    """late: its sum is added to the clock."""
    target = ProbeTarget("t", url, "s", timeout=20.0, interval=interval)
    clocks = Clocks(lambda: time.monotonic() + sum(late or ()), lambda: WALL)
    collector = IntervalProbe(target, interval, clocks)
    try:
        yield collector
    finally:
        collector.close()
        collector._thread.join(5)
        assert not collector._thread.is_alive()


def shown(collector: IntervalProbe, patience: float = 20.0) -> Probe:
    reading = collector.collect(time.monotonic() + patience)
    assert isinstance(reading, Probe)
    return reading


def test_probes_go_on_while_nobody_scrapes(server: Server) -> None:
    with probing(server.url, 0.01) as collector:
        for _ in range(4):
            assert server.asked.acquire(timeout=20)
        reading = shown(collector)

    assert reading.failure is None
    assert reading.attempts >= 3
    assert reading.durations.below[-1] == reading.attempts


def test_scrapes_between_two_probes_show_the_same_one_with_its_time(server: Server) -> None:
    with probing(server.url, 300) as collector:
        first, second = shown(collector), shown(collector)

    assert first is second
    assert (first.attempts, first.probed_at) == (1, WALL)
    told = probes.families(ProbeTarget("t", server.url, "s"), first)
    assert [f.samples for f in told if f.metric is probes.PROBED_AT] == [((("t", "s", ""), WALL),)]


def test_only_the_first_result_is_waited_for_and_only_until_the_deadline(server: Server) -> None:
    server.answers.clear()
    with probing(server.url, 300) as collector:
        assert not collector.instant()
        reading = collector.collect(time.monotonic() + 0.01)
        server.answers.set()
        assert shown(collector).failure is None
        assert collector.instant()

    assert isinstance(reading, Unreachable)
    assert reading.cause is Cause.DEADLINE


def test_a_result_that_is_older_than_any_can_be_is_none(server: Server) -> None:
    late: list[float] = []
    with probing(server.url, 300, late=late) as collector:
        shown(collector)
        late.append(2 * 300 + 20 + 1.0)
        reading = collector.collect(time.monotonic())

    assert isinstance(reading, Unreachable)
    assert reading.cause is Cause.DEADLINE


def test_a_probe_that_is_asked_for_by_name_is_made_at_once_and_not_counted(server: Server) -> None:
    with probing(server.url, 300) as collector:
        shown(collector)
        assert collector.probe(None, time.monotonic() + 20).failure is None
        assert len(collector.history.results()) == 2
        assert shown(collector).attempts == 1


def test_closing_ends_the_probe_that_is_under_way(server: Server) -> None:
    server.answers.clear()
    with probing(server.url, 300):
        assert server.asked.acquire(timeout=20)


def test_a_bug_is_told_and_the_next_probe_is_made_all_the_same(server: Server) -> None:
    with probing(server.url, 0.01) as collector:
        working = collector._prober.collect
        collector._prober.collect = broken  # type: ignore[method-assign]
        while not isinstance(found := collector.collect(time.monotonic() + 20), Unreachable):
            pass
        collector._prober.collect = working  # type: ignore[method-assign]
        while isinstance(collector.collect(time.monotonic() + 20), Unreachable):
            pass

    assert (found.cause, found.detail) == (Cause.BUG, "ZeroDivisionError: x")


def broken(_: float) -> Probe:
    raise ZeroDivisionError("x")


def test_a_failed_probe_is_a_result_like_any_other() -> None:
    with probing("http://127.0.0.1:1/", 300) as collector:
        assert shown(collector).failure is ProbeFailure.CONNECT

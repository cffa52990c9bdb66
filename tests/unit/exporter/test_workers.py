"""Threads are kept, and never make a task wait."""

import threading
from collections.abc import Iterator

import pytest

from exporter.workers import Workers


@pytest.fixture
def workers() -> Iterator[Workers]:
    kept = Workers("test")
    yield kept
    kept.close()


def idle(workers: Workers, number: int) -> None:
    """Until so many threads wait for a task."""
    end = threading.Event()
    for _ in range(1000):
        if workers._idle == number:
            return
        end.wait(0.01)
    raise AssertionError(workers._idle)


def test_a_thread_is_used_again(workers: Workers) -> None:
    seen = []
    for _ in range(5):
        workers.run(lambda: seen.append(threading.get_ident()))
        idle(workers, 1)

    assert len(seen) == 5
    assert len(set(seen)) == 1


def test_a_task_that_never_ends_delays_no_other(workers: Workers) -> None:
    gate, done = threading.Event(), threading.Event()
    workers.run(lambda: gate.wait(10) and None)
    workers.run(done.set)

    assert done.wait(5)
    gate.set()
    idle(workers, 2)


def test_closing_ends_the_idle_and_the_busy() -> None:
    workers = Workers("closing")
    gate = threading.Event()
    workers.run(lambda: None)
    idle(workers, 1)
    workers.run(lambda: gate.wait(10) and None)
    workers.run(lambda: None)
    idle(workers, 1)
    workers.close()
    gate.set()

    for thread in threading.enumerate():
        if thread.name == "closing":
            thread.join(5)
            assert not thread.is_alive()

"""Threads that are kept for the next task.

Rule: a task never waits for another one: when all threads are busy, one more is started. Who
hands in tasks bounds them. The threads are daemons: a target that never answers must not keep
the process from ending.
"""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

Task = Callable[[], None]
T = TypeVar("T")


class Workers:
    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()  # guards what follows
        self._idle = 0
        self._closed = False
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()

    def run(self, task: Task) -> None:
        """Have the task done by a thread of its own. It must not raise."""
        with self._lock:
            if self._idle:
                self._idle -= 1
                self._tasks.put(task)
                return
        threading.Thread(target=self._live, args=(task,), name=self._name, daemon=True).start()

    def close(self) -> None:
        """Let idle threads end; a busy one ends after its task."""
        with self._lock:
            self._closed = True
            for _ in range(self._idle):
                self._tasks.put(None)
            self._idle = 0

    def _live(self, task: Task | None) -> None:
        while task is not None:
            task()
            with self._lock:
                if self._closed:
                    return
                self._idle += 1
            task = self._tasks.get()


def tried(call: Callable[[], T]) -> T | Exception:
    """The edge of every collector: its bug must stay its own."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001  see above
        return error

"""Switches that break this program on purpose.

A fault is on
- while the file /tmp/faults/NAME is there (any role; it outlives a restart of the container);
- from the start on, when the variable FAULTS names it, separated by commas;
- from POST /admin/break on until {"off": true} or the end of the process; `crash_loop` becomes
  a file, for it has to outlive the process.

Rule: the switch sets off the real thing: real memory, real load, real errors.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

log = logging.getLogger(__name__)

FAULTS = (
    "crash",
    "crash_loop",
    "not_ready",
    "slow",
    "error_logs",
    "cpu_burn",
    "memory_leak",
    "stuck_task",
)
FOLDER = Path("/tmp/faults")  # noqa: S108 - in the container's own layer
SLOW_SECONDS = 2.0
LOOK_SECONDS = 0.2
LEAK_BYTES = 8 * 1024 * 1024


class Faults:
    """Which faults are on, and the thread that acts on those that need no request."""

    def __init__(self, query_that_fails: Callable[[], object]) -> None:
        self._on: set[str] = set()
        self._hoard: list[bytearray] = []
        self._query_that_fails = query_that_fails
        FOLDER.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        for name in filter(None, os.environ.get("FAULTS", "").split(",")):
            self.switch(name, on=True)
        threading.Thread(target=self._act_for_ever, name="faults", daemon=True).start()

    def active(self, name: str) -> bool:
        return name in self._on or (FOLDER / name).exists()

    def switch(self, name: str, *, on: bool) -> None:
        """Errors: ValueError for an unknown fault."""
        if name not in FAULTS:
            raise ValueError(f"unknown fault {name!r}; there are {', '.join(FAULTS)}")
        log.warning("fault %s is switched %s", name, "on" if on else "off")
        if not on:
            self._on.discard(name)
            (FOLDER / name).unlink(missing_ok=True)
        elif name == "crash_loop":
            (FOLDER / name).touch()
        elif name != "crash" or not self._crashed_before():
            self._on.add(name)

    def _crashed_before(self) -> bool:
        """FAULTS=crash means once, not at each start."""
        return (FOLDER / "crashed").exists()

    def _act_for_ever(self) -> None:
        acts: Mapping[str, Callable[[], None]] = {
            "crash": self._crash,
            "crash_loop": self._crash_loop,
            "error_logs": self._log_errors,
            "cpu_burn": self._burn,
            "memory_leak": self._leak,
        }
        while True:
            for name, act in acts.items():
                if self.active(name):
                    act()
            time.sleep(LOOK_SECONDS)

    def _crash(self) -> None:
        (FOLDER / "crash").unlink(missing_ok=True)
        (FOLDER / "crashed").touch()
        log.critical("crashing, as told by the fault crash")
        os._exit(1)

    def _crash_loop(self) -> None:
        log.critical("crashing, as told by the fault crash_loop")
        os._exit(1)

    def _log_errors(self) -> None:
        for _ in range(5):
            try:
                self._query_that_fails()
            except Exception:  # whatever the driver raises is what the log is to show
                log.exception("saving a practice session failed")

    def _burn(self) -> None:
        end = time.monotonic() + 5 * LOOK_SECONDS
        while time.monotonic() < end:
            pass

    def _leak(self) -> None:
        block = bytearray(LEAK_BYTES)
        block[::4096] = b"x" * len(block[::4096])  # untouched pages would not count
        self._hoard.append(block)

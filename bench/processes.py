"""Programs under measurement: started on loopback, stopped by their id, their CPU and memory read.

Rule: CPU time is the measure; wall time is noise on a shared machine.
"""

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

READY_SECONDS = 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def cpu_seconds(pid: int) -> float:
    """CPU used by the process so far, in all of its threads, ended ones as well."""
    return time.clock_gettime((~pid << 3) | 2)  # the kernel's id of another process's CPU clock


def rss_mib(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in text.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def fetch(url: str, headers: Mapping[str, str] | None = None, timeout: float = 30) -> bytes:
    request = urllib.request.Request(url, headers=dict(headers or {}))  # noqa: S310  own loopback
    with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310
        body: bytes = answer.read()
        return body


def until(check: Callable[[], object], what: str, seconds: float = READY_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not check():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.02)


def answers(url: str) -> bool:
    try:
        fetch(url, timeout=5)
    except (OSError, urllib.error.URLError):
        return False
    return True


@contextmanager
def running(
    command: Sequence[str | Path], ready: str, environment: Mapping[str, str] | None = None
) -> Iterator[int]:
    """The process id of a program that answers at the URL `ready`; ended when left.

    Errors: TimeoutError when it never answers; RuntimeError when it ends early.
    """
    process = subprocess.Popen(
        [str(part) for part in command],
        env={**os.environ, **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: process.poll() is not None or answers(ready), f"{command[0]} at {ready}")
        if process.returncode is not None:
            raise RuntimeError(f"{command[0]} ended with {process.returncode}")
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

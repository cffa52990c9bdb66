"""The process's own use of the machine, from /proc/self.

Rule: the names and meanings are those of every Prometheus client library, without one: the
client library costs more memory than the rest of the exporter's core.
"""

import os
import resource
from pathlib import Path

from exporter.readings import Cause, Process, Unreachable

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_FDS = "/proc/self/fd"
# Fields of /proc/<pid>/stat, counted from the one after the command's closing bracket.
_UTIME, _STIME, _STARTED, _VSIZE, _RSS = 11, 12, 19, 20, 21


class ProcessCollector:
    def __init__(self) -> None:
        self._booted_at: float | None = None

    def collect(self, deadline: float) -> Process | Unreachable:  # noqa: ARG002  reads /proc only
        try:
            stat = Path("/proc/self/stat").read_bytes()
            open_fds = _open_descriptors()
            if self._booted_at is None:
                self._booted_at = _boot_time(Path("/proc/stat").read_bytes())
        except OSError as error:
            return Unreachable(Cause.FILES, str(error))
        fields = stat.rpartition(b")")[2].split()
        return Process(
            cpu_seconds=(int(fields[_UTIME]) + int(fields[_STIME])) / _TICKS,
            resident_bytes=int(fields[_RSS]) * _PAGE,
            virtual_bytes=int(fields[_VSIZE]),
            start_time=self._booted_at + int(fields[_STARTED]) / _TICKS,
            open_fds=open_fds,
            max_fds=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        )

    def instant(self) -> bool:
        return True

    def cancel(self) -> None:
        """Nothing to do: /proc does not block."""

    def close(self) -> None:
        """Nothing is kept."""


def _open_descriptors() -> int:
    # Linux 6.2 says it as the folder's size; before, that is 0 and the folder is counted.
    return os.stat(_FDS).st_size or len(os.listdir(_FDS)) - 1  # noqa: PTH116,PTH208  wants no Paths


def _boot_time(text: bytes) -> float:
    for line in text.splitlines():
        if line.startswith(b"btime "):
            return float(line.split()[1])
    return 0.0

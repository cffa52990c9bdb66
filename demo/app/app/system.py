"""How much processor and memory this container uses, from its own cgroup (v1 or v2)."""

import os
import time
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
MEMORY_FILES = (
    (CGROUP / "memory.current", CGROUP / "memory.max"),
    (CGROUP / "memory/memory.usage_in_bytes", CGROUP / "memory/memory.limit_in_bytes"),
)


class Processor:
    """Percent of one core used by this process since the last look."""

    def __init__(self) -> None:
        self._wall, self._used = time.monotonic(), time.process_time()

    def percent(self) -> float:
        wall, used = time.monotonic(), time.process_time()
        share = (used - self._used) / max(wall - self._wall, 1e-6)
        self._wall, self._used = wall, used
        return round(100 * share, 1)


def memory_percent() -> float:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for used_file, limit_file in MEMORY_FILES:
        if used_file.exists():
            limit = limit_file.read_text().strip()
            most = total if limit == "max" else min(total, int(limit))
            return round(100 * int(used_file.read_text()) / most, 1)
    return 0.0

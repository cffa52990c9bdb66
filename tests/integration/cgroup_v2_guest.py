"""What runs on the kernel of test_exporter_cgroup_v2: one container's group, and its reading.

Its root cannot be written to. Prints one line of JSON behind MARK.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from exporter.collectors.cgroups import CgroupCollector
from exporter.readings import Container, Containers, ContainerState, Unreachable, Usages
from exporter.targets import Engine

MARK = "READ "
ID = "c" * 64
HELD, MOST, READ = 8 << 20, 16 << 20, 24 << 20  # of memory, of memory at most, of the disk
RAW = ("memory.current", "memory.peak", "memory.events", "pids.current", "cpu.stat", "io.stat")
ROOT, DISK = Path("/mnt/cgroup"), Path("/mnt/dev/ubda")

# Go into the group, hold memory, read more from the disk than there is room for, then spin.
WORK = f"""
import os, pathlib, sys
pathlib.Path(sys.argv[1], "cgroup.procs").write_text(str(os.getpid()))
held = b"x" * {HELD}
disk = os.open("{DISK}", os.O_RDONLY)
while os.read(disk, 65536):
    pass
while True:
    pass
"""


class Set:
    """The engine's containers: one that runs."""

    def __init__(self, container: Container) -> None:
        self.reading = Containers(0, (container,))

    def live(self) -> bool:
        return True

    def current(self, deadline: float) -> Containers:
        return self.reading

    def known(self, deadline: float) -> Containers:
        return self.reading


def main() -> dict[str, Any]:
    for kind, folder in (("cgroup2", ROOT), ("devtmpfs", DISK.parent)):
        folder.mkdir()
        subprocess.run(["mount", "-t", kind, "none", folder], check=True)
    group = made("docker", ID)
    (group / "cpu.max").write_text("20000 100000")
    (group / "memory.max").write_text(str(MOST))
    work = subprocess.Popen([sys.executable, "-c", WORK, group])
    until(lambda: numbers(group / "cpu.stat")["nr_throttled"] > 3)
    until(lambda: f"rbytes={READ}" in (group / "io.stat").read_text())
    (group / "cgroup.freeze").write_text("1")
    until(lambda: numbers(group / "cgroup.events")["frozen"] == 1)

    container = Container(
        ID, "web", "i", ContainerState.RUNNING, pid=work.pid, cpu_quota=20000, cpu_period=100000
    )
    engine = Engine("unix:///x", cgroup_root=str(ROOT), proc_root="/proc")
    collector = CgroupCollector(engine, Set(container))
    before: dict[str, str] = {}
    first, raw = reading_of(collector), raw_of(group)
    while raw != before:  # a period may still have begun behind the freezing
        before, first, raw = raw, reading_of(collector), raw_of(group)
    told = {"first": first, "raw": raw}
    (group / "cgroup.kill").write_text("1")
    work.wait()
    until(lambda: removed(group))
    told["gone"] = reading_of(collector)
    made("docker", ID)
    told["again"] = reading_of(collector)
    group.rmdir()
    made("system.slice", f"docker-{ID}.scope")
    told["systemd"] = reading_of(collector)
    return told


def made(parent: str, name: str) -> Path:
    """A group with every controller there is."""
    controllers = (ROOT / "cgroup.controllers").read_text().split()
    wanted = " ".join(f"+{controller}" for controller in controllers)
    for above in (ROOT, ROOT / parent):
        above.mkdir(exist_ok=True)
        (above / "cgroup.subtree_control").write_text(wanted)
    group = ROOT / parent / name
    group.mkdir()
    return group


def raw_of(group: Path) -> dict[str, str]:
    return {name: (group / name).read_text() for name in RAW}


def removed(group: Path) -> bool:
    try:
        group.rmdir()
    except OSError:
        return False
    return True


def reading_of(collector: CgroupCollector) -> dict[str, Any] | str:
    reading: Usages | Unreachable = collector.collect(0)
    if isinstance(reading, Unreachable):
        return str(reading)
    ((_, usage),) = reading.usages
    devices = [device._asdict() for device in usage.devices]
    return {"source": reading.source, **usage._asdict(), "devices": devices}


def numbers(file: Path) -> dict[str, int]:
    return {name: int(value) for name, value in map(str.split, file.read_text().splitlines())}


def until(done: Callable[[], bool]) -> None:
    """The test's own patience ends the machine."""
    while not done():
        time.sleep(0.05)


if __name__ == "__main__":
    sys.stdout.write(f"{MARK}{json.dumps(main())}\n")

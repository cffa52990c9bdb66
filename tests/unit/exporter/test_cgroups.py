"""cgroup trees of both versions and both drivers, as files."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.collectors.cgroups import CgroupCollector
from exporter.readings import (
    Cause,
    Container,
    Containers,
    ContainerState,
    Unreachable,
    Usage,
    Usages,
)
from exporter.readings.cgroups import CGROUP_V1, CGROUP_V2, DeviceIO
from exporter.targets import Engine

ID = "c" * 64
RUNNING = Container(id=ID, name="web", image="i", state=ContainerState.RUNNING, cpu_quota=50000)

PRESSURE = {
    "cpu.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=500000\n"
    "full avg10=0.00 avg60=0.00 avg300=0.00 total=250000\n",
    "memory.pressure": "some avg10=1.00 avg60=0.00 avg300=0.00 total=3000000\n"
    "full avg10=0.00 avg60=0.00 avg300=0.00 total=2000000\n",
    "io.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
    "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
}
V1 = {
    "blkio": {
        "blkio.throttle.io_service_bytes": "8:0 Read 4096\n8:0 Write 8192\n8:0 Sync 1\n"
        "8:0 Total 12288\n9:1 Read 10\n9:1 Write 0\nTotal 12298\n",
        "blkio.throttle.io_serviced": "8:0 Read 1\n8:0 Write 2\n9:1 Read 5\n9:1 Write 0\nTotal 8\n",
    },
    "cpuacct": {"cpuacct.usage": "1500000000\n", "cpuacct.stat": "user 100\nsystem 50\n"},
    "cpu": {"cpu.stat": "nr_periods 7\nnr_throttled 3\nthrottled_time 2500000000\n"},
    "memory": {
        "memory.usage_in_bytes": "1000\n",
        "memory.max_usage_in_bytes": "2000\n",
        "memory.failcnt": "3\n",
        "memory.stat": "cache 1\ntotal_cache 300\ntotal_rss 600\ntotal_mapped_file 20\n"
        "total_swap 5\ntotal_inactive_file 250\npgfault 1\ntotal_pgfault 70\n"
        "total_pgmajfault 2\n",
    },
    "pids": {"pids.current": "4\n"},
    "unified": PRESSURE,
}
V2 = {
    "cpu.stat": "usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\n"
    "nr_periods 7\nnr_throttled 3\nthrottled_usec 2500000\n",
    "memory.current": "1000\n",
    "memory.stat": "anon 600\nfile 300\nfile_mapped 20\ninactive_file 250\n"
    "pgfault 70\npgmajfault 2\n",
    "memory.peak": "2000\n",
    "memory.events": "low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\n",
    "io.stat": "8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n"
    "9:1 rbytes=10 wbytes=0 rios=5 wios=0\n",
    "memory.swap.current": "5\n",
    "pids.current": "4\n",
    **PRESSURE,
}
EXPECTED = Usage(
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
    swap_bytes=5,
    max_usage_bytes=2000,
    limit_hits=3,
    page_faults=70,
    major_page_faults=2,
    processes=4,
    cpu_waiting_seconds=0.5,
    cpu_stalled_seconds=0.25,
    memory_waiting_seconds=3.0,
    memory_stalled_seconds=2.0,
    io_waiting_seconds=0.0,
    io_stalled_seconds=0.0,
    devices=(DeviceIO("/dev/sda", 4096, 8192, 1, 2), DeviceIO("9:1", 10, 0, 5, 0)),
)
CGROUPFS, SYSTEMD = f"docker/{ID}", f"system.slice/docker-{ID}.scope"


class FakeSet:
    def __init__(self, *containers: Container) -> None:
        self.reading: Containers | Unreachable = Containers(0, containers)

    def live(self) -> bool:
        return True

    def current(self, deadline: float) -> Containers | Unreachable:
        return self.reading

    def known(self, deadline: float) -> Containers | Unreachable:
        return self.reading


def write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)


def tree_v1(root: Path, folder: str) -> None:
    for controller, files in V1.items():
        write(root / controller / folder, files)


def tree_v2(root: Path, folder: str) -> None:
    write(root / folder, V2)
    (root / "cgroup.controllers").write_text("cpu memory pids\n")


def engine_of(root: Path) -> Engine:
    proc = root / "proc"
    proc.mkdir(exist_ok=True)
    (proc / "partitions").write_text("major minor  #blocks  name\n\n   8        0  100 sda\n")
    return Engine("unix:///x", cgroup_root=str(root), proc_root=str(proc))


def collect(root: Path, *containers: Container) -> Usages | Unreachable:
    collector = CgroupCollector(engine_of(root), FakeSet(*containers or (RUNNING,)))
    try:
        return collector.collect(0)
    finally:
        collector.close()


@pytest.mark.parametrize("tree", [tree_v1, tree_v2])
@pytest.mark.parametrize("folder", [CGROUPFS, SYSTEMD])
def test_both_versions_in_both_layouts_say_the_same(
    tmp_path: Path, tree: Callable[[Path, str], None], folder: str
) -> None:
    tree(tmp_path, folder)

    source = CGROUP_V1 if tree is tree_v1 else CGROUP_V2
    assert collect(tmp_path) == Usages(((RUNNING, EXPECTED),), source)


def test_a_parent_of_its_own_is_followed(tmp_path: Path) -> None:
    container = Container(
        id=ID,
        name="web",
        image="i",
        state=ContainerState.RUNNING,
        cgroup_parent="/demo",
        cpu_quota=50000,
    )
    tree_v1(tmp_path, f"demo/{ID}")

    assert collect(tmp_path, container) == Usages(((container, EXPECTED),))


@pytest.mark.parametrize("tree", [tree_v1, tree_v2])
def test_a_parent_of_the_engines_own_is_found_by_the_process(
    tmp_path: Path, tree: Callable[[Path, str], None]
) -> None:
    container = replace(RUNNING, pid=42)
    tree(tmp_path, f"odd/parent/{ID}")
    (tmp_path / "proc" / "42").mkdir(parents=True)
    (tmp_path / "proc" / "42" / "cgroup").write_text(
        f"9:memory:/odd/parent/{ID}\n0::/odd/parent/{ID}\n1:x:/../../etc/{ID}\n"
    )

    reading = collect(tmp_path, container)

    assert isinstance(reading, Usages)
    assert reading.usages == ((container, EXPECTED),)


def test_a_stopped_container_has_no_usage(tmp_path: Path) -> None:
    stopped = Container(id=ID, name="web", image="i", state=ContainerState.EXITED)

    assert collect(tmp_path, stopped) == Usages(())


def test_a_tree_without_any_container_is_the_wrong_tree(tmp_path: Path) -> None:
    reading = collect(tmp_path)

    assert isinstance(reading, Unreachable)
    assert reading.cause is Cause.FILES


def test_a_container_that_just_went_away_leaves_the_others(tmp_path: Path) -> None:
    tree_v1(tmp_path, CGROUPFS)
    gone = Container(id="d" * 64, name="gone", image="i", state=ContainerState.RUNNING)

    assert collect(tmp_path, gone, RUNNING) == Usages(((RUNNING, EXPECTED),))


def test_what_the_kernel_does_not_say_is_none(tmp_path: Path) -> None:
    write(tmp_path / "cpuacct" / CGROUPFS, {"cpuacct.usage": "1000000000\n"})

    assert collect(tmp_path) == Usages(((RUNNING, Usage(cpu_seconds=1.0)),))


def test_descriptors_are_kept_and_given_back(tmp_path: Path) -> None:
    tree_v1(tmp_path, CGROUPFS)
    containers = FakeSet(RUNNING)
    collector = CgroupCollector(Engine("unix:///x", cgroup_root=str(tmp_path)), containers)
    collector.collect(0)
    (tmp_path / "memory" / CGROUPFS / "memory.usage_in_bytes").write_text("2000\n")

    reading = collector.collect(0)

    assert isinstance(reading, Usages)
    assert reading.usages[0][1].memory_bytes == 2000
    containers.reading = Containers(0, ())
    collector.collect(0)
    assert collector._kept == {}


def test_files_that_were_not_there_yet_are_looked_for_again(tmp_path: Path) -> None:
    collector = CgroupCollector(engine_of(tmp_path), FakeSet(RUNNING))
    before = collector.collect(0)
    tree_v1(tmp_path, CGROUPFS)
    after = collector.collect(0)
    collector.close()

    assert isinstance(before, Unreachable)
    assert after == Usages(((RUNNING, EXPECTED),))


def test_a_restart_is_read_from_the_files_that_are_there_now(tmp_path: Path) -> None:
    half = tmp_path / "pids" / CGROUPFS
    write(half, {"pids.current": "1\n"})
    containers = FakeSet(replace(RUNNING, pid=7))
    collector = CgroupCollector(engine_of(tmp_path), containers)
    before = collector.collect(0)
    shutil.rmtree(half)
    tree_v1(tmp_path, CGROUPFS)
    containers.reading = Containers(0, (replace(RUNNING, pid=8),))
    after = collector.collect(0)
    collector.close()

    assert isinstance(before, Usages)
    assert isinstance(after, Usages)
    assert before.usages[0][1] == Usage(processes=1)
    assert after.usages[0][1] == EXPECTED


def test_a_file_that_opens_and_cannot_be_read_costs_itself_only(tmp_path: Path) -> None:
    tree_v1(tmp_path, CGROUPFS)
    # Pressure that is switched off opens and answers an error, as a folder does.
    (tmp_path / "unified" / CGROUPFS / "io.pressure").unlink()
    (tmp_path / "unified" / CGROUPFS / "io.pressure").mkdir()

    expected = EXPECTED._replace(io_waiting_seconds=None, io_stalled_seconds=None)
    assert collect(tmp_path) == Usages(((RUNNING, expected),))


def test_pressure_of_an_older_kernel_has_no_stalled_cpu(tmp_path: Path) -> None:
    tree_v2(tmp_path, CGROUPFS)
    (tmp_path / CGROUPFS / "cpu.pressure").write_text("some avg10=0.00 total=500000\n")

    expected = EXPECTED._replace(cpu_stalled_seconds=None)
    assert collect(tmp_path) == Usages(((RUNNING, expected),), CGROUP_V2)


def test_a_quota_that_comes_later_is_counted(tmp_path: Path) -> None:
    tree_v1(tmp_path, CGROUPFS)
    containers = FakeSet(replace(RUNNING, cpu_quota=0))
    collector = CgroupCollector(Engine("unix:///x", cgroup_root=str(tmp_path)), containers)
    before = collector.collect(0)
    containers.reading = Containers(0, (RUNNING,))
    after = collector.collect(0)
    collector.close()

    assert isinstance(before, Usages)
    assert isinstance(after, Usages)
    assert (before.usages[0][1].cfs_periods, after.usages[0][1].cfs_periods) == (None, 7)

"""net/dev as the kernel writes it."""

from pathlib import Path

import pytest

from exporter.collectors.network import NetworkCollector, interfaces_of
from exporter.readings import (
    Cause,
    Container,
    ContainerState,
    Interface,
    Networks,
    Unreachable,
)
from exporter.targets import Engine
from tests.unit.exporter.test_cgroups import FakeSet

ID = "c" * 64

TEXT = b"""Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo
    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
  eth0:    1380      19    1    2    0     0          0         0      586       7    3    4    0     0       0          0
 odd: 1 2
"""  # noqa: E501  the kernel's own lines


def test_each_interface_but_the_loopback() -> None:
    assert interfaces_of(TEXT) == (Interface("eth0", (1380, 19, 1, 2), (586, 7, 3, 4)),)


def test_no_interface_is_no_error() -> None:
    assert interfaces_of(b"") == ()


def container(pid: int) -> Container:
    return Container(id=ID, name="web", image="i", state=ContainerState.RUNNING, pid=pid)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    for pid, cgroup in ((42, f"3:cpu:/docker/{ID}\n"), (43, "3:cpu:/init.scope\n")):
        (tmp_path / str(pid) / "net").mkdir(parents=True)
        (tmp_path / str(pid) / "net" / "dev").write_bytes(TEXT)
        (tmp_path / str(pid) / "cgroup").write_text(cgroup)
    (tmp_path / "self").symlink_to("42")
    return tmp_path


def collect(proc: Path, *containers: Container) -> Networks | Unreachable:
    collector = NetworkCollector(Engine("unix:///x", proc_root=str(proc)), FakeSet(*containers))
    try:
        collector.collect(0)
        return collector.collect(0)  # by the descriptors that are kept
    finally:
        collector.close()


def test_the_interfaces_of_the_containers_process(proc: Path) -> None:
    interfaces = (Interface("eth0", (1380, 19, 1, 2), (586, 7, 3, 4)),)

    assert collect(proc, container(42)) == Networks(((container(42), interfaces),))


def test_a_process_of_the_same_number_is_not_the_containers(proc: Path) -> None:
    reading = collect(proc, container(43))

    assert isinstance(reading, Unreachable)
    assert reading.cause is Cause.FILES


def test_a_process_that_has_ended_is_told_no_longer(proc: Path) -> None:
    containers = FakeSet(container(42))
    collector = NetworkCollector(Engine("unix:///x", proc_root=str(proc)), containers)
    collector.collect(0)
    (proc / "42").rename(proc / "gone")
    try:
        # The descriptor could still be read.
        assert isinstance(collector.collect(0), Unreachable)
    finally:
        collector.close()


def test_no_container_with_a_network_is_no_error(proc: Path) -> None:
    assert collect(proc) == Networks(())

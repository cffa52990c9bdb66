"""A Postgres, a Redis and sleeping containers for a benchmark, removed by their ids at the end."""

import os
import secrets
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from bench.processes import until
from demo.world import STATE

PASSWORD = secrets.token_hex(8)
AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Servers:
    """Addresses on the engine's network."""

    postgres: str
    redis: str


def images() -> dict[str, str]:
    """The images that `make images` made or pulled; the environment goes before."""
    file = STATE / "images.env"
    lines = file.read_text().splitlines() if file.exists() else []
    return dict(line.split("=", 1) for line in lines if "=" in line) | {
        name: value for name, value in os.environ.items() if name.endswith("_IMAGE")
    }


def docker(*arguments: str) -> str:
    """Errors: RuntimeError with what the engine said."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"docker {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


class Made:
    """Containers of this benchmark, by the ids to remove."""

    def __init__(self, project: str) -> None:
        self._project = project
        self._ids: list[str] = []

    def start(self, service: str, *rest: str) -> str:
        labels = {
            "stackmedic-bench": "1",
            "com.docker.compose.project": self._project,
            "com.docker.compose.service": service,
        }
        flags = [part for key, value in labels.items() for part in ("--label", f"{key}={value}")]
        name = f"{self._project}-{service}-{secrets.token_hex(3)}"
        self._ids.append(docker("run", "-d", "--name", name, *flags, *rest))
        return self._ids[-1]

    def start_sleepers(self, count: int, network: str) -> None:
        options = ("--memory=16m", f"--network={network}", "--entrypoint=sleep")
        rest = (*options, images()["REDIS_IMAGE"], "3600")
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda number: self.start(f"sleeper-{number}", *rest), range(count)))

    def remove(self) -> None:
        for first in range(0, len(self._ids), 20):
            removal = ["docker", "rm", "-f", "-v", *self._ids[first : first + 20]]
            subprocess.run(removal, capture_output=True, check=False)


@contextmanager
def sleepers(project: str, count: int) -> Iterator[None]:
    """Containers that do nothing, each with an interface on the engine's bridge."""
    made = Made(project)
    try:
        made.start_sleepers(count, "bridge")
        yield
    finally:
        made.remove()


@contextmanager
def servers(project: str, *, sleepers: int = 0) -> Iterator[Servers]:
    """Everything belongs to the compose project `project`."""
    made, image = Made(project), images()
    try:
        postgres = made.start("postgres", *_postgres(image["POSTGRES_IMAGE"]))
        redis = made.start("redis", "--memory=128m", image["REDIS_IMAGE"])
        made.start_sleepers(sleepers, "none")
        until(lambda: _accepts(postgres), "Postgres to accept connections")
        yield Servers(_address(postgres), _address(redis))
    finally:
        made.remove()


def _postgres(image: str) -> tuple[str, ...]:
    variables = {"USER": "piano_tutor", "DB": "piano_tutor", "PASSWORD": PASSWORD}
    flags = [part for k, v in variables.items() for part in ("-e", f"POSTGRES_{k}={v}")]
    return (
        "--memory=512m",
        *flags,
        image,
        "postgres",
        "-c",
        "shared_preload_libraries=pg_stat_statements",
    )


def _accepts(postgres: str) -> bool:
    probe = ["docker", "exec", postgres, "pg_isready", "-q", "-h", "127.0.0.1"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def _address(container: str) -> str:
    template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return docker("inspect", "-f", template, container)

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


@contextmanager
def servers(project: str, *, sleepers: int = 0) -> Iterator[Servers]:
    """Everything belongs to the compose project `project`."""
    made: list[str] = []
    image = images()

    def start(service: str, name: str, *rest: str) -> str:
        labels = {
            "stackmedic-bench": "1",
            "com.docker.compose.project": project,
            "com.docker.compose.service": service,
        }
        flags = [part for key, value in labels.items() for part in ("--label", f"{key}={value}")]
        made.append(docker("run", "-d", "--name", f"{project}-{name}", *flags, *rest))
        return made[-1]

    def sleeper(number: int) -> None:
        name = f"sleeper-{number}"
        start(name, f"{name}-{secrets.token_hex(3)}", *_small(image["REDIS_IMAGE"]))

    try:
        names = [secrets.token_hex(3) for _ in range(2)]
        postgres = start("postgres", f"postgres-{names[0]}", *_postgres(image["POSTGRES_IMAGE"]))
        redis = start("redis", f"redis-{names[1]}", "--memory=128m", image["REDIS_IMAGE"])
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(sleeper, range(sleepers)))
        until(lambda: _accepts(postgres), "Postgres to accept connections")
        yield Servers(_address(postgres), _address(redis))
    finally:
        for first in range(0, len(made), 20):
            removal = ["docker", "rm", "-f", "-v", *made[first : first + 20]]
            subprocess.run(removal, capture_output=True, check=False)


def _small(image: str) -> tuple[str, ...]:
    return ("--memory=16m", "--network=none", "--entrypoint=sleep", image, "3600")


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

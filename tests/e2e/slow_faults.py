"""Faults that no demo shows: they take longer to be believed, or wait for a human.

Rule: as in demo/faults.py, the fault is the real thing and the proof is looked at from outside.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import docker
import httpx
import redis

from demo.faults import Fault
from demo.world import World

MIB = 1024 * 1024
# Of the 256 MiB that a colour's container may use: above the alert, below the kernel's patience.
FULL_BYTES = 240 * MIB
BURNERS = 4  # on one CPU of quota: full also beside a busy machine
PATIENCE = "import time; hoard = bytearray({size}); hoard[::4096] = b'x' * len(hoard[::4096])"
LOOKUPS_PAUSE_SECONDS = 0.005
LOOKED_UP = [f"lesson:{number}" for number in range(1, 11)]  # far more than Celery looks for
STUCK_TASKS = 8  # more than both workers run and hold at once


def engine(world: World, key: str) -> Any:  # noqa: ANN401 - the SDK is not typed
    return docker.from_env().containers.get(world.container(key))


def _burn(world: World) -> None:
    for _ in range(BURNERS):
        engine(world, "celery-green").exec_run(["sh", "-c", "while :; do :; done"], detach=True)


def _hoard(world: World) -> None:
    container = engine(world, "backend-green")
    memory = container.stats(stream=False)["memory_stats"]
    inactive = memory["stats"].get("total_inactive_file", memory["stats"].get("inactive_file", 0))
    size = FULL_BYTES - (memory["usage"] - inactive) - 8 * MIB  # the interpreter's own
    code = f"{PATIENCE.format(size=size)}; time.sleep(3600)"
    container.exec_run(["python3", "-c", code], detach=True)


def _processes(world: World, key: str, word: str) -> list[str]:
    listed = engine(world, key).top(ps_args="-eo pid,args")
    return [" ".join(line) for line in listed["Processes"] if word in " ".join(line)]


SLOW_FAULTS = (
    Fault(
        name="runaway processes",
        title="processes of the idle worker burn all of its CPU",
        alert="HighCpu",
        target="celery-green",
        strike=_burn,
        proof=lambda world: not _processes(world, "celery-green", "while :"),
    ),
    Fault(
        name="memory hog",
        title="a process in the idle backend uses nearly all of its memory",
        alert="HighMemory",
        target="backend-green",
        strike=_hoard,
        proof=lambda world: not _processes(world, "backend-green", "bytearray"),
    ),
)


def redis_client(world: World, db: int) -> "redis.Redis":
    networks = engine(world, "redis").attrs["NetworkSettings"]["Networks"]
    address = networks[world.network]["IPAddress"]
    return redis.Redis(host=address, db=db, socket_timeout=10, decode_responses=True)


@contextmanager
def readers_of_a_cold_cache(world: World) -> Iterator["redis.Redis"]:
    """Many look-ups of what only warming puts into the cache, until the end of the block."""
    client = redis_client(world, db=0)
    done = threading.Event()

    def read() -> None:
        with redis_client(world, db=0) as reader:
            while not done.wait(LOOKUPS_PAUSE_SECONDS):
                reader.mget(LOOKED_UP)

    thread = threading.Thread(target=read)
    cold = list(client.scan_iter("lesson:*"))
    if cold:
        client.delete(*cold)
    thread.start()
    try:
        yield client
    finally:
        done.set()
        thread.join()
        client.close()


def stick_the_workers(world: World) -> None:
    """Tasks that never end in every process of both workers, and work that waits behind them."""
    token = (world.folder / "secrets" / "break_token").read_text().strip()
    for _ in range(STUCK_TASKS):
        httpx.post(
            world.url(world.ports.site, "/admin/break"),
            headers={"Authorization": f"Bearer {token}"},
            json={"fault": "stuck_task"},
            trust_env=False,
            timeout=10,
        ).raise_for_status()
    for user in range(1, 21):
        practise(world, user).raise_for_status()


def practise(world: World, user: int) -> httpx.Response:
    session = {"user_id": user, "lesson_id": 1, "notes_played": 100, "mistakes": 3}
    return httpx.post(
        world.url(world.ports.site, "/api/practice"), json=session, trust_env=False, timeout=10
    )


def scored(world: World, session: int) -> bool:
    """A worker has looked at a user's session."""
    answer = httpx.get(
        world.url(world.ports.site, f"/api/practice/{session}"), trust_env=False, timeout=10
    )
    return answer.is_success and answer.json()["score"] is not None


def in_maintenance(world: World) -> bool:
    """What a user gets is the page that says so."""
    try:
        answer = httpx.get(world.url(world.ports.site, "/api/lessons"), trust_env=False, timeout=5)
    except httpx.HTTPError:
        return False
    return (
        answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and "X-Maintenance" in answer.headers
    )

"""Redis with a million keys in sixteen databases: our scrape beside redis_exporter's.

A Redis of its own, in a container, is filled by itself. Both exporters are asked over HTTP in
turns. redis_exporter counts keys within its scrape; ours does in the background, so its scrape
is measured while the keys are being walked as well.
"""

import gzip
import http.client
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import yaml

from bench.peers import peer
from bench.processes import cpu_seconds, fetch, free_port, rss_mib, running, until
from bench.rows import Bar, Row, median, times
from exporter.collectors.redis_wire import RedisLink
from exporter.targets import RedisServer

PEER = "prometheus-redis-exporter"
PEER_NAME = "redis_exporter"
KEYS, DATABASES = 1_000_000, 16
GROUP = "temp:*"
SCRAPES = 20
PAUSE_SECONDS = 0.05
# A server in use has statistics of some forty commands, which both exporters pass on.
USED = (
    "set a 1,get a,mset a 1 b 2,mget a b,incr n,incrby n 2,decr n,append a 1,strlen a,getset a 1,"
    "setex t 9 1,psetex t 900 1,setnx a 1,exists a,expire a 900,pexpire a 9000,ttl a,type a,"
    "persist a,rename a c,del c,unlink b,hset h a 1,hget h a,hgetall h,hdel h a,lpush l 1,"
    "rpush l 1,lrange l 0 1,llen l,lpop l,rpop l,sadd s 1,smembers s,scard s,srem s 1,zadd z 1 a,"
    "zrange z 0 1,zcard z,zrem z a,publish p 1,ping,echo 1,time,dbsize,hget n a,xadd x * a 1,"
    "xlen x,object encoding n"
)


def run(quick: bool) -> list[Row]:
    rounds = 3 if quick else 9
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        host, server_pid = stack.enter_context(redis_server())
        fill(host)
        plain = stack.enter_context(ours(folder / "plain.yml", host, groups=False))
        peers = stack.enter_context(theirs(host, count=False))
        rows = _scrapes(rounds, server_pid, plain, peers)
        walking = stack.enter_context(ours(folder / "groups.yml", host, groups=True))
        counting = stack.enter_context(theirs(host, count=True))
        return rows + _groups(rounds, walking, counting)


Running = tuple[int, str]  # process id, URL of its metrics


def _scrapes(rounds: int, server_pid: int, mine: Running, other: Running | None) -> list[Row]:
    own: list[float] = []
    total: list[float] = []
    peer_own: list[float] = []
    peer_total: list[float] = []
    for _ in range(rounds):
        used, served, _ = cost(mine, server_pid)
        own.append(used)
        total.append(used + served)
        if other is not None:
            used, served, _ = cost(other, server_pid)
            peer_own.append(used)
            peer_total.append(used + served)
    what = f"Redis, INFO and the rest of a scrape, {KEYS:,} keys in {DATABASES} databases"
    return [
        row(f"{what}: own CPU", own, peer_own, times(3)),
        row("the same: own CPU and the server's", total, peer_total),
        Row(
            "the same: memory of the exporter",
            rss_mib(mine[0]),
            "MiB",
            rss_mib(other[0]) if other else None,
            PEER_NAME,
        ),
    ]


def _groups(rounds: int, mine: Running, other: Running | None) -> list[Row]:
    """How long a scrape takes while keys are counted."""
    walls = [cost(mine, None)[2] for _ in range(rounds)]
    peers = [cost(other, None, scrapes=1)[2] for _ in range(rounds)] if other else []
    return [row(f"Redis, keys like {GROUP} are counted: wall time of a scrape", walls, peers)]


def row(what: str, mine: list[float], other: list[float], bar: Bar | None = None) -> Row:
    return Row(
        what,
        median(mine) * 1e3,
        "ms",
        median(other) * 1e3 if other else None,
        PEER_NAME,
        bar,
    )


def cost(
    program: Running, server_pid: int | None, scrapes: int = SCRAPES
) -> tuple[float, float, float]:
    """CPU of the program, CPU of the server and wall seconds, of one scrape.

    Errors: RuntimeError when the server was not read.
    """
    pid, url = program
    parts = urlsplit(url)
    wall = 0.0
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    with closing(connection):
        scrape(connection, parts)
        before, served = cpu_seconds(pid), cpu_seconds(server_pid) if server_pid else 0.0
        for _ in range(scrapes):
            # Not at once: a scraper comes every few seconds and finds the caches cold.
            time.sleep(PAUSE_SECONDS)
            began = time.monotonic()
            scrape(connection, parts)
            wall += time.monotonic() - began
        used = cpu_seconds(pid) - before
        served = cpu_seconds(server_pid) - served if server_pid else 0.0
    return used / scrapes, served / scrapes, wall / scrapes


def scrape(connection: http.client.HTTPConnection, url: SplitResult) -> None:
    """As Prometheus does it: on a connection that is kept, compressed.

    Errors: RuntimeError when Redis was not read.
    """
    connection.request("GET", f"{url.path}?{url.query}", headers={"Accept-Encoding": "gzip"})
    body = connection.getresponse().read()
    text = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
    if b"redis_memory_used_bytes" not in text:
        raise RuntimeError(f"{url.geturl()}: Redis was not read")


@contextmanager
def redis_server() -> Iterator[tuple[str, int]]:
    """(address, process id) of an empty Redis."""
    image = os.environ.get("REDIS_IMAGE", "stackmedic-demo/redis:7")
    name = f"stackmedic-bench-{secrets.token_hex(4)}"
    server = ["redis-server", "--save", "", "--enable-debug-command", "yes"]
    flags = ["-d", "--name", name, "--label", "stackmedic-test=1", "--memory", "512m"]
    docker("run", *flags, image, *server)
    try:
        template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}} {{.State.Pid}}"
        host, pid = docker("inspect", "-f", template, name).split()
        until(lambda: answers(host), f"Redis at {host}")
        yield host, int(pid)
    finally:
        subprocess.run(["docker", "rm", "-f", "-v", name], capture_output=True, check=False)


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"docker {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def answers(host: str) -> bool:
    link = RedisLink(RedisServer("bench", host, 6379), time.monotonic, name="bench")
    try:
        return link.ask(time.monotonic() + 1, "PING") == b"PONG"
    except (OSError, ValueError):
        return False
    finally:
        link.close()


def fill(host: str) -> None:
    """Half of the keys in database 0, the rest in the others, one in ten like the group."""
    link = RedisLink(RedisServer("bench", host, 6379), time.monotonic, name="bench")
    rest = KEYS // 2 // (DATABASES - 1)
    for db in range(DATABASES):
        keys = KEYS // 2 if db == 0 else rest
        for prefix, number in (("temp", keys // 10), ("key", keys - keys // 10)):
            link.ask(time.monotonic() + 60, "SELECT", str(db))
            link.ask(time.monotonic() + 60, "DEBUG", "POPULATE", str(number), prefix, "10")
    for words in USED.split(","):
        link.ask_all(time.monotonic() + 60, [tuple(words.split())])
    link.close()


@contextmanager
def ours(file: Path, host: str, *, groups: bool) -> Iterator[Running]:
    port = free_port()
    server: dict[str, object] = {"host": host}
    if groups:
        # Ten seconds, so that a walk is always under way.
        server["key_groups"] = {"groups": {"temp": GROUP}, "interval": "10s"}
    config = {"listen": f"127.0.0.1:{port}", "redis": {"redis": server}}
    file.write_text(yaml.safe_dump(config))
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "exporter.main", f"--config.file={file}"]
    with running(command, f"{url}/-/healthy") as pid:
        fetch(f"{url}/metrics")
        yield pid, f"{url}/metrics?collect[]=redis"


@contextmanager
def theirs(host: str, *, count: bool) -> Iterator[Running | None]:
    program = peer(PEER)
    if program is None:
        yield None
        return
    port = free_port()
    flags = [f"-redis.addr=redis://{host}:6379", f"-web.listen-address=127.0.0.1:{port}"]
    flags += ["-redis-only-metrics"]
    if count:
        flags += [f"-count-keys=db0={GROUP}", "-check-keys-batch-size=1000"]
    url = f"http://127.0.0.1:{port}"
    with running([program, *flags], f"{url}/health") as pid:
        yield pid, f"{url}/metrics"

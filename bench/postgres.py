"""Postgres: a scrape of the default set, and of the dearest statements, beside postgres_exporter.

A server of its own, in a container, gets 5,000 distinct statements. The exporters are asked in
turns; what the statements of the load cost is not counted. The default set is ours without
what postgres_exporter 0.11 has not: tables, bloat, statements. The peer's statements are the
query of its collector of 0.13 to 0.16, the hundred dearest with their texts, as a custom query,
and nothing else; ours are the top 50 with `other`, and nothing else.
"""

import gzip
import http.client
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import yaml

from bench.peers import peer
from bench.processes import cpu_seconds, free_port, rss_mib, running, until
from bench.rows import Bar, Row, median, times
from bench.servers import docker, images
from exporter.targets import POSTGRES_PARTS

PEER = "prometheus-postgres-exporter"
PEER_NAME = "postgres_exporter"
PASSWORD = secrets.token_hex(8)
STATEMENTS, TABLES, BUSY = 5_000, 200, 50
SCRAPES = 10
# As long as a text has to be for 1.4 and for 41 MB of them.
PADDING = {"1.4 MB": 90, "41 MB": 8_010}
NOT_THEIRS = ("stat_user_tables", "statio_user_tables", "table_size", "bloat", "stat_statements")
TOP_100 = {
    "pg_stat_statements_bench": {
        "query": """
SELECT pg_get_userbyid(userid) AS user, pg_database.datname, pg_stat_statements.queryid,
  pg_stat_statements.calls AS calls_total,
  pg_stat_statements.total_exec_time / 1000.0 AS seconds_total,
  pg_stat_statements.rows AS rows_total,
  pg_stat_statements.blk_read_time / 1000.0 AS block_read_seconds_total,
  pg_stat_statements.blk_write_time / 1000.0 AS block_write_seconds_total
FROM pg_stat_statements JOIN pg_database ON pg_database.oid = pg_stat_statements.dbid
WHERE total_exec_time > (SELECT percentile_cont(0.1) WITHIN GROUP (ORDER BY total_exec_time)
  FROM pg_stat_statements)
ORDER BY seconds_total DESC LIMIT 100
""",
        "metrics": [
            *({label: {"usage": "LABEL"}} for label in ("user", "datname", "queryid")),
            *(
                {f"{name}_total": {"usage": "COUNTER"}}
                for name in (
                    "calls",
                    "seconds",
                    "rows",
                    "block_read_seconds",
                    "block_write_seconds",
                )
            ),
        ],
    }
}


@dataclass(frozen=True, slots=True)
class Server:
    address: str
    cpu: Path  # the container's CPU, as its cgroup counts it

    def cpu_seconds(self) -> float:
        text = self.cpu.read_text()
        if self.cpu.name == "cpuacct.usage":
            return int(text) / 1e9
        return int(text.split()[1]) / 1e6

    def connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(
            host=self.address,
            user="bench",
            password=PASSWORD,
            dbname="bench",
            autocommit=True,
            prepare_threshold=None,
        )


Running = tuple[int, str]  # process id, URL of its metrics


@dataclass(slots=True)
class Costs:
    own: list[float]
    total: list[float]
    samples: int = 0


def run(quick: bool) -> list[Row]:
    rounds = 3 if quick else 9
    rows: list[Row] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(postgres())
        fill(server, PADDING["1.4 MB"])
        mine = stack.enter_context(ours(folder / "set.yml", server, NOT_THEIRS))
        other = stack.enter_context(theirs(server, None))
        rows += default_set(server, mine, other, rounds)
        only = tuple(part for part in POSTGRES_PARTS if part != "stat_statements")
        mine = stack.enter_context(ours(folder / "statements.yml", server, only))
        queries = folder / "queries.yml"
        queries.write_text(yaml.safe_dump(TOP_100))
        other = stack.enter_context(theirs(server, queries))
        for size, padding in PADDING.items():
            fill(server, padding)
            bar = times(3.5 if size == "1.4 MB" else 15)
            rows += statements(duel(server, mine, other, rounds), size, bar)
    return rows


def default_set(server: Server, mine: Running, other: Running | None, rounds: int) -> list[Row]:
    ours_cost, theirs_cost = duel(server, mine, other, rounds)
    what = f"Postgres, default set ({ours_cost.samples:,} samples; peer {theirs_cost.samples:,})"
    return [
        row(f"{what}: own CPU", ours_cost.own, theirs_cost.own, times(3)),
        row("the same: own CPU and the server's", ours_cost.total, theirs_cost.total, times(2)),
        Row(
            "the same: memory of the exporter",
            rss_mib(mine[0]),
            "MiB",
            rss_mib(other[0]) if other else None,
            PEER_NAME,
        ),
    ]


def statements(costs: tuple[Costs, Costs], size: str, bar: Bar) -> list[Row]:
    ours_cost, theirs_cost = costs
    what = f"pg_stat_statements, {STATEMENTS:,} entries, {size} of texts, top and other"
    return [
        row(f"{what}: own CPU and the server's", ours_cost.total, theirs_cost.total, bar),
        row("the same: own CPU", ours_cost.own, theirs_cost.own),
    ]


def row(what: str, mine: list[float], other: list[float], bar: Bar | None = None) -> Row:
    peer_ms = median(other) * 1e3 if other else None
    return Row(what, median(mine) * 1e3, "ms", peer_ms, PEER_NAME, bar)


def duel(server: Server, mine: Running, other: Running | None, rounds: int) -> tuple[Costs, Costs]:
    costs = Costs([], []), Costs([], [])
    with server.connect() as load:
        for _ in range(rounds):
            for program, cost in zip((mine, other), costs, strict=True):
                if program is not None:
                    measure(server, program, cost, load)
    return costs


def measure(
    server: Server,
    program: Running,
    cost: Costs,
    load: "psycopg.Connection[tuple[object, ...]]",
) -> None:
    pid, url = program
    parts = urlsplit(url)
    own = served = 0.0
    with closing(http.client.HTTPConnection(parts.netloc, timeout=60)) as connection:
        for _ in range(SCRAPES):
            work(load, 0, BUSY, PADDING["1.4 MB"])
            before = cpu_seconds(pid), server.cpu_seconds()
            cost.samples = scrape(connection, f"{parts.path}?{parts.query}")
            own += cpu_seconds(pid) - before[0]
            served += server.cpu_seconds() - before[1]
    cost.own.append(own / SCRAPES)
    cost.total.append((own + served) / SCRAPES)


def scrape(connection: http.client.HTTPConnection, path: str) -> int:
    """As Prometheus does it: on a connection that is kept, compressed. Returns the samples.

    Errors: RuntimeError when Postgres was not read.
    """
    connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
    body = connection.getresponse().read()
    text = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
    lines = [line for line in text.splitlines() if line.startswith(b"pg_")]
    if not any(line.startswith(b"pg_up") and line.endswith(b" 1") for line in lines):
        raise RuntimeError(f"{path}: Postgres was not read")
    return len(lines)


def fill(server: Server, padding: int) -> None:
    with server.connect() as connection:
        connection.execute("create extension if not exists pg_stat_statements")
        for number in range(TABLES):
            connection.execute(f"create table if not exists t{number} (a int, b text)")
        connection.execute("select pg_stat_statements_reset()")
        work(connection, 0, STATEMENTS - BUSY, padding)


def work(
    connection: "psycopg.Connection[tuple[object, ...]]", first: int, last: int, padding: int
) -> None:
    """Statements that differ in more than their constants."""
    for number in range(first, last):
        sum_ = "a+" * (number % 70) + "1"
        less = "-a" * (number // 70)
        condition = f"a+{sum_} > 0{less} /*{'p' * padding}*/"
        text = f"select a from t0 where {condition} limit 0"  # noqa: S608  numbers only
        connection.execute(text.encode())


@contextmanager
def postgres() -> Iterator[Server]:
    name = f"stackmedic-bench-{secrets.token_hex(4)}"
    environment = {"USER": "bench", "DB": "bench", "PASSWORD": PASSWORD}
    flags = [part for k, v in environment.items() for part in ("-e", f"POSTGRES_{k}={v}")]
    image = images().get("POSTGRES_IMAGE", "stackmedic-demo/postgres:15")
    settings = ("shared_preload_libraries=pg_stat_statements", "autovacuum=off")
    command = ["postgres", *(part for setting in settings for part in ("-c", setting))]
    docker(
        "run", "-d", "--name", name, "--label", "stackmedic-bench=1", "--memory=1g", *flags,
        image, *command,
    )  # fmt: skip
    try:
        template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}} {{.State.Pid}}"
        address, pid = docker("inspect", "-f", template, name).split()
        server = Server(address, cpu_file(int(pid)))
        until(lambda: answers(server), f"Postgres at {address}", 60)
        yield server
    finally:
        subprocess.run(["docker", "rm", "-f", "-v", name], capture_output=True, check=False)


def cpu_file(pid: int) -> Path:
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "cpuacct" in controllers.split(","):
            return Path(f"/sys/fs/cgroup/cpuacct{path}/cpuacct.usage")
        if not controllers and (file := Path(f"/sys/fs/cgroup{path}/cpu.stat")).exists():
            return file
    raise RuntimeError("the container's CPU is counted in no cgroup that can be read")


def answers(server: Server) -> bool:
    try:
        server.connect().close()
    except psycopg.Error:
        return False
    return True


@contextmanager
def ours(file: Path, server: Server, without: tuple[str, ...]) -> Iterator[Running]:
    port = free_port()
    password = file.with_suffix(".password")
    password.write_text(PASSWORD)
    target = {
        "host": server.address,
        "database": "bench",
        "user": "bench",
        "password_file": str(password),
        "without_parts": list(without),
    }
    config = {"listen": f"127.0.0.1:{port}", "postgres": {"postgres": target}}
    file.write_text(yaml.safe_dump(config))
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "exporter.main", f"--config.file={file}"]
    with running(command, f"{url}/metrics") as pid:
        time.sleep(0.5)
        yield pid, f"{url}/metrics?collect[]=postgres"


@contextmanager
def theirs(server: Server, queries: Path | None) -> Iterator[Running | None]:
    """queries: only these, instead of the default set."""
    program = peer(PEER)
    if program is None:
        yield None
        return
    url = f"http://127.0.0.1:{free_port()}"
    flags = [f"--web.listen-address={url.removeprefix('http://')}"]
    if queries is not None:
        flags += ["--disable-default-metrics", "--disable-settings-metrics"]
        flags += ["--no-collector.database", "--no-collector.bgwriter"]
        flags += [f"--extend.query-path={queries}"]
    where = f"postgresql://bench:{PASSWORD}@{server.address}:5432/bench?sslmode=disable"
    with running([program, *flags], f"{url}/metrics", {"DATA_SOURCE_NAME": where}) as pid:
        yield pid, f"{url}/metrics"

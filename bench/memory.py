"""The exporter with everything configured, as the shipped exporter.yml does: memory, start, idle.

It looks at a Postgres, a Redis and a hundred containers of this benchmark. Beside it stand the
exporters that it replaces, each looking at the same servers.
"""

import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml

from bench.peers import peer
from bench.probes import page
from bench.processes import cpu_seconds, fetch, free_port, rss_mib, running
from bench.rows import Row, at_most, median
from bench.servers import PASSWORD, Servers, docker, servers

REPO = Path(__file__).resolve().parents[1]
CONTAINERS, SCRAPES, IDLE_SECONDS = 100, 200, 20
PROJECT = "stackmedic-bench"


def run(quick: bool) -> list[Row]:
    count = 10 if quick else CONTAINERS
    scrapes, idle_for = (20, 5) if quick else (SCRAPES, IDLE_SECONDS)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        live = stack.enter_context(servers(PROJECT, sleepers=count))
        config = configured(folder, live, stack.enter_context(page()))
        starts = [first_scrape(folder, config) for _ in range(2 if quick else 5)]
        file, port = written(folder, config)
        url = f"http://127.0.0.1:{port}"
        ours = stack.enter_context(running(command(file), f"{url}/-/healthy"))
        body = b""
        for _ in range(scrapes):
            fetch(f"{url}/metrics", {"Accept-Encoding": "gzip"})
            body = fetch(f"{url}/metrics")
        peers = [stack.enter_context(others) for others in replaced(folder, live)]
        for _ in range(scrapes):
            for _, peer_url in peers:
                fetch(peer_url)
        used = cpu_seconds(ours)
        time.sleep(idle_for)
        used = cpu_seconds(ours) - used
        sum_of_peers = sum(rss_mib(pid) for pid, _ in peers) if len(peers) == len(PEERS) else None
        what = f"all collectors, {count} containers, {body.count(b'{'):,} series"
        return [
            Row(
                f"memory after {scrapes} scrapes: {what}",
                rss_mib(ours),
                "MiB",
                sum_of_peers,
                "the five peers together",
                at_most(60),
            ),
            Row("start to the end of the first scrape", median(starts), "s", bar=at_most(1)),
            Row(
                f"idle, over {idle_for} s",
                used / idle_for * 100,
                "% of a core",
                bar=at_most(0.2),
            ),
        ]


# As it is installed when nobody asks for more: without the optional matcher of logs.
_PLAIN = "import sys; sys.modules['hyperscan'] = None; from exporter.main import main; main()"


def command(file: Path) -> list[str | Path]:
    return [sys.executable, "-c", _PLAIN, f"--config.file={file}"]


def first_scrape(folder: Path, config: dict[str, Any]) -> float:
    """Wall seconds from the start of the process to the whole answer."""
    file, port = written(folder, config)
    began = time.perf_counter()
    with running(command(file), f"http://127.0.0.1:{port}/-/healthy"):
        fetch(f"http://127.0.0.1:{port}/metrics")
        return time.perf_counter() - began


def written(folder: Path, config: dict[str, Any]) -> tuple[Path, int]:
    port = free_port()
    file = folder / f"exporter-{port}.yml"
    file.write_text(yaml.safe_dump(config | {"listen": f"127.0.0.1:{port}"}))
    return file, port


def configured(folder: Path, live: Servers, web: str) -> dict[str, Any]:
    """The shipped configuration with every address and path led to what runs here."""
    (folder / "postgres_password").write_text(PASSWORD)
    root = docker("info", "--format", "{{.DockerRootDir}}")
    places = {
        "tcp://engine-ro:2375": "unix:///var/run/docker.sock",
        "/host/cgroup": "/sys/fs/cgroup",
        "/host/proc": "/proc",
        "/host/containers": f"{root}/containers",
        "/run/secrets": str(folder),
        "/var/lib/stackmedic": str(folder),
    }
    config: dict[str, Any] = yaml.safe_load((REPO / "exporter" / "exporter.yml").read_text())

    config = led(config, places, web)
    config["docker"]["projects"] = [PROJECT]
    config["services"] = {}
    for section, address in (("postgres", live.postgres), ("redis", live.redis)):
        for server in config[section].values():
            server |= {"host": address}
    return config


def led(value: Any, places: Mapping[str, str], web: str) -> Any:  # noqa: ANN401  whatever YAML holds
    """The value with each place replaced, and each URL by the one page that there is."""
    if isinstance(value, dict):
        return {key: led(item, places, web) for key, item in value.items()}
    if isinstance(value, list):
        return [led(item, places, web) for item in value]
    if not isinstance(value, str):
        return value
    if value.startswith(("http://", "https://")):
        return web
    for old, new in places.items():
        value = value.replace(old, new)
    return value


PEERS = (
    "prometheus-postgres-exporter",
    "prometheus-redis-exporter",
    "prometheus-blackbox-exporter",
    "prometheus-node-exporter",
    "mtail",
)


def replaced(folder: Path, live: Servers) -> list[Any]:
    """Each peer that can be had, ready to be started: a context of (process id, metrics URL)."""
    programs = {name: program for name in PEERS if (program := peer(name)) is not None}
    (folder / "blackbox.yml").write_text("modules: {http_2xx: {prober: http}}\n")
    (folder / "programs").mkdir()
    (folder / "programs" / "errors.mtail").write_text("counter errors\n/(?i)error/ { errors++ }\n")
    source = f"postgresql://piano_tutor:{PASSWORD}@{live.postgres}:5432/piano_tutor?sslmode=disable"
    flags = {
        "prometheus-postgres-exporter": [],
        "prometheus-redis-exporter": [f"--redis.addr=redis://{live.redis}:6379"],
        "prometheus-blackbox-exporter": [f"--config.file={folder}/blackbox.yml"],
        "prometheus-node-exporter": [],
        "mtail": [f"--progs={folder}/programs", f"--logs={folder}/*.log", "--address=127.0.0.1"],
    }
    return [
        peer_running(name, program, flags[name], {"DATA_SOURCE_NAME": source})
        for name, program in programs.items()
    ]


@contextmanager
def peer_running(
    name: str, program: Path, flags: list[str], environment: dict[str, str]
) -> Iterator[tuple[int, str]]:
    port = free_port()
    listen = f"--port={port}" if name == "mtail" else f"--web.listen-address=127.0.0.1:{port}"
    url = f"http://127.0.0.1:{port}/metrics"
    with running([program, *flags, listen], url, environment) as pid:
        yield pid, url

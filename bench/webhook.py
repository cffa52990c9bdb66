"""The real remediator process: how soon it acknowledges, and a burst of distinct alerts.

It is in observe mode with nobody to ask behind it, so nothing is done about the alerts; each
must be in the journal on disk before its request is answered.
"""

import http.client
import json
import secrets
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from bench.processes import cpu_seconds, free_port, rss_mib, running
from bench.rows import Row, at_most, median

REPO = Path(__file__).resolve().parents[1]
BODY_ALERTS = 1_000
BURST, BURST_BODY, SENDERS = 10_000, 100, 4


def run(quick: bool) -> list[Row]:
    posts = 30 if quick else 200
    with tempfile.TemporaryDirectory() as folder, remediator(Path(folder)) as (pid, url, token):
        # The same alerts again, as Alertmanager repeats a group that still fires.
        body = webhook(range(BODY_ALERTS), "steady")
        post(url, token, body)
        used = cpu_seconds(pid)
        waits = sorted(post(url, token, body) for _ in range(posts))
        used = (cpu_seconds(pid) - used) / posts
        used_fresh = cpu_seconds(pid)
        fresh = sorted(
            post(url, token, webhook(range(BODY_ALERTS), f"fresh-{n}"))
            for n in range(10 if quick else 60)
        )
        used_fresh = (cpu_seconds(pid) - used_fresh) / len(fresh)
        before = rss_mib(pid)
        took = burst(url, token)
        after = rss_mib(pid)
        lost = BURST - stored(Path(folder) / "remediator.sqlite", "burst")
    what = f"webhook of {BODY_ALERTS:,} alerts"
    return [
        Row(f"{what} that fire already, acknowledged: median", median(waits) * 1e3, "ms"),
        Row(
            f"the same, 99th percentile of {posts}",
            waits[round(0.99 * (posts - 1))] * 1e3,
            "ms",
            bar=at_most(50),
        ),
        Row("the same, own CPU", used * 1e3, "ms"),
        Row(f"{what} that are new, acknowledged and on disk: median", median(fresh) * 1e3, "ms"),
        Row(
            f"the same, 99th percentile of {len(fresh)}",
            fresh[round(0.99 * (len(fresh) - 1))] * 1e3,
            "ms",
            bar=at_most(50),
        ),
        Row("the same, own CPU", used_fresh * 1e3, "ms"),
        Row(f"burst of {BURST:,} distinct alerts: lost", lost, "alerts", bar=at_most(0)),
        Row("the same: until the last is acknowledged", took, "s"),
        Row(f"the same: memory after it (before: {before:.0f} MiB)", after, "MiB"),
    ]


@contextmanager
def remediator(folder: Path) -> Iterator[tuple[int, str, str]]:
    """(process id, address, token) of a remediator with the shipped configuration."""
    port, token = free_port(), secrets.token_hex(16)
    (folder / "token").write_text(token)
    config: dict[str, Any] = yaml.safe_load((REPO / "remediator" / "remediator.yml").read_text())
    nowhere = {"url": "http://127.0.0.1:9"}
    config |= {
        "mode": "observe",
        "listen": f"127.0.0.1:{port}",
        "state_file": str(folder / "remediator.sqlite"),
        "alertmanager": nowhere,
        "exporter": nowhere,
    }
    config["webhook"]["token_file"] = str(folder / "token")
    config["prometheus"]["url"] = nowhere["url"]
    file = folder / "remediator.yml"
    file.write_text(yaml.safe_dump(config))
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "remediator.main", f"--config.file={file}"]
    with running(command, f"{url}/-/healthy") as pid:
        yield pid, url, token


def webhook(numbers: range, group: str) -> bytes:
    alerts = [
        {
            "status": "firing",
            "labels": {
                "alertname": "ServiceDown",
                "service": "backend-blue",
                "severity": "P1",
                "group": group,
                "number": str(number),
            },
            "annotations": {"summary": "The service backend-blue is down.", "action": "none"},
            "startsAt": "2026-01-05T11:59:00.123456789Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus:9090/graph",
            "fingerprint": f"{number:016x}",
        }
        for number in numbers
    ]
    return json.dumps(
        {
            "version": "4",
            "groupKey": '{}:{alertname="ServiceDown"}',
            "truncatedAlerts": 0,
            "status": "firing",
            "receiver": "remediator",
            "groupLabels": {},
            "commonLabels": {},
            "commonAnnotations": {},
            "externalURL": "http://alertmanager:9093",
            "alerts": alerts,
        }
    ).encode()


def post(url: str, token: str, body: bytes) -> float:
    """Seconds until the answer. Errors: RuntimeError when it is not 200."""
    parts = urlsplit(url)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    began = time.perf_counter()
    with closing(http.client.HTTPConnection(parts.netloc, timeout=60)) as connection:
        connection.request("POST", "/webhook/alertmanager", body, headers)
        answer = connection.getresponse()
        answer.read()
    if answer.status != http.client.OK:
        raise RuntimeError(f"the webhook was answered {answer.status}")
    return time.perf_counter() - began


def burst(url: str, token: str) -> float:
    bodies = [
        webhook(range(first, first + BURST_BODY), "burst") for first in range(0, BURST, BURST_BODY)
    ]
    began = time.perf_counter()
    with ThreadPoolExecutor(SENDERS) as senders:
        list(senders.map(lambda body: post(url, token, body), bodies))
    return time.perf_counter() - began


def stored(file: Path, group: str) -> int:
    """How many distinct alerts of the group are in the journal."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as journal:
        (count,) = journal.execute(
            "SELECT count(DISTINCT identity) FROM signals"
            " WHERE json_extract(identity, '$.group') = ?",
            (group,),
        ).fetchone()
    return int(count)

"""The remediator as the process that production runs, on a stage of real programs."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.integration.edge_containers import DOCKER_URL, free_port, until
from tests.integration.edge_monitoring import SLOW, a_prometheus
from tests.integration.live import (
    AUTH,
    RULES,
    TOKEN,
    Alertmanager,
    Wire,
    World,
    a_wire,
    exporter_of,
)

PROGRAM = (sys.executable, "-m", "remediator.main")


@dataclass
class Stage:
    """What a remediator works with; its webhooks come over `wire`."""

    folder: Path
    world: World
    wire: Wire
    alertmanager: Alertmanager
    exporter_url: str
    prometheus_url: str


@contextmanager
def a_stage(folder: Path, *, alertmanagers: int = 1) -> Iterator[Stage]:
    """Prometheus tells them all; the remediator asks the first."""
    world = World()
    with ExitStack() as stack:
        stack.enter_context(closing(world))
        wire = stack.enter_context(a_wire())
        exporter_url = stack.enter_context(exporter_of(world))
        told = [Alertmanager(folder / f"alertmanager-{n}", wire.url) for n in range(alertmanagers)]
        for alertmanager in told:
            stack.callback(alertmanager.stop)
            alertmanager.start()
        prometheus_url = stack.enter_context(
            a_prometheus(
                folder / "prometheus",
                RULES,
                scraped=exporter_url,
                told=[one.url for one in told],
                scrape_interval="1s",
            )
        )
        yield Stage(folder, world, wire, told[0], exporter_url, prometheus_url)


def a_runbook(name: str, alert: str, repeat: str, **changes: object) -> dict[str, Any]:
    checks = [{"running": True}, {"alert": "cleared"}]
    restart = {
        "id": "restart",
        "action": "restart_service",
        "with": {"stop_timeout": "1s"},
        "timeout": "30s",
        "repeat": repeat,
    }
    times = {"within": "60s", "interval": "200ms", "consecutive": 1, "hold": "0s"}
    return {
        "id": name,
        "alerts": [alert],
        "target": {"from_label": "service"},
        "risk": "disruptive",
        "limits": {"cooldown": "0s", "attempts": 10, "per": "1s"},
        "steps": [restart],
        "verify": times | {"all": checks},
    } | changes


RESTART = a_runbook("restart", "ServiceDown", "if_not_done")
RESTART_DB = a_runbook("restart-db", "DatabaseDown", "never")
NOT_LONG = {"within": "1s", "interval": "200ms", "consecutive": 1, "hold": "0s"}
"""A verification for what will not be mended anyway."""


def impatient(runbook: Mapping[str, Any]) -> dict[str, Any]:
    return {**runbook, "verify": NOT_LONG | {"all": runbook["verify"]["all"]}}


class Remediator:
    """The process, its configuration and its journal. No limit but the pipeline's own holds it."""

    def __init__(
        self,
        stage: Stage,
        folder: Path,
        services: Sequence[str],
        runbooks: Sequence[Mapping[str, Any]] = (RESTART, RESTART_DB),
        **keys: object,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        self.stage = stage
        self.services = tuple(services)
        self.url = f"http://127.0.0.1:{port}"
        self.state_file = folder / "state" / "remediator.sqlite"
        self.config = folder / "remediator.yml"
        self.log = folder / "remediator.log"
        (folder / "token").write_text(TOKEN)
        topology = {
            name: {"tier": "app", "container": stage.world.containers.get(name, name)}
            for name in services
        }
        config = {
            "version": 1,
            "mode": "auto",
            "listen": f"127.0.0.1:{port}",
            "state_file": str(self.state_file),
            "webhook": {"token_file": str(folder / "token")},
            # A scrape that a busy machine misses must not outlast a verification.
            "prometheus": {"url": stage.prometheus_url, "steady": "3s"},
            "alertmanager": {"url": stage.alertmanager.url},
            "exporter": {"url": stage.exporter_url},
            "docker": {"url": DOCKER_URL},
            "external_url": self.url,
            "reconcile_interval": "300ms",
            "dependency_settle": "0s",
            "limits": {"runs_per_hour": 100_000, "runs_per_day": 100_000, "concurrency": 10},
            "breaker": {"failures": 10, "runs": 10, "within": "1s", "runs_per_day": 10},
            "storm": {"targets": 1000, "share": 1.0, "at_least": 1000},
            "topology": topology,
            "runbooks": list(runbooks),
        }
        written = {key: value for key, value in (config | keys).items() if value is not None}
        self.config.write_text(json.dumps(written))
        self.processes: list[subprocess.Popen[bytes]] = []
        stage.wire.to |= dict.fromkeys(self.services, self.url)
        self.http = httpx.Client(base_url=self.url, headers=AUTH, timeout=30, trust_env=False)

    def begin(self, program: Sequence[str] = PROGRAM) -> subprocess.Popen[bytes]:
        """Start it and do not wait. Its log goes on in the same file."""
        with self.log.open("ab") as log:
            running = subprocess.Popen([*program, f"--config.file={self.config}"], stderr=log)
        self.processes.append(running)
        return running

    def start(self, program: Sequence[str] = PROGRAM) -> subprocess.Popen[bytes]:
        running = self.begin(program)
        until(
            lambda: running.poll() is not None or self.answers("/-/healthy") == 200,
            within_seconds=SLOW,
            what="the remediator serves",
        )
        assert running.poll() is None, self.said()
        return running

    def answers(self, path: str) -> int | None:
        try:
            return self.http.get(path).status_code
        except httpx.HTTPError:
            return None

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def incidents(self, target: str) -> list[dict[str, Any]]:
        """The oldest first."""
        found = self.http.get("/api/v1/incidents").raise_for_status().json()["incidents"]
        return [incident for incident in found[::-1] if incident["target"] == target]

    def told(self, body: Mapping[str, object]) -> int:
        """What a webhook is answered."""
        return self.http.post("/webhook/alertmanager", json=body).status_code

    def sharers(self) -> dict[str, str]:
        """What it knows of those that share its journal: each one's state, by its name."""
        status = self.http.get("/api/v1/status").raise_for_status().json()
        return {one["name"]: one["state"] for one in status["remediators"]}

    def runs(self, target: str) -> list[str]:
        """The states of the target's runs, the oldest first."""
        return [run["state"] for incident in self.incidents(target) for run in incident["runs"]]

    def rests(self, target: str) -> bool:
        """Every incident of the target is closed, and there was one."""
        states = [incident["state"] for incident in self.incidents(target)]
        return bool(states) and set(states) == {"closed"}

    def is_paged(self, target: str) -> bool:
        """A human is called about it, for Alertmanager."""
        calls = self.stage.alertmanager.alerts("RemediationEscalated")
        return any(call["labels"]["service"] == target for call in calls)

    def is_over(self, target: str) -> bool:
        """It is mended, or a human was called."""
        well = self.stage.world.is_well(target) and self.rests(target)
        return well or self.is_paged(target)

    def left_open(self) -> list[tuple[Any, ...]]:
        """Runs that have begun and are not over."""
        begun = "('claimed', 'executing', 'verifying', 'interrupted')"
        return self.rows(f"SELECT * FROM runs WHERE state IN {begun}")  # noqa: S608 - a constant

    def metric(self, name: str) -> float:
        """One sample, by its name with its labels as it is written."""
        text = self.http.get("/metrics").raise_for_status().text
        (line,) = (row for row in text.splitlines() if row.startswith(f"{name} "))
        return float(line.rpartition(" ")[2])

    def goes_round(self, times: int = 2) -> None:
        """Wait until it has looked at everything so many times more."""
        name = "remediator_reconcile_last_success_timestamp_seconds"
        for _ in range(times):
            before = self.metric(name)
            self.until(lambda: self.metric(name) > before, "it looks at everything")  # noqa: B023

    def pause(self) -> None:
        self.state_file.with_name("paused").write_text("a test sets its scene")

    def resume(self) -> None:
        self.state_file.with_name("paused").unlink()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """From the journal's file itself."""
        with closing(sqlite3.connect(f"file:{self.state_file}?mode=ro", uri=True)) as file:
            return file.execute(query).fetchall()

    def until(self, met: Callable[[], object], what: str, seconds: float = SLOW) -> None:
        try:
            until(met, within_seconds=seconds, what=what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.said()[-6000:]}") from error

    def stop(self) -> None:
        for service in self.services:
            self.stage.wire.to.pop(service, None)
        self.http.close()
        for running in self.processes:
            running.kill()
            running.wait(20)


@contextmanager
def a_remediator(
    stage: Stage,
    folder: Path,
    services: Sequence[str],
    **options: Any,  # noqa: ANN401 - of Remediator
) -> Iterator[Remediator]:
    made = Remediator(stage, folder, services, **options)
    try:
        yield made
    finally:
        made.stop()

"""The real programs around the real remediator process: Prometheus, Alertmanager, containers.

A `Stage` lasts for a module. Each test has services of its own on it (random names), so that
no alert of one test can meet another; each remediator has a journal and a configuration of its
own. Between Alertmanager and the remediator stands a `Wire` that writes down what passes.
"""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Lock
from typing import Any

import docker as engine_client
import httpx
from typing_extensions import override

from tests.http_fakes import served
from tests.integration.edge_containers import (
    DOCKER_URL,
    REDIS_IMAGE,
    container,
    docker_logs,
    free_port,
    process,
    until,
)
from tests.integration.edge_monitoring import SLOW, is_ready, program

TOKEN = "correct-horse"
AUTH = {"Authorization": f"Bearer {TOKEN}"}

# PID 1 that ends at once when it is told to, and writes a line at each start: what was done to
# it can be counted from outside, whatever the journal says.
SLEEPER = 'echo started; trap "exit 0" TERM; while :; do sleep 600 & wait; done'

RULES = """
groups:
  - name: live
    rules:
      - alert: ServiceDown
        expr: compose_service_state{state="exited", service!~"db-.*|late-.*"} == 1
        labels: {severity: P1}
      - alert: LateToClear
        expr: max_over_time(compose_service_state{state="exited", service=~"late-.*"}[4s]) == 1
        labels: {severity: P1}
      - alert: DatabaseDown
        expr: compose_service_state{state="exited", service=~"db-.*"} == 1
        labels: {severity: P1}
"""


@dataclass
class World:
    """What there is to watch: services on containers, as the exporter tells of them.

    A service that `break_` has broken is mended by a restart of its container; `forced` says
    what is told of a service whatever its container does.
    """

    containers: dict[str, str] = field(default_factory=dict)
    forced: dict[str, bool] = field(default_factory=dict)
    watched: bool = True  # False: the exporter answers nothing good
    _broken: dict[str, str] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        # One connection: it is asked under the lock.
        self._engine = engine_client.APIClient(base_url=DOCKER_URL, version="1.41")

    def close(self) -> None:
        self._engine.close()

    def break_(self, service: str) -> None:
        with self._lock:
            state = self._engine.inspect_container(self.containers[service])["State"]
            self._broken[service] = state["StartedAt"]

    def is_well(self, service: str) -> bool:
        with self._lock:
            return self._is_well(service)

    def _is_well(self, service: str) -> bool:
        if service in self.forced:
            return self.forced[service]
        state = self._engine.inspect_container(self.containers[service])["State"]
        return bool(state["Running"]) and state["StartedAt"] != self._broken.get(service)

    def starts(self, service: str) -> int:
        """How often its container was started, by its own account."""
        with self._lock:
            return int(self._engine.logs(self.containers[service]).count(b"started"))

    def text(self) -> str:
        with self._lock:
            well = {service: self._is_well(service) for service in self.containers | self.forced}
        return "".join(
            f'compose_service_state{{service="{service}",state="running"}} {int(up)}\n'
            f'compose_service_state{{service="{service}",state="exited"}} {int(not up)}\n'
            for service, up in well.items()
        )

    @contextmanager
    def service(self, kind: str = "web", does: str = SLEEPER) -> Iterator[str]:
        """A service on a container of its own; its name begins with `kind`."""
        name = f"{kind}-{secrets.token_hex(3)}"
        with container(REDIS_IMAGE, "bash", "-c", does) as made:
            until(lambda: "started" in docker_logs(made))
            self.containers[name] = made
            try:
                yield name
            finally:
                with self._lock:
                    del self.containers[name]
                    self.forced.pop(name, None)


@contextmanager
def exporter_of(world: World) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = world.text().encode()
            with suppress(BrokenPipeError, ConnectionResetError):  # who asked has given up
                self.send_response(200 if world.watched else 500)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        @override
        def log_message(self, *arguments: object) -> None: ...

    with served(Handler) as url:
        yield url


@dataclass
class Passed:
    """One webhook that came by, and what was answered."""

    body: dict[str, Any]
    status: int

    def tells_of(self, service: str) -> bool:
        return any(alert["labels"].get("service") == service for alert in self.body["alerts"])

    def statuses(self, service: str) -> set[str]:
        """firing, resolved, or both, of the service's alerts."""
        mine = (a for a in self.body["alerts"] if a["labels"].get("service") == service)
        return {alert["status"] for alert in mine}


@dataclass
class Wire:
    """Between Alertmanager and the remediators. `to`: whose webhooks go where, by service."""

    url: str = ""
    to: dict[str, str] = field(default_factory=dict)
    passed: list[Passed] = field(default_factory=list)

    def of(self, service: str) -> list[Passed]:
        return [one for one in self.passed if one.tells_of(service)]

    def pass_on(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        """The answer's status; 502 when nobody is there, as a proxy would say."""
        told, status = json.loads(body), 502
        services = [alert["labels"].get("service", "") for alert in told["alerts"]]
        to = next((self.to[service] for service in services if service in self.to), None)
        if to is not None:
            kept = {"Authorization": headers.get("Authorization", "")}
            try:
                answer = httpx.post(
                    f"{to}{path}", content=body, headers=kept, timeout=30, trust_env=False
                )
                status = answer.status_code
            except httpx.HTTPError:
                status = 502
        self.passed.append(Passed(told, status))
        return status


@contextmanager
def a_wire() -> Iterator[Wire]:
    wire = Wire()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = wire.pass_on(self.path, dict(self.headers), body)
            with suppress(BrokenPipeError, ConnectionResetError):
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

        @override
        def log_message(self, *arguments: object) -> None: ...

    with served(Handler) as wire.url:
        yield wire


# By the beginning of the service's name: what a test needs to be told otherwise.
ROUTES = """
route:
  receiver: the.remediator
  group_by: [service]
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 1h
  routes:
    - {matchers: ['service=~"shared-.*"'], group_by: [alertname]}
    - {matchers: ['service=~"resent-.*"'], repeat_interval: 1s}
    - {matchers: ['service=~"slow-.*"'], group_interval: 10s}
    - {matchers: ['service=~"cut-.*"'], receiver: one.alert, group_by: [alertname]}
"""


class Alertmanager:
    """The real one, with a webhook; can be killed and started again."""

    def __init__(self, folder: Path, webhook: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.url = f"http://127.0.0.1:{free_port()}"
        (folder / "token").write_text(TOKEN)
        hook = f"""
      - url: {webhook}/webhook/alertmanager
        http_config:
          authorization: {{credentials_file: {folder}/token}}
          follow_redirects: false
"""
        (folder / "alertmanager.yml").write_text(f"""{ROUTES}
receivers:
  - name: the.remediator
    webhook_configs:{hook}
  - name: one.alert
    webhook_configs:{hook}
        max_alerts: 1
""")
        self._running = ExitStack()

    def start(self) -> None:
        log = self.folder / f"alertmanager-{secrets.token_hex(2)}.log"
        self.log = log
        command = [
            program("prometheus-alertmanager", "alertmanager"),
            f"--config.file={self.folder}/alertmanager.yml",
            f"--storage.path={self.folder}/data",
            f"--web.listen-address={self.url.removeprefix('http://')}",
            "--cluster.listen-address=",
            "--log.level=debug",
        ]
        self.process = self._running.enter_context(process(*command, log=log))
        until(lambda: is_ready(self.url), what="Alertmanager is ready", within_seconds=SLOW)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)
        self._running.close()

    def stop(self) -> None:
        self._running.close()

    def flushes(self, service: str) -> int:
        """How often it has looked at the alerts of the service and thought of sending."""
        lines = self.log.read_text(errors="replace").splitlines()
        return sum("msg=flushing" in line and service in line for line in lines)

    def has(self, name: str, service: str) -> bool:
        """It holds the alert as one that fires."""
        query = {"filter": [f'alertname="{name}"', f'service="{service}"']}
        found = httpx.get(f"{self.url}/api/v2/alerts", params=query, trust_env=False).json()
        return bool(found)

    def alerts(self, name: str) -> list[dict[str, Any]]:
        query = {"filter": f'alertname="{name}"'}
        answer = httpx.get(f"{self.url}/api/v2/alerts", params=query, trust_env=False)
        found: list[dict[str, Any]] = answer.json()
        return found

    def silence(self, service: str) -> Callable[[], None]:
        """Begins one; what is given back ends it."""
        matcher = {"name": "service", "value": service, "isRegex": False, "isEqual": True}
        body = {
            "matchers": [matcher],
            "startsAt": "2020-01-01T00:00:00Z",
            "endsAt": "2999-01-01T00:00:00Z",
            "createdBy": "ann",
            "comment": "at work",
        }
        answer = httpx.post(f"{self.url}/api/v2/silences", json=body, trust_env=False)
        name = answer.raise_for_status().json()["silenceID"]

        def end() -> None:
            httpx.delete(f"{self.url}/api/v2/silence/{name}", trust_env=False).raise_for_status()

        return end

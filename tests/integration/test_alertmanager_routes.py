"""The shipped alertmanager.yml in a real Alertmanager: who hears what, seen at the far end."""

import http.server
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from remediator.notify import AlertmanagerPager
from remediator.ports import Notice

REPO = Path(__file__).resolve().parents[2]
TOKEN = "token-of-the-remediator"
SERVICE_DOWN = {
    "alertname": "ServiceDown",
    "severity": "P1",
    "service": "frontend",
    "remediation": "restart-service",
}
POSTGRES_DOWN = {
    "alertname": "PostgresDown",
    "severity": "P0",
    "service": "postgres",
    "remediation": "restart-database",
}
NOT_READY = {
    "alertname": "BackendNotReady",
    "severity": "P1",
    "service": "backend-blue",
    "remediation": "restart-service",
}


@dataclass
class Received:
    """What came in at one address."""

    port: int
    requests: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)

    def text(self) -> str:
        return json.dumps([body for _, body in self.requests])


@contextmanager
def listening() -> Iterator[Received]:
    received = Received(0)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.requests.append((dict(self.headers), json.loads(body)))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


class Alertmanager:
    """The shipped configuration with the addresses and secrets of a test."""

    def __init__(
        self, program: str, folder: Path, webhook: int, slack: int, oncall: int | None = None
    ) -> None:
        (folder / "token").write_text(TOKEN)
        (folder / "slack").write_text(f"http://127.0.0.1:{slack}/services/x")
        text = (REPO / "alert_rules" / "alertmanager.yml").read_text()
        for shipped, here in {
            "http://remediator:9181": f"http://127.0.0.1:{webhook}",
            "/run/secrets/remediator_token": str(folder / "token"),
            "/run/secrets/slack_webhook_url": str(folder / "slack"),
            "group_wait: 2m": "group_wait: 2s",
        }.items():
            assert shipped in text
            text = text.replace(shipped, here)
        document = yaml.safe_load(text)
        for route in document["route"]["routes"]:
            if any(name in str(route.get("matchers")) for name in ("Watchdog", "Progress")):
                route |= {"group_interval": "1s", "repeat_interval": "1s"}
        if oncall is not None:  # as a pager would stand beside the channel
            (folder / "oncall").write_text(f"http://127.0.0.1:{oncall}/services/x")
            (own,) = (one for one in document["receivers"] if one["name"] == "oncall")
            (slack_config,) = own["slack_configs"]
            own["slack_configs"] = [slack_config | {"api_url_file": str(folder / "oncall")}]
        (folder / "alertmanager.yml").write_text(yaml.safe_dump(document))
        self.url = f"http://127.0.0.1:{free_port()}"
        self.process = subprocess.Popen(
            [
                program,
                f"--config.file={folder / 'alertmanager.yml'}",
                f"--storage.path={folder / 'data'}",
                f"--web.listen-address={self.url.removeprefix('http://')}",
                "--cluster.listen-address=",
                "--log.level=error",
            ]
        )
        try:
            wait_until(self.ready, "Alertmanager does not start")
        except AssertionError:
            self.stop()
            raise

    def ready(self) -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/-/ready", trust_env=False).is_success
        return False

    def fire(self, *alerts: dict[str, str]) -> None:
        self._post([{"labels": labels, "annotations": {"summary": "s"}} for labels in alerts])

    def resolve(self, labels: dict[str, str]) -> None:
        self._post([{"labels": labels, "endsAt": datetime.now(UTC).isoformat()}])

    def _post(self, body: list[dict[str, Any]]) -> None:
        answer = httpx.post(f"{self.url}/api/v2/alerts", json=body, trust_env=False)
        answer.raise_for_status()

    def state_of(self, name: str) -> str:
        answer = httpx.get(f"{self.url}/api/v2/alerts", trust_env=False)
        (alert,) = (a for a in answer.json() if a["labels"]["alertname"] == name)
        state: str = alert["status"]["state"]
        return state

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=10)


@pytest.fixture
def remediator() -> Iterator[Received]:
    with listening() as received:
        yield received


@pytest.fixture
def slack() -> Iterator[Received]:
    with listening() as received:
        yield received


@pytest.fixture
def alertmanager(
    tool: Callable[[str], str], tmp_path: Path, remediator: Received, slack: Received
) -> Iterator[Alertmanager]:
    running = Alertmanager(tool("alertmanager"), tmp_path, remediator.port, slack.port)
    try:
        yield running
    finally:
        running.stop()


def test_nobody_is_paged_for_a_p1_that_was_mended_in_its_grace(
    alertmanager: Alertmanager, remediator: Received, slack: Received
) -> None:
    alertmanager.fire(SERVICE_DOWN)
    wait_until(lambda: "frontend" in remediator.text(), "the remediator was not told")
    alertmanager.resolve(SERVICE_DOWN)
    # Told later and with the same grace: when this one is out, the first one's time is over.
    alertmanager.fire({**SERVICE_DOWN, "service": "nginx"})
    wait_until(lambda: "nginx" in slack.text(), "on-call was not told")

    assert "FIRING P1 ServiceDown frontend" not in slack.text()


def test_the_remediator_and_on_call_both_hear_of_what_lasts(
    alertmanager: Alertmanager, remediator: Received, slack: Received
) -> None:
    alertmanager.fire(SERVICE_DOWN)
    wait_until(lambda: bool(remediator.requests and slack.requests), "not everybody heard", 10)

    headers, body = remediator.requests[0]
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert body["groupLabels"] == {"alertname": "ServiceDown", "service": "frontend"}
    assert body["truncatedAlerts"] == 0
    message = slack.requests[0][1]
    assert message["channel"] == "#incidents"
    assert "P1 ServiceDown frontend (1)" in slack.text()


def test_on_call_hears_what_the_remediator_cannot_take(
    tool: Callable[[str], str], tmp_path: Path, slack: Received
) -> None:
    running = Alertmanager(tool("alertmanager"), tmp_path, free_port(), slack.port)
    try:
        running.fire(SERVICE_DOWN)
        wait_until(lambda: "ServiceDown" in slack.text(), "on-call was not told", 10)
    finally:
        running.stop()


def test_an_alert_for_humans_only_does_not_reach_the_remediator(
    alertmanager: Alertmanager, remediator: Received, slack: Received
) -> None:
    escalated = {"alertname": "RemediationEscalated", "severity": "P1", "service": "redis"}
    manual = {**escalated, "alertname": "ErrorBurst", "remediation": "manual"}
    alertmanager.fire(escalated, manual)
    wait_until(
        lambda: "RemediationEscalated" in slack.text() and "ErrorBurst" in slack.text(),
        "on-call was not told",
    )

    assert remediator.requests == []


def test_the_watchdog_reaches_the_remediator_again_and_again_and_nobody_else(
    alertmanager: Alertmanager, remediator: Received, slack: Received
) -> None:
    alertmanager.fire({"alertname": "Watchdog", "severity": "none", "remediation": "manual"})
    wait_until(lambda: len(remediator.requests) > 1, "the remediator was not told twice")
    assert "Watchdog" not in slack.text()


def test_the_channel_hears_how_far_a_p0_is_and_its_end_and_nobody_is_paged_for_that(
    tool: Callable[[str], str], tmp_path: Path, remediator: Received, slack: Received
) -> None:
    with listening() as pager:
        running = Alertmanager(
            tool("alertmanager"), tmp_path, remediator.port, slack.port, oncall=pager.port
        )
        try:
            with closing(AlertmanagerPager(running.url, clock=lambda: datetime.now(UTC))) as sender:
                progress = a_notice("RemediationProgress", "acknowledged: restarting postgres")
                sender.fire(progress)
                wait_until(lambda: "restarting postgres" in slack.text(), "nobody was told")
                # The newest words come with the next repetition, and the end with its own.
                sender.fire(a_notice("RemediationProgress", "verifying postgres"))
                wait_until(lambda: "verifying postgres" in slack.text(), "it was not repeated")
                sender.end(a_notice("RemediationProgress", "resolved: mended in 12 s"))
                wait_until(lambda: "mended in 12 s" in slack.text(), "its end was not told")
                assert "RESOLVED P0 RemediationProgress postgres" in slack.text()
                # After this one is through, a page for the progress would be too.
                sender.fire(a_notice("RemediationEscalated", "postgres was not mended"))
                wait_until(lambda: "was not mended" in pager.text(), "on-call was not told")
        finally:
            running.stop()
        assert "FIRING P0 RemediationEscalated postgres" in pager.text()
        assert "RemediationProgress" not in pager.text()
        assert remediator.requests == []


def a_notice(name: str, summary: str) -> Notice:
    labels = {
        "alertname": name,
        "severity": "P0",
        "service": "postgres",
        "incident": "7",
        "remediation": "manual",
    }
    return Notice(labels, {"summary": summary}, "http://remediator")


def test_what_follows_from_a_dead_database_is_not_told(
    alertmanager: Alertmanager, remediator: Received, slack: Received
) -> None:
    alertmanager.fire(POSTGRES_DOWN)
    wait_until(lambda: "PostgresDown" in slack.text(), "on-call was not told")
    # What is down itself is told in spite of it, and after its message the other's time is over.
    alertmanager.fire(NOT_READY, SERVICE_DOWN)
    wait_until(
        lambda: "ServiceDown" in slack.text() and "ServiceDown" in remediator.text(),
        "what is down was not told",
    )

    assert "BackendNotReady" not in slack.text() + remediator.text()
    assert alertmanager.state_of("BackendNotReady") == "suppressed"


def test_the_configuration_names_only_receivers_that_are_used() -> None:
    document = yaml.safe_load((REPO / "alert_rules" / "alertmanager.yml").read_text())
    used = {route["receiver"] for route in document["route"]["routes"]}

    assert {receiver["name"] for receiver in document["receivers"]} == used

"""The real command as a process: it serves, is durable, refuses a second one, and stops."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders import a_body
from tests.http_fakes import Answer, fake_server

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "remediator" / "valid.yml"
TOKEN = "correct-horse"
ALERT = {"alertname": "ServiceDown", "service": "web"}


class Process:
    """The remediator on a port of its own; what it needs to ask is not there."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        (folder / "token").write_text(f"{TOKEN}\n")
        text = GOLDEN.read_text()
        for old, new in {
            "127.0.0.1:9181": f"127.0.0.1:{port}",
            "state/remediator.sqlite": f"{folder}/state/remediator.sqlite",
            "secrets/token": f"{folder}/token",
            "http://prometheus:9090": "http://127.0.0.1:9",
            "http://alertmanager:9093": "http://127.0.0.1:9",
            "mode: observe": "mode: auto\nreconcile_interval: 200ms",
        }.items():
            assert old in text
            text = text.replace(old, new)
        self.config = folder / "remediator.yml"
        self.config.write_text(text)
        self.running: list[subprocess.Popen[str]] = []
        transport = httpx.HTTPTransport(retries=0)
        auth = {"Authorization": f"Bearer {TOKEN}"}
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers=auth, transport=transport
        )

    def start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "remediator.main", f"--config.file={self.config}"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.running.append(process)
        return process

    def started(self) -> subprocess.Popen[str]:
        process = self.start()
        assert process.stderr is not None
        for line in process.stderr:
            if "listening on" in line:
                return process
        raise AssertionError("it ended before it listened")

    def incidents(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.http.get("/api/v1/incidents").json()["incidents"]
        return found

    def stop(self) -> None:
        self.http.close()
        for process in self.running:
            process.kill()
            process.communicate()


@pytest.fixture
def remediator(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path)
    yield process
    process.stop()


def test_what_was_answered_200_survives_kill_9(remediator: Process) -> None:
    process = remediator.started()
    answer = remediator.http.post("/webhook/alertmanager", json=a_body(ALERT))
    process.kill()
    process.wait()
    assert answer.status_code == 200

    remediator.started()
    (incident,) = remediator.incidents()
    assert incident["alerts"][0]["labels"] == ALERT
    assert incident["state"] == "open"


EMPTY = '{"status": "success", "data": {"resultType": "vector", "result": []}}'
NONE = '{"status": "success", "data": {"alerts": []}}'


def test_it_gives_a_sign_of_life_while_all_that_it_needs_works(remediator: Process) -> None:
    answers = {"query": Answer(EMPTY), "alerts": Answer(NONE), "uuid": Answer("OK")}
    with fake_server(answers) as outside:
        text = remediator.config.read_text().replace(
            'prometheus: {url: "http://127.0.0.1:9"', f'prometheus: {{url: "{outside.url}"'
        )
        more = (
            f'heartbeat: {{url: "{outside.url}/ping/uuid", interval: 100ms}}\n'
            f'github: {{repository: o/n, token_file: none, api_url: "{outside.url}"}}\n'
            "watchdog: {}\n"
        )
        remediator.config.write_text(text + more)
        remediator.started()
        deadline = time.monotonic() + 20
        while [path for _, path in outside.requests].count("/ping/uuid") < 2:
            assert time.monotonic() < deadline, "no sign of life"
            time.sleep(0.02)
    assert remediator.http.get("/api/v1/status").json()["watchdog"]["missing"] is False
    metrics = remediator.http.get("/metrics").text
    assert "remediator_watchdog_last_seen_timestamp_seconds 0.0" in metrics


def test_a_second_process_is_refused_with_a_sentence(remediator: Process) -> None:
    remediator.started()
    second = remediator.start()
    _, said = second.communicate(timeout=20)
    assert second.returncode == 1
    assert "another remediator works on this state file" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_it_is_told(remediator: Process, number: signal.Signals) -> None:
    process = remediator.started()
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "stopping" in said
    assert "Traceback" not in said


def test_an_empty_token_file_stops_the_start(remediator: Process, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(" \n")
    process = remediator.start()
    _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "must hold the token" in said


@pytest.mark.parametrize(
    ("head", "body", "code"),
    [
        (b"Content-Length: 2000000\r\n", b" " * 2_000_000, b"413"),
        (b"Content-Length: 99000000\r\n", b"", b"413"),
        (
            b"Transfer-Encoding: chunked\r\n",
            b"%x\r\n%b\r\n0\r\n\r\n" % (2**20 + 1, b" " * (2**20 + 1)),
            b"413",
        ),
        (b"Content-Length: 1\r\n", b"{}", b"400"),
        (b"Content-Length: -5\r\n", b"{}", b"400"),
    ],
    ids=["large", "claimed", "chunked", "short", "negative"],
)
def test_lengths_on_the_wire_are_not_believed(
    remediator: Process, head: bytes, body: bytes, code: bytes
) -> None:
    remediator.started()
    request = (
        b"POST /webhook/alertmanager HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Authorization: Bearer correct-horse\r\n" + head + b"\r\n" + body
    )
    address = (remediator.http.base_url.host, remediator.http.base_url.port or 0)
    with socket.create_connection(address, timeout=10) as wire:
        wire.sendall(request)
        answer = wire.recv(65536)
    assert answer.split(b" ", 2)[1] == code
    assert remediator.http.get("/-/ready").status_code == 200


def command(remediator: Process, *words: str) -> subprocess.CompletedProcess[str]:
    url = str(remediator.http.base_url)
    token = remediator.config.with_name("token")
    where = ("--url", url, "--token-file", str(token), "--by", "ann")
    line = [sys.executable, "-m", "remediator.main", *words, *where]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


def test_a_deploy_script_takes_and_releases_the_lock(remediator: Process) -> None:
    remediator.started()
    assert command(remediator, "deploy-lock", "show").returncode == 1

    taken = command(remediator, "deploy-lock", "take", "--reason", "v2", "--minutes", "5")
    assert (taken.returncode, taken.stdout[:11]) == (0, "held until ")
    again = command(remediator, "deploy-lock", "take", "--reason", "v3", "--wait", "1")
    assert again.returncode == 1
    assert again.stderr.startswith("ann deploys until ")
    shown = command(remediator, "deploy-lock", "show")
    assert (shown.returncode, shown.stdout[-5:]) == (0, ": v2\n")

    released = command(remediator, "deploy-lock", "release")
    assert (released.returncode, released.stdout[:18]) == (0, "released; ann had ")
    assert command(remediator, "deploy-lock", "release").returncode == 1


def test_the_command_line_says_what_is_wrong_and_never_shows_a_traceback(
    remediator: Process,
) -> None:
    away = command(remediator, "approvals")
    assert away.returncode == 2
    assert away.stderr.startswith("cannot ask the remediator at http://127.0.0.1:")
    remediator.started()
    assert command(remediator, "approvals").returncode == 0
    unknown = command(remediator, "approve", "7", "abc")
    assert unknown.returncode == 1
    assert "Run 7 does not wait for an answer about plan abc" in unknown.stderr
    remediator.config.with_name("token").write_text("wrong")
    refused = command(remediator, "deny", "7", "abc")
    assert refused.returncode == 2
    assert refused.stderr.startswith("the remediator says 401: ")
    assert "Traceback" not in away.stderr + unknown.stderr + refused.stderr


def test_a_profile_stands_in_for_keys_of_the_configuration(remediator: Process) -> None:
    profile = remediator.config.with_name("profile.yml")
    profile.write_text("mode: nonsense\n")
    line = [sys.executable, "-m", "remediator.main", "--config.check"]
    line += ["--config.file", str(remediator.config), "--config.profile", str(profile)]
    bad = subprocess.run(line, capture_output=True, text=True, check=False)
    assert bad.returncode == 2
    assert f"{remediator.config} with {profile}: 1 mistake" in bad.stderr
    profile.write_text("mode: observe\n")
    assert subprocess.run(line, capture_output=True, check=False).returncode == 0

"""The engine's answers that the real one does not give on demand."""

import json
import time
from collections.abc import Mapping

import pytest

from remediator.actions import engine
from remediator.ports import Permanent, Transient
from tests.http_fakes import Answer, fake_server

VERSION = Answer('{"ApiVersion": "1.41"}')
STATE = {
    "Status": "running",
    "ExitCode": 0,
    "OOMKilled": False,
    "Error": "",
    "StartedAt": "2026-01-01T00:00:00.123456789Z",
    "FinishedAt": "0001-01-01T00:00:00Z",
}
INSPECTED = Answer(json.dumps({"State": STATE, "Config": {}, "RestartCount": 2}))


def ask(answers: Mapping[str, Answer], *, timeout_seconds: float = 1) -> engine.Container:
    with fake_server({"version": VERSION, **answers}) as fake:
        url = fake.url.replace("http://", "tcp://")
        with engine.connect(url, timeout_seconds=timeout_seconds) as connected:
            return connected.inspect("app")


def test_a_container_is_read_as_a_value() -> None:
    found = ask({"json": INSPECTED})
    assert found.started_at.isoformat() == "2026-01-01T00:00:00.123456+00:00"
    assert found.restart_count == 2
    assert found.health is None
    assert found.start_period_seconds == 0


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (Answer('{"message": "boom"}', 500), Transient, "the engine says: boom"),
        (Answer("bad gateway", 502), Transient, "bad gateway"),
        (Answer("", 403), Permanent, "proxy forbids it; allow it there"),
        (Answer('{"message": "is paused"}', 409), Permanent, "refuses: is paused"),
        (Answer('{"message": "No such container: app"}', 404), Permanent, "docker compose up -d"),
        (Answer("<html>", 200), Transient, "inspect container app"),
        (Answer("{}", 200), Permanent, "an answer that is not the engine's"),
        (Answer("", 200, after_seconds=3), Transient, "did not answer in time"),
    ],
)
def test_every_failure_is_transient_or_permanent_and_names_the_container(
    answer: Answer, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words) as raised:
        ask({"json": answer})
    assert "inspect container app" in str(raised.value)


@pytest.mark.parametrize("version", [Answer("gone", 502), Answer("{}"), Answer("<html>")])
def test_an_engine_that_is_none_is_told_at_once(version: Answer) -> None:
    with pytest.raises((Transient, Permanent), match="reach the Docker engine at tcp://"):
        ask({"version": version})


def test_a_restart_that_hangs_ends_at_its_timeout() -> None:
    answers = {"version": VERSION, "restart": Answer(after_seconds=4)}
    with fake_server(answers) as fake:
        url = fake.url.replace("http://", "tcp://")
        with engine.connect(url, timeout_seconds=1) as connected:
            began = time.monotonic()
            with pytest.raises(Transient, match="it may still be doing it"):
                connected.restart("app", stop_timeout_seconds=1, timeout_seconds=2)
            assert time.monotonic() - began < 3.5
    assert fake.requests[-1] == ("POST", "/v1.41/containers/app/restart?t=1")


def test_the_environments_proxy_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert ask({"json": INSPECTED}).status == "running"


def test_a_command_that_has_not_ended_is_transient() -> None:
    answers = {
        "version": VERSION,
        "exec": Answer('{"Id": "7"}'),
        "start": Answer(""),
        "json": Answer('{"ExitCode": null}'),
    }
    with fake_server(answers) as fake:
        url = fake.url.replace("http://", "tcp://")
        with (
            engine.connect(url, timeout_seconds=1) as connected,
            pytest.raises(Transient, match="has not ended"),
        ):
            connected.execute("nginx", ["nginx", "-t"])
    assert json.loads(fake.bodies[1])["Cmd"] == ["nginx", "-t"]

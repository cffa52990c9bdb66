"""The real remediator while its way to the Docker engine is away, hangs or answers nonsense."""

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from typing_extensions import override

from tests.http_fakes import served
from tests.integration.edge_containers import DOCKER_SOCKET, needs_docker
from tests.integration.live_remediator import Stage, a_remediator, a_runbook, a_stage

pytestmark = [pytest.mark.integration, needs_docker]


@dataclass
class WayToEngine:
    """Passes calls on. Those whose path ends in `bad` it answers as `how` says.

    `lost`: the call never arrives. `hangs`, `nonsense`: it does, but its answer does not.
    """

    bad: str = ""
    how: str = ""
    url: str = ""
    over: threading.Event = field(default_factory=threading.Event)


class _Engine(http.client.HTTPConnection):
    @override
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(DOCKER_SOCKET))


@contextmanager
def way_to_engine(*, bad: str, how: str) -> Iterator[WayToEngine]:
    way = WayToEngine(bad, how)

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            self.close_connection = True
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            is_bad = bool(way.how) and self.path.partition("?")[0].endswith(way.bad)
            if is_bad and way.how == "lost":
                return
            engine = _Engine("engine")
            engine.request(self.command, self.path, body, {"Host": "docker"})
            answer = engine.getresponse()
            content = answer.read()
            engine.close()
            if is_bad and way.how == "hangs":
                way.over.wait()
                return
            if is_bad and self.command == "GET":
                content = b"[1, 2"
            elif is_bad:
                self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
                return
            with suppress(BrokenPipeError, ConnectionResetError):
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.headers.get("Content-Type", ""))
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        do_GET = do_POST = handle_any  # noqa: N815 - the library's names

        @override
        def log_message(self, *arguments: object) -> None: ...

    with served(Handler) as url:
        way.url = url.replace("http://", "tcp://")
        try:
            yield way
        finally:
            way.over.set()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with a_stage(tmp_path_factory.mktemp("stage")) as stage:
        yield stage


@dataclass(frozen=True)
class Case:
    """What is wrong with which call, on a step that is repeated so; and what comes of it."""

    bad: str
    how: str
    repeat: str
    said: str
    restarts: int

    def __str__(self) -> str:
        return f"{self.bad[1:]}-{self.how}"


CASES = [
    Case("/json", "lost", "if_not_done", "cannot", 0),
    Case("/json", "hangs", "if_not_done", "did not answer in time", 0),
    Case("/json", "nonsense", "never", "cannot inspect container", 0),
    Case("/restart", "lost", "never", "cannot restart container", 0),
    Case("/restart", "hangs", "if_not_done", "it may still be doing it", 1),
    Case("/restart", "nonsense", "never", "cannot restart container", 1),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_engine_in_trouble_fails_the_run_calls_a_human_and_nothing_is_repeated(
    stage: Stage, tmp_path: Path, case: Case
) -> None:
    alert, kind = {
        "if_not_done": ("ServiceDown", "web"),
        "never": ("DatabaseDown", "db"),
    }[case.repeat]
    runbook = a_runbook("restart", alert, case.repeat)
    runbook["steps"][0] |= {"timeout": "6s"}
    with (
        stage.world.service(kind) as service,
        way_to_engine(bad=case.bad, how=case.how) as way,
        a_remediator(
            stage, tmp_path, [service], runbooks=[runbook], docker={"url": way.url}
        ) as remediator,
    ):
        remediator.start()
        stage.world.forced[service] = False
        remediator.until(lambda: remediator.is_paged(service), "a human is called")
        (incident,) = remediator.incidents(service)
        assert [run["state"] for run in incident["runs"]] == ["failed"]
        assert case.said in incident["runs"][0]["detail"]
        assert incident["runs"][0]["reason"] in {"action_failed", "action_timeout"}
        way.how = ""  # and now the engine is well again
        way.over.set()
        remediator.goes_round(3)
        assert remediator.runs(service) == ["failed"]
        assert stage.world.starts(service) == 1 + case.restarts
        assert "Traceback" not in remediator.said()

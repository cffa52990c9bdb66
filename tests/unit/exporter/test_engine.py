"""The reads of the engine's API, against a socket that answers as one does, or does not."""

import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from exporter.collectors.engine import ERRORS, EngineClient, NotFound, Refused

EVENT = {"Action": "die", "timeNano": 5}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "Engine"

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        path = self.path.partition("?")[0]
        if path == "/events":
            self._stream()
        elif path == "/containers/a/logs":
            frames = [b"2026-11-24T10:00:00.5Z one\n", b"2026-11-24T10:00:01Z two\n"]
            body = b"".join(b"\1\0\0\0" + len(f).to_bytes(4, "big") + f for f in frames)
            self._send(200, body)
        elif path in self.server.documents:
            self._send(200, json.dumps(self.server.documents[path]).encode())
        elif path == "/forbidden":
            self._send(403, b"refused by engine-ro\n")
        else:
            self._send(404, b'{"message": "No such container"}')
        self.close_connection = self.server.ends_connections

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        line = json.dumps(EVENT).encode() + b"\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.server.quiet.wait(30)
        self.close_connection = True

    @override
    def address_string(self) -> str:
        return "unix"

    @override
    def log_message(self, format: str, *args: Any) -> None:
        pass


class Engine(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def __init__(self, path: Path) -> None:
        self.documents: dict[str, object] = {
            "/containers/json": [{"Id": "a"}],
            "/containers/a/json": {"Id": "a", "Config": {"Tty": False}},
            "/info": {"NCPU": 2},
        }
        self.paths: list[str] = []
        self.connections = 0
        self.ends_connections = False
        self.quiet = threading.Event()
        super().__init__(str(path), Handler)

    @override
    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)


@contextmanager
def served(path: Path) -> Iterator[Engine]:
    with Engine(path) as engine:
        thread = threading.Thread(target=engine.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield engine
        finally:
            engine.quiet.set()
            engine.shutdown()
            thread.join()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with served(tmp_path / "engine.sock") as one:
        yield one


@pytest.fixture
def client(engine: Engine) -> Iterator[EngineClient]:
    one = EngineClient(f"unix://{engine.server_address!s}", 5.0)
    yield one
    one.close()


def test_reads_share_one_connection(engine: Engine, client: EngineClient) -> None:
    assert [item["Id"] for item in client.containers()] == ["a"]
    assert client.inspect("a")["Id"] == "a"
    assert client.info()["NCPU"] == 2
    assert engine.connections == 1
    assert engine.paths == ["/containers/json?all=1", "/containers/a/json", "/info"]


def test_a_kept_connection_that_the_other_side_ended_is_made_anew(
    engine: Engine, client: EngineClient
) -> None:
    engine.ends_connections = True

    assert client.info() == client.info()
    assert engine.connections == 2


def test_a_container_that_is_gone_is_not_found_and_the_connection_goes_on(
    engine: Engine, client: EngineClient
) -> None:
    with pytest.raises(NotFound, match="404: No such container"):
        client.inspect("b")
    assert client.info()
    assert engine.connections == 1


def test_a_name_cannot_lead_to_another_path(engine: Engine, client: EngineClient) -> None:
    with pytest.raises(Refused):
        client.inspect("../info?x=")
    assert engine.paths == ["/containers/..%2Finfo%3Fx%3D/json"]


def test_events_come_as_they_happen_and_close_ends_the_wait(
    engine: Engine, client: EngineClient
) -> None:
    stream = client.events("1.5", {"type": ["container"]})
    events = iter(stream)
    assert next(events) == EVENT
    assert engine.paths == ["/events?filters=%7B%22type%22%3A+%5B%22container%22%5D%7D&since=1.5"]

    threading.Timer(0.05, stream.close).start()
    with pytest.raises((*ERRORS, StopIteration)):
        next(events)
    stream.release()


def test_a_log_comes_in_the_engines_own_form(engine: Engine, client: EngineClient) -> None:
    with client.log("a", "stdout", "7.000000001") as chunks:
        assert client.inspect("a")["Id"] == "a", "it may ask while it reads"
        text = b"".join(chunks)

    assert text.startswith(b"\1\0\0\0\0\0\0\x1b2026-11-24T10:00:00.5Z one\n\1")
    wanted = "/containers/a/logs?stdout=1&timestamps=1&since=7.000000001"
    assert engine.paths == [wanted, "/containers/a/json"]


def test_a_log_that_may_not_be_read_is_refused(client: EngineClient) -> None:
    with pytest.raises(NotFound), client.log("gone", "stdout", "7"):
        pass


def test_nobody_there_and_nonsense_are_among_the_errors(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        EngineClient(f"unix://{tmp_path}/none", 1.0).info()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        client = EngineClient(f"tcp://127.0.0.1:{silent.getsockname()[1]}", 0.1)
        with pytest.raises(TimeoutError):
            client.info()
        client.close()

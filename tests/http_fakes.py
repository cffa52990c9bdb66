"""HTTP servers on loopback that stand in for what is too heavy or too well behaved."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from typing_extensions import override


@dataclass(frozen=True)
class Answer:
    body: str = ""
    status: int = 200
    after_seconds: float = 0.0


@dataclass
class FakeServer:
    """Answers by the last part of the path, whatever comes before it; else 404."""

    answers: Mapping[str, Answer]
    url: str = ""
    requests: list[tuple[str, str]] = field(default_factory=list)  # method, path with query
    bodies: list[str] = field(default_factory=list)


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def fake_server(answers: Mapping[str, Answer]) -> Iterator[FakeServer]:
    fake = FakeServer(answers)

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            fake.bodies.append(self.rfile.read(length).decode())
            fake.requests.append((self.command, self.path))
            path = self.path.partition("?")[0]
            answer = fake.answers.get(path.rsplit("/", 1)[-1], Answer("nobody home", 404))
            time.sleep(answer.after_seconds)
            try:
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(answer.body.encode())))
                self.end_headers()
                self.wfile.write(answer.body.encode())
            except (BrokenPipeError, ConnectionResetError):
                pass  # the client has given up, which is what a slow answer is for

        do_GET = do_POST = handle_any  # noqa: N815 - the library's names

        @override
        def log_message(self, *arguments: object) -> None: ...

    with served(Handler) as fake.url:
        yield fake

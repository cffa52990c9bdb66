"""Stands where Slack would: prints every notification and shows them on one page.

Rule: it only listens. What it prints is what the on-call channel would have said.
"""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it runs on any Python image, without the package
    from typing_extensions import override
else:

    def override(method: object) -> object:
        return method


KEPT = 200
said: list[str] = []


class Pager(BaseHTTPRequestHandler):
    """POST keeps a message, GET lists what was said, newest first."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        for message in json.loads(body).get("attachments", []):
            text = f"{message.get('title', '').strip()}\n{message.get('text', '').strip()}"
            said.insert(0, text)
            print(text, flush=True)
        del said[KEPT:]
        self._answer(b"ok")

    def do_GET(self) -> None:
        self._answer("\n\n".join(said).encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, *_: object) -> None:
        """Say nothing about requests: the messages are the output."""


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", 8080), Pager).serve_forever()  # noqa: S104 - in its container

"""Stands where Slack, the pagers and the mail server would: prints all that anybody is told.

Rule: it only listens. GET shows on one page what was said, newest first.
"""

import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # it runs on any Python image, without the package
    from typing_extensions import override
else:

    def override(method: object) -> object:
        return method


KEPT = 200
said: list[str] = []


def say(text: str) -> None:
    said.insert(0, text)
    print(text, flush=True)
    del said[KEPT:]


class Pager(BaseHTTPRequestHandler):
    """POST takes Slack's messages and Alertmanager's own webhook, GET lists what was said."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        for text in messages(self.path, body):
            say(text)
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


def messages(path: str, body: dict[str, Any]) -> Iterator[str]:
    for message in body.get("attachments", []):
        title, text = message.get("title", "").strip(), message.get("text", "").strip()
        yield f"{body.get('channel', 'Slack')}: {title}\n{text}"
    for alert in body.get("alerts", []):
        labels, status = alert["labels"], alert["status"].upper()
        what = f"{labels.get('severity', '')} {labels['alertname']} {labels.get('service', '')}"
        yield f"page to {path.strip('/')}: {status} {what}"


class Mailbox(StreamRequestHandler):
    """As much of SMTP as Alertmanager speaks, without TLS; `take` gets each message.

    `take` is given who it is for, the message, and the name and password that were said.
    """

    take: Callable[[list[str], bytes, str], None]

    @override
    def handle(self) -> None:
        self.said_to_be = ""
        self._recipients: list[str] = []
        self._reply("220 demo")
        while line := self.rfile.readline().decode(errors="replace").strip():
            verb = line.split(" ", 1)[0].upper()
            if verb == "EHLO":
                self._reply("250-demo", "250 AUTH PLAIN LOGIN")
            elif verb == "AUTH":
                self.said_to_be = b64decode(line.split()[-1]).decode().replace("\0", ":").strip(":")
                self._reply("235 ok")
            elif verb == "RCPT":
                self._recipients.append(line.partition("<")[2].partition(">")[0])
                self._reply("250 ok")
            elif verb == "DATA":
                self._reply("354 go on")
                self.take(self._recipients, b"".join(self._lines()), self.said_to_be)
                self._recipients = []
                self._reply("250 ok")
            elif verb == "QUIT":
                self._reply("221 bye")
                return
            else:
                self._reply("250 ok")

    def _reply(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

    def _lines(self) -> Iterator[bytes]:
        while (line := self.rfile.readline()) not in {b".\r\n", b""}:
            yield line.removeprefix(b".") if line.startswith(b"..") else line


class PrintedMail(Mailbox):
    @staticmethod
    @override
    def take(recipients: list[str], message: bytes, _: str) -> None:
        subject = message_from_bytes(message, policy=policy.default)["Subject"]
        say(f"mail to {', '.join(recipients)}: {subject}")


if __name__ == "__main__":
    Thread(target=ThreadingTCPServer(("0.0.0.0", 2525), PrintedMail).serve_forever).start()  # noqa: S104
    ThreadingHTTPServer(("0.0.0.0", 8080), Pager).serve_forever()  # noqa: S104 - in its container

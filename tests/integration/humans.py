"""Whoever is told: Slack, pagers, the mail server and the remediator's webhook, on loopback.

And a real Alertmanager with the shipped alertmanager.yml, only its addresses, its waits and
its rota a test's own.
"""

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from threading import Thread
from typing import Any

import httpx
import yaml
from typing_extensions import override

from demo.pager.pager import Mailbox
from remediator.config_oncall import parse_oncall
from remediator.oncall_intervals import compiled, replaced
from tests.http_fakes import served
from tests.integration.edge_containers import free_port, process, until
from tests.integration.edge_monitoring import SLOW, is_ready, program

REPO = Path(__file__).resolve().parents[2]
ALERT_RULES = REPO / "alert_rules"
TOKENS = {
    "remediator_token": "token-of-the-remediator",
    "pager_token": "token-of-the-pager",
    "smtp_password": "password-of-smtp",
}


@dataclass(frozen=True)
class Told:
    """`way`: the path of a POST, as in `/team-a`, or `mail <address>`."""

    way: str
    text: str
    headers: Mapping[str, str]
    body: Any = None


@dataclass
class Humans:
    """All that anybody was told, in the order in which it came."""

    http: str = ""
    smtp: str = ""
    told: list[Told] = field(default_factory=list)

    def by(self, way: str, *words: str) -> list[Told]:
        """What came this way with all of the words in it."""
        found = [one for one in self.told if one.way == way]
        return [one for one in found if all(word in one.text for word in words)]

    def await_(self, way: str, *words: str, times: int = 1, seconds: float = SLOW) -> None:
        until(
            lambda: len(self.by(way, *words)) >= times,
            within_seconds=seconds,
            what=f"{way} is told {words} {times} times",
        )

    def ways(self, *words: str) -> set[str]:
        """Who was told of it."""
        return {one.way for one in self.told if all(word in one.text for word in words)}


@contextmanager
def humans() -> Iterator[Humans]:
    found = Humans()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            parsed = json.loads(body)
            found.told.append(Told(self.path, json.dumps(parsed), dict(self.headers), parsed))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        @override
        def log_message(self, *arguments: object) -> None: ...

    class Post(Mailbox):
        @staticmethod
        @override
        def take(recipients: list[str], message: bytes, said_to_be: str) -> None:
            mail = message_from_bytes(message, policy=policy.default)
            assert isinstance(mail, EmailMessage)
            headers = {"Subject": mail["Subject"], "Authorization": said_to_be}
            text = f"{mail['Subject']}\n{plain(mail)}"
            found.told += [Told(f"mail {to}", text, headers, mail) for to in recipients]

    with served(Handler) as found.http, ThreadingTCPServer(("127.0.0.1", 0), Post) as server:
        server.daemon_threads = True
        found.smtp = f"127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


def plain(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    return str(part.get_content()) if part is not None else ""


def a_rota(at: datetime | None = None, **changes: object) -> str:
    """An oncall.yml: team-a is on call until `at`, a whole minute, and then team-b.

    Without `at` team-a is on call for days.
    """
    at = at or datetime.now(UTC) + timedelta(days=3)
    first, day = at.date() - timedelta(days=7), f"{at:%a}".lower()
    document: dict[str, object] = {
        "version": 1,
        "timezone": "Etc/UTC",
        "teams": {team: team.title() for team in ("team-a", "team-b", "team-c")},
        "hand_over": {"day": day, "at": f"{at:%H:%M}"},
        "rota": [{"from": first, "order": ["team-a", "team-b", "team-c"]}],
        "ends": first + timedelta(weeks=4),
        "business_hours": all_day(),
    }
    return yaml.safe_dump(document | changes)


DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def all_day() -> dict[str, object]:
    return {"days": DAYS, "from": "00:00", "to": "23:59"}


class Alertmanager:
    """The shipped file in the real program; can be stopped or killed, and started again.

    `snapshots`: how often it writes down what was told and what is silenced.
    """

    def __init__(
        self,
        folder: Path,
        humans: Humans,
        *,
        rota: str | None = None,
        remediator: str | None = None,
        change: Callable[[dict[str, Any]], None] | None = None,
        snapshots: str = "15m",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.url = f"http://127.0.0.1:{free_port()}"
        self._places = {
            "http://remediator:9181": remediator or humans.http,
            "https://pager.piano-tutor.com": humans.http,
            "smtp.piano-tutor.com:587": humans.smtp,
            "/run/secrets/": f"{folder}/",
            "templates/*.tmpl": f"{ALERT_RULES}/templates/*.tmpl",
        }
        self._change, self._snapshots = change, snapshots
        secrets = dict(TOKENS)
        for name, channel in (("slack", "incidents"), ("slack_deployments", "deployments")):
            secrets[f"{name}_webhook_url"] = f"{humans.http}/{channel}"
        for name, value in secrets.items():
            (folder / name).write_text(value)  # 0.25 takes a line end for part of a password
        self.compile(rota or a_rota())
        self._running = ExitStack()

    def compile(self, rota: str) -> None:
        """As `oncall compile` does; what runs already has to reload it."""
        own = parse_oncall(rota, "oncall.yml")
        text = (ALERT_RULES / "alertmanager.yml").read_text()
        new = replaced(text, compiled(own.rota, own.zone_name))
        assert new is not None
        for shipped, here in self._places.items():
            assert shipped in new
            new = new.replace(shipped, here)
        document = yaml.safe_load(new)
        document["global"]["smtp_require_tls"] = False
        sooner(document["route"])
        if self._change is not None:
            self._change(document)
        (self.folder / "alertmanager.yml").write_text(yaml.safe_dump(document))

    def start(self) -> None:
        command = [
            program("prometheus-alertmanager", "alertmanager"),
            f"--config.file={self.folder / 'alertmanager.yml'}",
            f"--storage.path={self.folder / 'data'}",
            f"--data.maintenance-interval={self._snapshots}",
            f"--web.listen-address={self.url.removeprefix('http://')}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ]
        log = self.folder / "alertmanager.log"
        self._process = self._running.enter_context(process(*command, log=log))
        until(lambda: is_ready(self.url), what="Alertmanager is ready", within_seconds=SLOW)

    def stop(self) -> None:
        self._running.close()

    def kill(self) -> None:
        """As a lack of memory does it: nothing is written down any more."""
        self._process.kill()
        self._process.wait(20)
        self._running.close()

    def written(self, file: str, words: str) -> int:
        """How often the words are in the snapshot of that name, nflog or silences."""
        path = self.folder / "data" / file
        return path.read_bytes().count(words.encode()) if path.exists() else 0

    def amtool(self, *arguments: str) -> None:
        command = [program("amtool"), f"--alertmanager.url={self.url}", *arguments]
        subprocess.run(command, check=True, capture_output=True)

    def reload(self) -> None:
        httpx.post(f"{self.url}/-/reload", trust_env=False).raise_for_status()

    def fire(self, *alerts: Mapping[str, str], **annotations: str) -> None:
        words = {"summary": "s", "description": "d"} | annotations
        self._post([{"labels": dict(labels), "annotations": words} for labels in alerts])

    def resolve(self, *alerts: Mapping[str, str]) -> None:
        ended = datetime.now(UTC).isoformat()
        self._post([{"labels": dict(labels), "endsAt": ended} for labels in alerts])

    def _post(self, body: list[dict[str, Any]]) -> None:
        answer = httpx.post(f"{self.url}/api/v2/alerts", json=body, trust_env=False)
        answer.raise_for_status()

    def state_of(self, name: str) -> str:
        """active, suppressed, or gone."""
        answer = httpx.get(f"{self.url}/api/v2/alerts", trust_env=False)
        found = [a for a in answer.json() if a["labels"]["alertname"] == name]
        return str(found[0]["status"]["state"]) if found else "gone"

    def silence(self, **labels: str) -> None:
        now = datetime.now(UTC)
        matchers = [
            {"name": name, "value": value, "isRegex": False, "isEqual": True}
            for name, value in labels.items()
        ]
        times = {"startsAt": now.isoformat(), "endsAt": (now + timedelta(hours=1)).isoformat()}
        body = {"matchers": matchers, "createdBy": "ann", "comment": "at work"} | times
        answer = httpx.post(f"{self.url}/api/v2/silences", json=body, trust_env=False)
        answer.raise_for_status()

    def silences(self) -> list[str]:
        answer = httpx.get(f"{self.url}/api/v2/silences", trust_env=False)
        return [one["id"] for one in answer.json() if one["status"]["state"] == "active"]


def sooner(route: dict[str, Any]) -> None:
    """Waits of seconds in place of minutes; what is repeated stays as long as it is."""
    waits = {"0s": "0s", "30s": "1s", "2m": "2s"}
    if "group_wait" in route:  # else it has that of its parent
        route["group_wait"] = waits.get(route["group_wait"], route["group_wait"])
    if "group_interval" in route:
        route["group_interval"] = "1s"
    for child in route.get("routes", []):
        sooner(child)


@contextmanager
def an_alertmanager(
    folder: Path,
    humans: Humans,
    *,
    rota: str | None = None,
    remediator: str | None = None,
    change: Callable[[dict[str, Any]], None] | None = None,
    snapshots: str = "15m",
) -> Iterator[Alertmanager]:
    made = Alertmanager(
        folder, humans, rota=rota, remediator=remediator, change=change, snapshots=snapshots
    )
    try:
        made.start()
        yield made
    finally:
        made.stop()
    # A text that cannot be made is not tried again: nobody would hear.
    assert "template" not in (folder / "alertmanager.log").read_text()

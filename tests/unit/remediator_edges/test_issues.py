"""Issues on a GitHub that lives on loopback: one for an incident, whatever crashes or refuses."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from typing_extensions import override

from remediator.actions import ACTIONS
from remediator.config import load_config
from remediator.issues import TRIES, Github, IssueWriter
from remediator.journal import Issues
from remediator.ports import Check
from remediator.serve import page_of
from tests.builders import DOWN, FULL, Loop
from tests.http_fakes import served

REPO = Path(__file__).resolve().parents[3]
TOKEN = "ghp_secret"
REPOSITORY = "owner/name"
NO_HEADERS: Mapping[str, str] = {}


@dataclass
class FakeGithub:
    """Keeps issues. `refuse`: the status and headers of the next answers, before it works.

    `dies_after_creating`: the issue is there, and whoever asked never hears of it.
    """

    url: str = ""
    issues: list[dict[str, str]] = field(default_factory=list)
    refuse: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)
    dies_after_creating: bool = False


class Handler(BaseHTTPRequestHandler):
    """The two requests that there are; everything else is 404."""

    github: FakeGithub

    def do_GET(self) -> None:
        if self._begin():
            query = parse_qs(urlsplit(self.path).query)
            asked = {key: value[0] for key, value in query.items()}
            assert asked["state"] == "all"
            assert re.fullmatch(r"2026-01-0\dT\d\d:\d\d:\d\dZ", asked["since"])
            first = (int(asked["page"]) - 1) * int(asked["per_page"])
            self._answer(200, self.github.issues[::-1][first : first + int(asked["per_page"])])

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self._begin():
            number = len(self.github.issues) + 1
            url = f"https://github.com/{REPOSITORY}/issues/{number}"
            self.github.issues.append(body | {"html_url": url})
            if self.github.dies_after_creating:
                self.close_connection = True
            else:
                self._answer(201, self.github.issues[-1])

    def _begin(self) -> bool:
        self.github.asked.append(self.command)
        self.github.tokens.add(self.headers["Authorization"])
        if urlsplit(self.path).path != f"/repos/{REPOSITORY}/issues":
            self._answer(404, {})
            return False
        if self.github.refuse:
            status, headers = self.github.refuse.pop(0)
            self._answer(status, {"message": "no"}, headers)
            return False
        return True

    def _answer(self, status: int, value: object, headers: Mapping[str, str] = NO_HEADERS) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, *arguments: object) -> None: ...


@contextmanager
def fake_github() -> Iterator[FakeGithub]:
    github = FakeGithub()
    handler = type("Handler", (Handler,), {"github": github})
    with served(handler) as github.url:
        yield github


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    loop = Loop(tmp_path / "state.sqlite")
    yield loop
    loop.close()


@pytest.fixture
def github() -> Iterator[FakeGithub]:
    with fake_github() as github:
        yield github


def of_the_api(number: int) -> str:
    return f"http://r/api/v1/incidents/{number}/postmortem"


def turn(loop: Loop, github: FakeGithub) -> None:
    """As after a start: nothing is remembered but what the journal holds."""
    token_file = loop.path.with_name("token")
    token_file.write_text(f"{TOKEN}\n")
    api = Github(github.url, REPOSITORY, token_file, loop.clock)
    with closing(api):
        IssueWriter(Issues(loop.database), loop.records, api, of_the_api, loop.clock).turn()


def failed(loop: Loop) -> None:
    loop.verifier.verdicts = [Check.FAIL]
    loop.told(FULL)
    loop.turn()
    loop.alerts.firing.clear()
    loop.pass_seconds(16 * 60)
    loop.turn()
    loop.verifier.verdicts, loop.verifier.looks = [Check.PASS], 0


def mended(loop: Loop) -> None:
    loop.told(DOWN)
    loop.turn()
    assert loop.incidents()[-1]["state"] == "closed"


def test_what_was_not_mended_gets_one_issue_and_what_was_gets_none(
    loop: Loop, github: FakeGithub
) -> None:
    failed(loop)
    mended(loop)
    for _ in range(3):
        turn(loop, github)
        loop.pass_seconds(3600)
    (issue,) = github.issues
    assert issue["title"] == "Incident 1 failed: cache, flush-keys"
    assert issue["body"].startswith("<!-- stackmedic incident ")
    assert "# Post-mortem: incident 1, `cache`" in issue["body"]
    assert "http://r/api/v1/incidents/1/postmortem" in issue["body"]
    assert github.asked == ["GET", "POST"]
    assert github.tokens == {f"Bearer {TOKEN}"}
    assert [incident["issue"] for incident in loop.incidents()] == [issue["html_url"], None]
    events = (loop.records.incident(1) or {})["events"]
    assert events[-1]["kind"] == "issue_created"


def test_an_open_incident_waits_for_its_end(loop: Loop, github: FakeGithub) -> None:
    loop.verifier.verdicts = [Check.FAIL]
    loop.told(FULL)
    loop.turn()
    turn(loop, github)
    assert github.asked == []


def test_what_came_back_gets_an_issue(loop: Loop, github: FakeGithub) -> None:
    mended(loop)
    turn(loop, github)
    assert github.issues == []
    loop.pass_seconds(3600)
    loop.alerts.firing.clear()
    mended(loop)
    turn(loop, github)
    assert [issue["title"] for issue in github.issues] == ["Incident 2 recurred: web, restart"]
    loop.pass_seconds(25 * 3600)
    loop.policy = replace(loop.policy, max_age_seconds=7 * 86400)
    mended(loop)
    turn(loop, github)
    assert len(github.issues) == 1, "a day later it is another story"


def test_what_came_back_in_the_same_incident_gets_an_issue(loop: Loop, github: FakeGithub) -> None:
    loop.verifier.on_pass = lambda _labels: None
    loop.told(DOWN)
    loop.turn()
    loop.pass_seconds(601)
    loop.verifier.on_pass = loop.clear
    loop.turn()
    assert [state for _, state, _ in loop.states()] == ["effective", "effective"]
    turn(loop, github)
    assert [issue["title"] for issue in github.issues] == ["Incident 1 recurred: web, restart"]


def test_a_crash_between_creating_and_writing_down_makes_no_second_one(
    loop: Loop, github: FakeGithub
) -> None:
    failed(loop)
    github.dies_after_creating = True
    turn(loop, github)
    assert len(github.issues) == 1
    assert loop.incidents()[0]["issue"] is None
    github.dies_after_creating = False
    # Others write in the meantime; the mark is found on a later page.
    github.issues += [{"title": "x", "body": "y", "html_url": "z"} for _ in range(70)]
    loop.close()
    loop.open()
    loop.pass_seconds(60)
    turn(loop, github)
    assert len(github.issues) == 71
    assert loop.incidents()[0]["issue"] == f"https://github.com/{REPOSITORY}/issues/1"


def test_another_journal_has_other_marks(loop: Loop, github: FakeGithub, tmp_path: Path) -> None:
    other = Loop(tmp_path / "other" / "state.sqlite")
    failed(loop)
    failed(other)
    turn(loop, github)
    turn(other, github)
    other.close()
    assert len(github.issues) == 2


@pytest.mark.parametrize("status", [401, 403, 404, 500, 502])
def test_a_refusal_that_may_pass_is_tried_again_later_and_later(
    loop: Loop, github: FakeGithub, status: int
) -> None:
    failed(loop)
    github.refuse = [(status, {})] * 2
    turn(loop, github)
    turn(loop, github)
    assert github.asked == ["GET"], "not before its time"
    loop.pass_seconds(60)
    turn(loop, github)
    loop.pass_seconds(60)
    turn(loop, github)
    assert github.asked == ["GET", "GET"], "the second wait is longer"
    loop.pass_seconds(60)
    turn(loop, github)
    assert len(github.issues) == 1


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (429, {"Retry-After": "600"}),
        (403, {"Retry-After": "600"}),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "in 600 s"}),
    ],
)
def test_a_rate_limit_is_kept(
    loop: Loop, github: FakeGithub, status: int, headers: dict[str, str]
) -> None:
    failed(loop)
    reset = str(int(loop.clock().timestamp()) + 600)
    github.refuse = [(status, {k: v.replace("in 600 s", reset) for k, v in headers.items()})]
    turn(loop, github)
    loop.pass_seconds(560)
    turn(loop, github)
    assert github.asked == ["GET"]
    loop.pass_seconds(120)
    turn(loop, github)
    assert len(github.issues) == 1


def test_what_can_never_be_is_given_up(loop: Loop, github: FakeGithub) -> None:
    failed(loop)
    github.refuse = [(410, {})]
    for _ in range(3):
        turn(loop, github)
        loop.pass_seconds(7 * 3600)
    assert github.asked == ["GET"]
    events = (loop.records.incident(1) or {})["events"]
    assert events[-1]["kind"] == "issue_given_up"


def test_it_does_not_try_for_ever(loop: Loop, github: FakeGithub) -> None:
    failed(loop)
    github.refuse = [(500, {})] * 100
    for _ in range(TRIES + 5):
        turn(loop, github)
        loop.pass_seconds(6 * 3600)
    assert len(github.asked) == TRIES
    assert github.issues == []


def test_a_first_start_tells_no_old_stories(loop: Loop, github: FakeGithub) -> None:
    failed(loop)
    loop.pass_seconds(25 * 3600)
    turn(loop, github)
    assert github.asked == []


def test_a_github_that_is_away_or_a_token_that_is_missing_fails_nothing(
    loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    failed(loop)
    for number, url in enumerate(("http://127.0.0.1:9", "http://127.0.0.1:9"), 1):
        api = Github(url, REPOSITORY, loop.path.with_name("no-token"), loop.clock)
        if number == 2:
            loop.path.with_name("no-token").write_text(TOKEN)
        with closing(api):
            writer = IssueWriter(Issues(loop.database), loop.records, api, of_the_api, loop.clock)
            writer.turn()
        loop.pass_seconds(3600)
        assert len(caplog.records) == number
    assert "holds no token" in caplog.text
    assert "cannot reach GitHub" in caplog.text
    assert TOKEN not in caplog.text


@pytest.mark.parametrize(
    ("console", "page"),
    [
        ("", "api/v1/incidents/7/postmortem"),
        ("console: {accounts_file: /a}", "console/incidents/7"),
    ],
)
def test_people_are_led_to_the_console_where_there_is_one(
    tmp_path: Path, console: str, page: str
) -> None:
    profile = tmp_path / "profile.yml"
    profile.write_text(f"external_url: https://ops.example/\n{console}\n")

    config = load_config(REPO / "remediator" / "remediator.yml", ACTIONS, profile)

    assert page_of(config, 7) == f"https://ops.example/{page}"

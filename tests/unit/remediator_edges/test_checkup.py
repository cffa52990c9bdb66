"""`check`: the shipped files agree; each disagreement is found once, at its file and line."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from remediator.checkup import promql
from remediator.checkup.documents import Unreadable, parse
from remediator.checkup.routes import receivers
from remediator.main import main
from tests.http_fakes import Answer, fake_server

REPO = Path(__file__).resolve().parents[3]
SHIPPED = {
    "remediator": "remediator/remediator.yml",
    "exporter": "exporter/exporter.yml",
    "rules": "alert_rules/rules",
    "prometheus": "alert_rules/prometheus.yml",
    "alertmanager": "alert_rules/alertmanager.yml",
    "dashboards": "grafana/dashboards",
    "pages": "docs/runbooks",
    "metrics": "docs/metrics.md",
    "oncall": "alert_rules/oncall.yml",
}


class Stack:
    """The shipped files in a folder of their own, to be broken."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for place in SHIPPED.values():
            source, target = REPO / place, folder / place
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
        self.secrets = folder / "secrets"
        self.secrets.mkdir(mode=0o700)
        (self.secrets / "remediator_token").write_text("correct-horse\n")
        self.secrets.joinpath("remediator_token").chmod(0o444)
        self.change_rota(_covers_today)

    def change_rota(self, change: Callable[[Any], None]) -> None:
        """And compile it."""
        rota, alertmanager = self.folder / SHIPPED["oncall"], self.folder / ALERTMANAGER
        document = yaml.safe_load(rota.read_text())
        change(document)
        rota.write_text(yaml.safe_dump(document, sort_keys=False))
        files = ["--file", str(rota), "--alertmanager", str(alertmanager)]
        assert CliRunner().invoke(main, ["oncall", "compile", *files]).exit_code == 0

    def open_console(self, accounts: str) -> None:
        """And keep them where compose mounts them from."""
        path = self.folder / "remediator" / "console" / "accounts.yml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(accounts)
        entries = self.folder / ENTRIES
        line = "console: {accounts_file: /etc/stackmedic/console/accounts.yml}\n"
        entries.write_text(entries.read_text().replace("version: 1\n", f"version: 1\n{line}", 1))

    def edit(self, place: str, old: str, new: str) -> int:
        """The line of what was changed."""
        path = self.folder / place
        text = path.read_text()
        assert old in text, (place, old)
        path.write_text(text.replace(old, new, 1))
        return text[: text.index(old)].count("\n") + 1

    def check(self, *options: str) -> Result:
        config = f"--config.file={self.folder / SHIPPED['remediator']}"
        own = f"--secrets={self.secrets}"
        return CliRunner().invoke(main, [config, "check", own, *options])

    def found(self, *options: str) -> list[tuple[str, int, str]]:
        document = json.loads(self.check("--json", *options).stdout)
        return [
            (str(Path(f["file"]).relative_to(self.folder)), f["line"], f["sentence"])
            for f in document["findings"]
        ]


def _covers_today(document: Any) -> None:  # noqa: ANN401 - a YAML document
    today = datetime.now(UTC).date()
    monday = today - timedelta(days=today.weekday() + 7)
    document["rota"][0]["from"] = monday
    document |= {"ends": monday + timedelta(weeks=53), "overrides": [], "holidays": []}


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(tmp_path)


def test_the_shipped_files_agree(stack: Stack) -> None:
    result = stack.check()

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "good\n"


ENTRIES, EXPORTER = SHIPPED["remediator"], SHIPPED["exporter"]
AVAILABILITY = "alert_rules/rules/availability.yml"
ALERTMANAGER, PROMETHEUS = SHIPPED["alertmanager"], SHIPPED["prometheus"]
BROKEN: tuple[tuple[str, str, str, str], ...] = (
    # file, what stands there, what stands there instead, the sentence
    (AVAILABILITY, "remediation: restart-service", "remediation: restart-servic",
     "ServiceDown: remediation 'restart-servic' is no entry of the runbook"),
    (AVAILABILITY, "remediation: restart-database", "remediation: flush-cache",
     "PostgresDown: the entry 'flush-cache' does not list this alert"),
    (AVAILABILITY, "service: backend\n", "service: backendd\n",
     "LiveColourUnhealthy: its service is 'backendd', its entry acts on 'backend'"),
    (AVAILABILITY, "frontend|nginx|redis", "frontend|nginxx|redis",
     "ServiceDown: no service is like 'nginxx'"),
    (AVAILABILITY, "max by (service) (pg_up", "max by (service) (pg_upp",
     "PostgresDown: nobody emits pg_upp"),
    (AVAILABILITY, "runbook_url: docs/runbooks/ServiceDown.md", "runbook_url: docs/x/None.md",
     "ServiceDown: there is no page docs/x/None.md"),
    (AVAILABILITY, "/d/stackmedic-services/", "/d/stackmedic-servicess/",
     "ServiceDown: there is no dashboard 'stackmedic-servicess'"),
    (AVAILABILITY, "viewPanel=5\n", "viewPanel=999\n",
     "ServiceDown: the dashboard stackmedic-services has no panel 999"),
    (ENTRIES, "alerts: [PostgresDown]", "alerts: [PostgresDownn]",
     "restart-database: no rule is called 'PostgresDownn'"),
    (ENTRIES, "watchdog: {alert: Watchdog", "watchdog: {alert: Watchdogg",
     "watchdog: no rule is called 'Watchdogg'"),
    (ENTRIES, "container: piano-tutor-nginx-production", "containr: x",
     "topology.nginx.containr: unknown key"),
    (ENTRIES, "probes: [frontend]", "probes: [frontendd]",
     "the exporter has no probe 'frontendd'"),
    (ENTRIES, "freshness_job: stackmedic-exporter", "freshness_job: another",
     "Prometheus scrapes no job 'another'"),
    (EXPORTER, "  redis: {project: piano-tutor-core, compose_service: redis}\n",
     "  rediss: {project: piano-tutor-core, compose_service: redis}\n",
     "'rediss' is watched, and the topology has no such key with a container"),
    (EXPORTER, "port: 5432", "prt: 5432", "postgres.postgres.prt: is not a known key"),
    (ALERTMANAGER, "send_resolved: true\n        max", "send_resolved: false\n        max",
     "remediator: send_resolved must be true, or no end of an alert is told"),
    (ALERTMANAGER, "max_alerts: 0", "max_alerts: 5",
     "remediator: max_alerts must be 0: a cut list would look like resolved alerts"),
    (ALERTMANAGER, "url: http://remediator:9181/webhook/alertmanager", "url: http://x/",
     "no receiver has a webhook whose url ends in /webhook/alertmanager"),
)  # fmt: skip


@pytest.mark.parametrize(("place", "old", "new", "sentence"), BROKEN, ids=[b[3] for b in BROKEN])
def test_each_disagreement_is_found_at_its_line(
    stack: Stack, place: str, old: str, new: str, sentence: str
) -> None:
    line = stack.edit(place, old, new)

    found = stack.found()

    same = [(file, at) for file, at, said in found if said == sentence]
    assert len(same) == 1, found
    assert same[0][0] == place
    assert abs(same[0][1] - line) <= 6  # the key of the value that was changed


def test_many_disagreements_are_found_at_once(stack: Stack) -> None:
    for place, old, new, _ in (BROKEN[0], BROKEN[8], BROKEN[12], BROKEN[16]):
        stack.edit(place, old, new)

    said = {sentence for _, _, sentence in stack.found()}

    assert said >= {BROKEN[i][3] for i in (0, 8, 12, 16)}
    assert stack.check().exit_code == 1


def test_what_the_profile_says_is_found_in_the_profile(stack: Stack, tmp_path: Path) -> None:
    profile = tmp_path / "odd.yml"
    profile.write_text("# mine\nmode: somehow\n")
    config = f"--config.file={stack.folder / ENTRIES}"

    result = CliRunner().invoke(
        main, [config, f"--config.profile={profile}", "check", f"--secrets={stack.secrets}"]
    )

    assert result.exit_code == 1
    assert f"{profile}:2: mode: " in result.output


def test_an_alert_that_no_route_brings_to_the_remediator_or_to_a_human_is_found(
    stack: Stack,
) -> None:
    stack.edit(ALERTMANAGER, """'remediation!="manual"']""", """'remediation="manual"']""")

    found = [sentence for _, _, sentence in stack.found()]

    teams = ", ".join(f"page-{who}" for who in ("fallback", "team-a", "team-b", "team-c"))
    assert f"ServiceDown: goes to incidents, {teams} and not to the remediator" in found
    stack.edit(ALERTMANAGER, """'remediation="manual"']""", """'remediation!="manual"']""")
    stack.edit(ALERTMANAGER, "repeat_interval: 1h\n      continue: true", "repeat_interval: 1h")
    found = [sentence for _, _, sentence in stack.found()]
    assert "PostgresDown: goes to remediator: no human hears of it" in found


def test_a_token_is_kept_when_its_folder_keeps_strangers_out(stack: Stack) -> None:
    token = stack.secrets / "remediator_token"

    assert stack.found() == []
    token.chmod(0o400)
    assert stack.found() == []
    token.chmod(0o600)
    token.write_text("")
    assert "is empty" in stack.found()[0][2]
    token.unlink()
    assert "the token cannot be read" in stack.found()[0][2]


def test_a_shared_journal_is_looked_at_too(stack: Stack) -> None:
    journal = """journal:
  url: postgresql://stackmedic@127.0.0.1:9/stackmedic
  password_file: /run/secrets/journal_password
"""
    stack.edit(ENTRIES, "state_file: /var/lib/stackmedic/remediator.sqlite\n", journal)
    assert "the journal's password cannot be read" in stack.found()[0][2]

    (stack.secrets / "journal_password").write_text("battery-staple\n")
    assert stack.found() == []
    found = [sentence for _, _, sentence in stack.found("--live")]
    assert any(s.startswith("the journal cannot be used: connection failed") for s in found)
    assert not any("battery-staple" in sentence for sentence in found)


# -- who is on call, and who may open the console ---------------------------------------------

ROTA = SHIPPED["oncall"]


def test_every_mistake_of_the_rota_is_found_at_its_line(stack: Stack) -> None:
    line = stack.edit(ROTA, "timezone: Europe/Rome", "timezone: Europe/Roma")
    stack.edit(ROTA, "day: mon", "day: monday")

    found = stack.found()

    assert [(file, at) for file, at, said in found if said.startswith("timezone: ")] == [
        (ROTA, line)
    ]
    assert any(said.startswith("hand_over.day: ") for _, _, said in found)


def test_a_rota_that_ends_soon_or_was_not_compiled_is_found(stack: Stack) -> None:
    def ends_soon(document: Any) -> None:  # noqa: ANN401 - a YAML document
        document["ends"] = document["rota"][0]["from"] + timedelta(weeks=3)

    stack.change_rota(ends_soon)
    ((file, _, said),) = stack.found()
    assert (file, said.partition(" ends")[0]) == (ROTA, "the rota")
    assert said.endswith("days: set a later end")

    stack.change_rota(_covers_today)
    stack.edit(ROTA, "order:", "order:\n  - team-b")
    ((file, _, said),) = stack.found()
    assert file == ALERTMANAGER
    assert said == "the time intervals are not what the rota says: run oncall compile"


def test_a_team_that_no_route_pages_is_found(stack: Stack) -> None:
    stack.edit(ALERTMANAGER, "[oncall-team-b]", "[oncall-team-a]")

    said = [sentence for _, _, sentence in stack.found()]

    assert said == ["no route asks for oncall-team-b: team-b is never paged"]


def test_a_day_that_no_calendar_has_is_told_and_ends_nothing(stack: Stack) -> None:
    rota = stack.folder / ROTA
    rota.write_text(rota.read_text().replace("ends: ", "ends: 2026-02-30 #"))

    result = stack.check()

    assert (result.exit_code, "is not YAML" in result.stderr) == (2, True)


def test_accounts_are_looked_at_where_a_console_asks_for_them(stack: Stack) -> None:
    hashed = f"scrypt:32768:8:1$salt${'0' * 128}"
    stack.open_console(f"ann: {{role: operator, password: '{hashed}'}}\n")
    assert stack.found() == []

    path = "remediator/console/accounts.yml"
    accounts = stack.folder / path
    accounts.write_text(accounts.read_text() + "bob.b:\n  password: hunter2\n  role: viewer\n")
    ((file, line, said),) = stack.found()
    assert (file, line) == (path, 3)
    assert "wrong at bob.b.password; an account is" in said

    for text, word in (("ann: [hunter2", "is not YAML"), ("", "holds no account")):
        accounts.write_text(text)
        result = stack.check()
        assert (result.exit_code, word in result.stdout) == (1, True)
        assert "hunter2" not in result.output


def test_the_console_key_is_looked_at_like_every_secret(stack: Stack) -> None:
    line = "console: {accounts_file: /x, key_file: /run/secrets/console_key}\n"
    stack.edit(ENTRIES, "version: 1\n", f"version: 1\n{line}")

    ((_, at, said),) = stack.found()

    assert at == 4
    assert said.startswith("the key of the console cannot be read")
    assert "not looked at: accounts" in stack.check().stderr


@pytest.mark.parametrize(
    "option", ["--rules", "--alertmanager", "--metrics", "--pages", "--oncall", "--accounts"]
)
def test_what_is_named_and_not_there_is_status_2(stack: Stack, option: str) -> None:
    result = stack.check(f"{option}={stack.folder / 'none'}")

    assert result.exit_code == 2
    assert "none" in result.stderr


def test_what_is_not_there_is_named_as_not_looked_at(tmp_path: Path) -> None:
    config = tmp_path / "alone" / "deep" / "remediator.yml"
    config.parent.mkdir(parents=True)
    shutil.copy(REPO / ENTRIES, config)
    (tmp_path / "remediator_token").write_text("x")
    (tmp_path / "remediator_token").chmod(0o600)

    result = CliRunner().invoke(main, [f"--config.file={config}", "check", f"--secrets={tmp_path}"])

    assert (result.exit_code, result.stdout) == (0, "")
    assert "not looked at: exporter, rules, prometheus" in result.stderr


# -- what is asked ----------------------------------------------------------------------------


def test_live_says_what_does_not_answer_and_what_is_not_loaded(stack: Stack) -> None:
    groups = {"status": "success", "data": {"groups": [{"rules": [{"name": "ServiceDown"}]}]}}
    answers = {
        "ready": Answer(),
        "healthy": Answer(status=503),
        "_ping": Answer(),
        "rules": Answer(body=json.dumps(groups)),
    }
    with fake_server(answers) as fake:
        url = fake.url
        stack.edit(ENTRIES, "http://prometheus:9090", url)
        stack.edit(ENTRIES, "http://alertmanager:9093", "http://127.0.0.1:9")
        stack.edit(ENTRIES, "http://exporter:9180", url)
        stack.edit(ENTRIES, "tcp://engine-rw:2375", url.replace("http", "tcp"))
        found = [sentence for _, _, sentence in stack.found("--live")]

    assert any(s.startswith("alertmanager at http://127.0.0.1:9 does not answer") for s in found)
    assert f"exporter at {url} says 503" in found
    assert "Prometheus has not loaded the rule PostgresDown" in found
    assert not any("ServiceDown" in s or "the engine" in s for s in found)


def test_metrics_are_those_of_a_page_when_it_is_given(stack: Stack) -> None:
    page = '# HELP pg_up x\n# TYPE pg_up gauge\npg_up{service="postgres"} 1\nother 2\n'
    with fake_server({"metrics": Answer(body=page)}) as fake:
        found = [sentence for _, _, sentence in stack.found(f"--metrics={fake.url}/metrics")]

    assert "ServiceDown: nobody emits compose_service_state" in found
    assert not any(s.endswith("emits pg_up") for s in found)


# -- the pure parts ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expr", "found"),
    [
        ('sum by (a) (rate(x_total{b="c"}[5m])) > 1e3', {"x_total"}),
        ("a:b:c and on (d) group_left(e) f offset 5m", {"a:b:c", "f"}),
        ('label_replace(x, "y", "$1", "z", "(.*)") unless y', {"x", "y"}),
        ("rate(x[$__rate_interval]) # y\n + z", {"x", "z"}),
        ("time() - x > bool 0.5 or vector(1)", {"x"}),
    ],
)
def test_series_of_an_expression(expr: str, found: set[str]) -> None:
    assert promql.names(expr) == found


def test_a_route_is_walked_as_alertmanager_does() -> None:
    route = parse(
        """
receiver: top
routes:
  - {receiver: one, matchers: ['a="1", b!=""'], continue: true}
  - matchers: ['a=~"1|2"']
    routes: [{receiver: deep, match: {c: x}}]
  - {receiver: last, match_re: {a: '.+'}}
""",
        "am.yml",
    )

    def heard(**labels: str) -> list[str]:
        return list(receivers(route, labels))

    assert heard() == ["top"]
    assert heard(a="1", b="x") == ["one", "top"]
    assert heard(a="1") == ["top"]
    assert heard(a="2", c="x") == ["deep"]
    assert heard(a="3") == ["last"]


def test_lines_are_those_of_keys_also_behind_anchors() -> None:
    document = parse("a: &x\n  b: 1\nc:\n  <<: *x\n  d: [1,\n    2]\n", "f")

    assert document.get("c", "b").value == 1
    assert document.line_of("c.d[1]") == 6
    assert document.line_of("c.e.f") == 3
    assert document.get("no", "such").line == 1
    with pytest.raises(Unreadable, match="not YAML"):
        parse("a: [", "f")

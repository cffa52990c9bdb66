"""The morning check and the weekly review: verdicts, what cannot be told, and three formats."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from remediator.main import main
from remediator.ports import Transient
from remediator.prometheus import Sample
from remediator.reports import morning as mornings
from remediator.reports import weekly as weeklies
from remediator.reports.outside import error_texts_of
from remediator.reports.rendering import rendered
from remediator.reports.rows import Bounds, Report, Row, Section, Verdict, size
from remediator.reports.thresholds import BadThresholds, load_thresholds
from tests.http_fakes import Answer, fake_server

REPO = Path(__file__).resolve().parents[3]
AT = datetime(2026, 1, 5, 7, tzinfo=UTC)
THRESHOLDS = load_thresholds(None)
GOOD = {
    mornings.SERVICES: (Sample({"service": "web", "state": "running"}, 1),),
    mornings.PROBES: (Sample({"target": "web-ready"}, 1),),
    mornings.HEALTH: (Sample({"target": "web-detailed", "status": "healthy"}, 1),),
    mornings.CPU: (Sample({"service": "web"}, 0.2),),
    mornings.MEMORY: (Sample({"service": "web"}, 0.69),),
    mornings.DISKS: (Sample({"mountpoint": "/"}, 0.5),),
    mornings.ERRORS: (Sample({"service": "web"}, 0), Sample({"service": "db"}, 900)),
    mornings.USERS: (Sample({"service": "redis"}, 12),),
    mornings.UNHEALTHY: (),
    mornings.ALERTS: (),
}


def asking(**changes: tuple[Sample, ...]) -> Callable[[str], tuple[Sample, ...]]:
    answers = GOOD | {getattr(mornings, name): found for name, found in changes.items()}
    return lambda expr: answers[expr]


def morning(ask: Callable[[str], tuple[Sample, ...]]) -> Report:
    users = lambda: mornings.users_of_prometheus(ask, mornings.USERS)  # noqa: E731
    return mornings.morning(ask, THRESHOLDS, is_data=lambda key: key == "db", users=users, at=AT)


def bad_rows(report: Report) -> list[tuple[str, str, Verdict]]:
    return [
        (section.title, row.what, row.verdict)
        for section in report.sections
        for row in section.rows
        if row.verdict not in {Verdict.GOOD, Verdict.INFO}
    ]


def test_a_good_morning() -> None:
    report = morning(asking())

    assert report.verdict is Verdict.GOOD
    assert bad_rows(report) == []


@pytest.mark.parametrize(
    ("name", "labels", "value", "verdict"),
    [
        ("SERVICES", {"service": "web", "state": "exited"}, 1, Verdict.ALERT),
        ("SERVICES", {"service": "web", "state": "restarting"}, 1, Verdict.ALERT),
        ("SERVICES", {"service": "web", "state": "paused"}, 1, Verdict.WATCH),
        ("UNHEALTHY", {"service": "web"}, 1, Verdict.ALERT),
        ("PROBES", {"target": "x"}, 0, Verdict.ALERT),
        ("HEALTH", {"target": "x", "status": "not_ready"}, 1, Verdict.ALERT),
        ("HEALTH", {"target": "x", "status": "degraded"}, 1, Verdict.WATCH),
        ("CPU", {"service": "web"}, 0.6, Verdict.WATCH),
        ("CPU", {"service": "web"}, 0.81, Verdict.ALERT),
        ("MEMORY", {"service": "web"}, 0.86, Verdict.ALERT),
        ("DISKS", {"mountpoint": "/"}, 0.85, Verdict.WATCH),
        ("DISKS", {"mountpoint": "/"}, float("nan"), Verdict.UNKNOWN),
        ("ERRORS", {"service": "web"}, 10, Verdict.WATCH),
        ("ERRORS", {"service": "web"}, 51, Verdict.ALERT),
        ("ALERTS", {"alertname": "A", "severity": "P1"}, 1, Verdict.ALERT),
        ("ALERTS", {"alertname": "A", "severity": "P3"}, 1, Verdict.WATCH),
    ],
)
def test_each_row_has_the_verdict_of_the_runbook(
    name: str, labels: Mapping[str, str], value: float, verdict: Verdict
) -> None:
    report = morning(asking(**{name: (Sample(labels, value),)}))

    assert [row[2] for row in bad_rows(report)] == [verdict]
    assert report.verdict is verdict


@pytest.mark.parametrize("name", ["SERVICES", "PROBES", "CPU", "DISKS", "ERRORS", "USERS"])
def test_what_has_no_series_is_unknown_and_not_good(name: str) -> None:
    assert morning(asking(**{name: ()})).verdict is Verdict.UNKNOWN


def test_a_prometheus_that_cannot_be_asked_makes_every_row_unknown() -> None:
    def down(_expr: str) -> tuple[Sample, ...]:
        raise Transient("cannot ask Prometheus")

    report = morning(down)

    assert {row.verdict for s in report.sections for row in s.rows} == {Verdict.UNKNOWN}


def test_less_can_be_worse() -> None:
    hits = Bounds(expected=0.8, alert=0.5)

    assert [hits.verdict(v) for v in (0.9, 0.7, 0.4)] == [
        *(Verdict.GOOD, Verdict.WATCH, Verdict.ALERT)
    ]
    assert hits.said(percent=True) == ("> 80%", "< 50%")
    assert [size(n) for n in (5, 2048, 3 * 1024**3)] == ["5 B", "2.0 KiB", "3.0 GiB"]


def test_a_file_with_half_a_threshold_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "thresholds.yml"
    file.write_text("thresholds: [{rule: HighCpu, alert: 0.5}]\n")
    with pytest.raises(BadThresholds, match=r"missing of .*HighCpu"):
        load_thresholds(file)
    with pytest.raises(BadThresholds, match="none"):
        load_thresholds(tmp_path / "none.yml")


# -- the week ----------------------------------------------------------------------------------


def week(**changes: Callable[[], Any]) -> Report:
    answers: dict[str, tuple[Sample, ...]] = {
        weeklies.ERRORS: (Sample({"service": "web", "fingerprint": "ab12"}, 7),),
        weeklies.SLOW: (Sample({"datname": "d", "queryid": "-5"}, 0.25),),
        weeklies.TABLES: (Sample({"datname": "d", "schemaname": "s", "relname": "t"}, 2048),),
        weeklies.BLOAT: (),
        weeklies.CACHE_HITS: (Sample({"service": "redis"}, 0.9),),
        weeklies.REDIS_MEMORY: (Sample({"service": "redis"}, 0.2),),
        weeklies.BEGUN: (Sample({"alertname": "A"}, 3),),
        weeklies.FIRED: (Sample({"alertname": "A"}, 42),),
    }
    known: dict[str, Any] = {
        "errors": lambda: {"ab12": "it \x1b[31m fails"},
        "queries": lambda: {"-5": "SELECT | 1"},
        "incidents": lambda: [
            {
                "opened_at": opened,
                "target": "web",
                "runbook": "restart",
                "escalated": None,
                "runs": [{"runbook": "restart", "state": "held", "reason": None}],
            }
            for opened in ("2026-01-04T12:00:00.000Z", "2025-12-24T12:00:00.000Z")
        ],
    }
    ask = lambda expr: answers[expr]  # noqa: E731
    return weeklies.weekly(ask, THRESHOLDS, at=AT, **(known | changes))


def test_the_week_in_text_gives_a_terminal_no_orders() -> None:
    text = rendered(week(), "text")

    assert "web ab12 it \\x1b[31m fails" in text
    assert "\x1b" not in text
    assert "250.0 ms" in text
    assert "42 minutes, begun or pending 3 times" in text
    assert text.count("mended by restart") == 1  # the other is of another week


def test_the_week_in_markdown_keeps_its_columns() -> None:
    text = rendered(week(), "markdown")

    row = next(line for line in text.splitlines() if "SELECT" in line)
    assert "SELECT \\| 1" in row
    assert row.replace("\\|", "").count("|") == 6


def test_incidents_that_cannot_be_asked_for_are_unknown() -> None:
    def down() -> list[Any]:
        raise Transient("cannot ask the remediator")

    assert week(incidents=down).verdict is Verdict.UNKNOWN


def test_json_says_all_of_it() -> None:
    report = Report("R", AT, (Section("S", (Row("a", "b", Verdict.WATCH, "c", "d"),)),))

    assert json.loads(rendered(report, "json")) == {
        "title": "R",
        "at": "2026-01-05T07:00:00+00:00",
        "verdict": "watch",
        "sections": [
            {
                "title": "S",
                "rows": [
                    {"what": "a", "is": "b", "expected": "c", "alert": "d", "verdict": "watch"}
                ],
            }
        ],
    }


def test_texts_of_errors_are_found_on_a_page_without_any() -> None:
    assert error_texts_of("<html></html>") == {}


# -- the commands ----------------------------------------------------------------------------------


def command(*options: str) -> Result:
    config = f"--config.file={REPO / 'remediator' / 'remediator.yml'}"
    return CliRunner().invoke(main, [config, *options])


def test_the_status_is_2_when_nobody_can_tell() -> None:
    nowhere = "http://127.0.0.1:9"
    for name, *more in (("morning-check",), ("weekly-review", f"--exporter={nowhere}")):
        result = command(name, f"--prometheus={nowhere}", *more)
        assert result.exit_code == 2, result.output
        assert "unknown" in result.stdout


def test_the_status_is_1_for_an_alert_and_the_format_is_as_asked() -> None:
    series = {"metric": {"service": "web", "state": "exited", "target": "t"}, "value": [0, "1"]}
    answer = {"status": "success", "data": {"resultType": "vector", "result": [series]}}
    with fake_server({"query": Answer(body=json.dumps(answer))}) as fake:
        result = command("morning-check", f"--prometheus={fake.url}", "--format=json")

    assert result.exit_code == 1
    assert json.loads(result.stdout)["verdict"] == "alert"

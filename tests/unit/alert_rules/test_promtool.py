"""The rules and what is configured around them, by the tools of Prometheus and Alertmanager."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ALERT_RULES = Path(__file__).resolve().parents[3] / "alert_rules"
RULES = sorted((ALERT_RULES / "rules").glob("*.yml"))
TESTS = sorted((ALERT_RULES / "tests").glob("*.yml"))

Tool = Callable[[str], str]


def run(*command: str | Path) -> str:
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=ALERT_RULES, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_rules_pass_every_lint(tool: Tool) -> None:
    run(tool("promtool"), "check", "rules", "--lint=all", "--lint-fatal", *RULES)


def test_prometheus_accepts_its_configuration(tool: Tool) -> None:
    run(tool("promtool"), "check", "config", "prometheus.yml")


def test_alertmanager_accepts_its_configuration(tool: Tool) -> None:
    run(tool("amtool"), "check-config", "alertmanager.yml")


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_alerts_fire_hold_and_resolve(path: Path, tool: Tool) -> None:
    run(tool("promtool"), "test", "rules", path)


def test_every_file_of_rules_has_its_tests() -> None:
    assert [path.name for path in TESTS] == [path.name for path in RULES]


PAGED = "incidents,page-team-a,page-team-b,page-team-c,page-fallback"
"""By the routes; one of them, by their hours."""


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ("severity=P1 remediation=restart-service service=backend-blue", f"remediator,{PAGED}"),
        ("severity=P2 remediation=flush-temp-keys service=redis", "remediator,incidents"),
        ("severity=P0 remediation=restart-database service=postgres", f"remediator,{PAGED}"),
        ("severity=P1 remediation=manual service=backend-blue", PAGED),
        ("severity=P3 remediation=manual service=backend-blue", "mail"),
        ("severity=P3 remediation=warm-cache service=redis", "remediator,mail"),
        ("severity=P0 escalation=lead remediation=manual", "incidents,lead"),
        ("severity=P0 escalation=cto remediation=manual", "incidents,cto"),
        (
            "severity=P0 category=deployment remediation=rollback-colour",
            f"deployments,remediator,{PAGED}",
        ),
        ("alertname=RemediationEscalated severity=P1 service=redis", PAGED),
        ("alertname=FromSomewhereElse", "incidents"),
        ("alertname=RemediationEscalated severity=P0 service=postgres", PAGED),
        ("alertname=RemediationProgress severity=P0 remediation=manual", "incidents"),
        ("alertname=WatchdogMissing severity=P1 remediation=manual", PAGED),
        ("alertname=Watchdog severity=none remediation=manual", "remediator"),
        ("alertname=Other severity=none remediation=manual", "null"),
    ],
)
def test_an_alert_reaches(labels: str, receivers: str, tool: Tool) -> None:
    run(
        tool("amtool"),
        "config",
        "routes",
        "test",
        "--config.file=alertmanager.yml",
        f"--verify.receivers={receivers}",
        *labels.split(),
    )

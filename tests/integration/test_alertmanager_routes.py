"""The shipped alertmanager.yml in a real Alertmanager: who hears what, seen at the far end."""

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from remediator.notify import AlertmanagerPager
from remediator.ports import Notice
from tests.integration.edge_containers import free_port, until
from tests.integration.edge_monitoring import SLOW
from tests.integration.humans import (
    TOKENS,
    Alertmanager,
    Humans,
    an_alertmanager,
    humans,
)

REPO = Path(__file__).resolve().parents[2]

HOOK, SLACK, DEPLOYMENTS = "/webhook/alertmanager", "/incidents", "/deployments"
PAGER = "/team-a"
SERVICE_DOWN = {
    "alertname": "ServiceDown",
    "severity": "P1",
    "service": "frontend",
    "category": "availability",
    "remediation": "restart-service",
}
POSTGRES_DOWN = {
    "alertname": "PostgresDown",
    "severity": "P0",
    "service": "postgres",
    "category": "database",
    "remediation": "restart-database",
}
NOT_READY = {
    "alertname": "BackendNotReady",
    "severity": "P1",
    "service": "backend-blue",
    "category": "health",
    "remediation": "restart-service",
}


@pytest.fixture
def people() -> Iterator[Humans]:
    with humans() as found:
        yield found


@pytest.fixture
def alertmanager(tmp_path: Path, people: Humans) -> Iterator[Alertmanager]:
    with an_alertmanager(tmp_path, people) as running:
        yield running


def test_nobody_is_paged_for_a_p1_that_was_mended_in_its_grace(
    alertmanager: Alertmanager, people: Humans
) -> None:
    alertmanager.fire(SERVICE_DOWN)
    people.await_(HOOK, "frontend")
    alertmanager.resolve(SERVICE_DOWN)
    # Told later and with the same grace: when this one is out, the first one's time is over.
    alertmanager.fire({**SERVICE_DOWN, "service": "nginx"})
    people.await_(PAGER, "nginx")

    assert people.by(PAGER, "frontend") == []


def test_the_remediator_the_channel_and_on_call_all_hear_of_what_lasts(
    alertmanager: Alertmanager, people: Humans
) -> None:
    alertmanager.fire(SERVICE_DOWN)
    for way in (HOOK, SLACK, PAGER, "mail team-a@piano-tutor.com"):
        people.await_(way, "ServiceDown")

    hook = people.by(HOOK)[0]
    assert hook.headers["Authorization"] == f"Bearer {TOKENS['remediator_token']}"
    assert hook.body["groupLabels"] == {"alertname": "ServiceDown", "service": "frontend"}
    assert hook.body["truncatedAlerts"] == 0
    message = people.by(SLACK)[0]
    assert message.body["channel"] == "#incidents"
    assert "FIRING P1 ServiceDown frontend (1)" in message.text
    page = people.by(PAGER)[0]
    assert page.headers["Authorization"] == f"Bearer {TOKENS['pager_token']}"
    mail = people.by("mail team-a@piano-tutor.com")[0]
    assert mail.headers["Authorization"] == f"alerts@piano-tutor.com:{TOKENS['smtp_password']}"
    assert mail.headers["Subject"] == "[FIRING P1] ServiceDown frontend"
    for other in ("/team-b", "/team-c", "/fallback", "/lead", "/cto", DEPLOYMENTS):
        assert people.by(other) == []


def test_messages_have_links_and_no_text_of_the_stack_can_mention_anybody(
    alertmanager: Alertmanager, people: Humans
) -> None:
    alertmanager.fire(
        SERVICE_DOWN,
        summary="<!channel> frontend is down",
        action="read on",
        runbook_url="docs/runbooks/ServiceDown.md",
        dashboard_url="/d/stackmedic-services/services?var-service=frontend&viewPanel=5",
    )
    people.await_(SLACK, "frontend")
    people.await_("mail team-a@piano-tutor.com", "frontend")

    (attachment,) = people.by(SLACK)[0].body["attachments"]
    assert "*&lt;!channel> frontend is down*" in attachment["text"]
    for words in (
        "Next: read on",
        "Runbook: https://github.com/piano-tutor/stackmedic/blob/main/docs/runbooks/ServiceDown.md",
        "Dashboard: http://localhost:3001/d/stackmedic-services/services?var-service=frontend",
        "/#/silences/new?filter=%7Bservice%3D%22frontend%22%7D",
    ):
        assert words in attachment["text"]
    html = people.by("mail team-a@piano-tutor.com")[0].body.get_body(("html",)).get_content()
    assert "&lt;!channel&gt; frontend is down" in html
    assert "docs/runbooks/ServiceDown.md" in html


def test_people_hear_what_the_remediator_cannot_take(tmp_path: Path, people: Humans) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    with an_alertmanager(tmp_path, people, remediator=nobody) as running:
        running.fire(SERVICE_DOWN)
        people.await_(PAGER, "ServiceDown")
        people.await_(SLACK, "ServiceDown")


def test_people_hear_over_the_other_ways_when_one_is_broken(tmp_path: Path, people: Humans) -> None:
    def no_pager(document: dict[str, Any]) -> None:
        (team,) = (one for one in document["receivers"] if one["name"] == "page-team-a")
        team["webhook_configs"][0]["url"] = f"http://127.0.0.1:{free_port()}"

    with an_alertmanager(tmp_path, people, change=no_pager) as running:
        running.fire(SERVICE_DOWN)
        people.await_("mail team-a@piano-tutor.com", "ServiceDown")
        people.await_(SLACK, "ServiceDown")


def test_an_alert_for_humans_only_does_not_reach_the_remediator(
    alertmanager: Alertmanager, people: Humans
) -> None:
    escalated = {"alertname": "RemediationEscalated", "severity": "P1", "service": "redis"}
    manual = {**escalated, "alertname": "ErrorBurst", "remediation": "manual"}
    alertmanager.fire(escalated, manual)
    for name in ("RemediationEscalated", "ErrorBurst"):
        people.await_(SLACK, name)
        people.await_(PAGER, name)

    assert people.by(HOOK) == []


def test_a_p2_is_for_the_channel_and_wakes_nobody(
    alertmanager: Alertmanager, people: Humans
) -> None:
    alertmanager.fire({"alertname": "BackupTooOld", "severity": "P2", "service": "database"})
    # With the longest grace: when this page is out, the other's time is over.
    alertmanager.fire(SERVICE_DOWN)
    people.await_(SLACK, "BackupTooOld")
    people.await_(PAGER, "ServiceDown")

    assert people.ways("BackupTooOld") == {SLACK}


def test_an_alert_of_no_known_severity_is_told_in_the_channel(
    alertmanager: Alertmanager, people: Humans
) -> None:
    odd = {"alertname": "Odd", "service": "x", "remediation": "restart-service"}
    alertmanager.fire(odd)
    people.await_(SLACK, "Odd")
    people.await_(HOOK, "Odd")


def test_what_has_to_do_with_a_deployment_is_told_in_its_channel_too(
    alertmanager: Alertmanager, people: Humans
) -> None:
    bad = {"alertname": "LiveColourUnhealthy", "severity": "P0", "service": "backend"}
    alertmanager.fire({**bad, "category": "deployment", "remediation": "rollback-colour"})
    under_way = {"alertname": "DeploymentInProgress", "severity": "none", "service": "backend"}
    alertmanager.fire({**under_way, "category": "deployment"})
    for way in (DEPLOYMENTS, SLACK, PAGER, HOOK):
        people.await_(way, "LiveColourUnhealthy")
    people.await_(DEPLOYMENTS, "DeploymentInProgress")

    assert people.by(DEPLOYMENTS)[0].body["channel"] == "#deployments"
    assert people.ways("DeploymentInProgress") == {DEPLOYMENTS}


def test_the_watchdog_reaches_the_remediator_again_and_again_and_nobody_else(
    tmp_path: Path, people: Humans
) -> None:
    def often(document: dict[str, Any]) -> None:
        document["route"]["routes"][0]["repeat_interval"] = "1s"

    with an_alertmanager(tmp_path, people, change=often) as running:
        running.fire({"alertname": "Watchdog", "severity": "none", "remediation": "manual"})
        people.await_(HOOK, "Watchdog", times=2)
    assert people.ways("Watchdog") == {HOOK}


def test_the_channel_hears_how_far_a_p0_is_and_its_end_and_nobody_is_paged_for_that(
    tmp_path: Path, people: Humans
) -> None:
    def often(document: dict[str, Any]) -> None:
        for route in document["route"]["routes"]:
            if "Progress" in str(route["matchers"]):
                route["repeat_interval"] = "1s"

    with (
        an_alertmanager(tmp_path, people, change=often) as running,
        closing(AlertmanagerPager(running.url, clock=lambda: datetime.now(UTC))) as sender,
    ):
        sender.fire(a_notice("RemediationProgress", "acknowledged: restarting postgres"))
        people.await_(SLACK, "restarting postgres")
        # The newest words come with the next repetition, and the end with its own.
        sender.fire(a_notice("RemediationProgress", "verifying postgres"))
        people.await_(SLACK, "verifying postgres")
        sender.end(a_notice("RemediationProgress", "resolved: mended in 12 s"))
        people.await_(SLACK, "RESOLVED P0 RemediationProgress postgres", "mended in 12 s")
        # After this one is through, a page for the progress would be too.
        sender.fire(a_notice("RemediationEscalated", "postgres was not mended"))
        people.await_(PAGER, "was not mended")
    assert people.ways("RemediationProgress") == {SLACK}


def a_notice(name: str, summary: str) -> Notice:
    labels = {
        "alertname": name,
        "severity": "P0",
        "service": "postgres",
        "incident": "7",
        "remediation": "manual",
        "category": "remediation",
    }
    return Notice(labels, {"summary": summary}, "http://remediator")


# -- what is hidden ---------------------------------------------------------------------------


def test_what_follows_from_a_dead_database_is_not_told(
    alertmanager: Alertmanager, people: Humans
) -> None:
    alertmanager.fire(POSTGRES_DOWN)
    people.await_(PAGER, "PostgresDown")
    # What is down itself is told in spite of it, and after its message the other's time is over.
    alertmanager.fire(NOT_READY, SERVICE_DOWN)
    people.await_(PAGER, "ServiceDown")
    people.await_(HOOK, "ServiceDown")

    assert people.ways("BackendNotReady") == set()
    assert alertmanager.state_of("BackendNotReady") == "suppressed"


def alert(name: str, severity: str, category: str, service: str = "redis") -> dict[str, str]:
    labels = {"alertname": name, "severity": severity, "category": category}
    return labels | {"service": service, "remediation": "x"}


@pytest.mark.parametrize(
    ("cause", "hidden", "told"),
    [
        pytest.param(
            alert("ServiceDown", "P1", "availability"),
            [alert("HighMemory", "P2", "resource"), alert("ErrorBurst", "P1", "errors")],
            [
                alert("RestartLoop", "P1", "availability"),
                alert("HighMemory", "P2", "resource", "y"),
            ],
            id="down",
        ),
        pytest.param(
            alert("SiteDown", "P0", "availability", "backend"),
            [alert("BackendLatencyHigh", "P2", "errors", "backend")],
            [
                alert("MaintenanceOverdue", "P1", "availability", "backend"),
                alert("RemediationEscalated", "P2", "remediation", "backend"),
                alert("CertificateExpiring", "P2", "certificate", "backend"),
            ],
            id="P0",
        ),
        pytest.param(
            alert("RemediationInProgress", "none", "remediation"),
            [alert("HighMemory", "P1", "resource"), alert("CeleryWorkerSilent", "P1", "tasks")],
            [
                alert("RedisDown", "P0", "database"),
                alert("RemediationAwaitsApproval", "P1", "remediation") | {"remediation": "manual"},
            ],
            id="in progress",
        ),
        pytest.param(
            alert("RemediationEscalated", "P3", "remediation"),
            [alert("RemediationNotMended", "P1", "remediation")],
            [alert("RemediationNotMended", "P1", "remediation", "y")],
            id="called",
        ),
        pytest.param(
            alert("RemediatorDown", "P1", "meta", "remediator"),
            [alert("OnCallNobody", "P1", "meta", "oncall")],
            [alert("ExporterDown", "P1", "meta", "exporter")],
            id="remediator",
        ),
    ],
)
def test_only_consequences_are_hidden(
    alertmanager: Alertmanager,
    people: Humans,
    cause: dict[str, str],
    hidden: list[dict[str, str]],
    told: list[dict[str, str]],
) -> None:
    alertmanager.fire(cause)
    until(lambda: alertmanager.state_of(cause["alertname"]) == "active", within_seconds=SLOW)
    alertmanager.fire(*hidden, *told)
    for labels in told:
        people.await_(SLACK, labels["alertname"], labels["service"])
    # The longest grace of all: after it whatever else there is to tell has been told.
    alertmanager.fire(alert("Last", "P1", "meta", "last"))
    people.await_(PAGER, "Last")

    for labels in hidden:
        text = f'"service": "{labels["service"]}"'
        assert people.ways(f'"alertname": "{labels["alertname"]}"', text) == set()
    # It is told once its cause is gone.
    alertmanager.resolve(cause)
    for labels in hidden:
        people.await_(SLACK, labels["alertname"], labels["service"])


def test_the_silence_of_a_page_keeps_the_second_page_away_and_no_more(
    alertmanager: Alertmanager, people: Humans
) -> None:
    page = (REPO / "docs" / "runbooks" / "ExporterDown.md").read_text()
    (command,) = re.findall(r"`amtool (silence add .*source_alert=.*)`", page)
    alertmanager.amtool(*command.split())
    again = alert("P1UnacknowledgedAgain", "P1", "meta", "exporter") | {"remediation": "manual"}
    mine = again | {"source_alert": "ExporterDown"}
    other = again | {"source_alert": "RemediatorDown", "service": "remediator"}
    alertmanager.fire(alert("ExporterDown", "P1", "meta", "exporter"), mine, other)
    people.await_(PAGER, "ExporterDown")
    people.await_(PAGER, "P1UnacknowledgedAgain", "remediator")

    assert people.ways('"source_alert": "ExporterDown"') == set()


def test_a_progress_hides_nothing_of_its_service(
    alertmanager: Alertmanager, people: Humans
) -> None:
    alertmanager.fire(alert("RemediationProgress", "P0", "remediation"))
    until(lambda: alertmanager.state_of("RemediationProgress") == "active")
    alertmanager.fire(alert("HighMemory", "P2", "resource"))
    people.await_(SLACK, "HighMemory")

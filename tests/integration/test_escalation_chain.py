"""The shipped rules of escalation in a real Prometheus, through Alertmanager to whom they call.

Only the waits of the rules are a test's own: seconds in place of 30 minutes and an hour.
"""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.edge_monitoring import a_prometheus, text_exporter
from tests.integration.humans import ALERT_RULES, Humans, an_alertmanager, humans

SOONER = {"30m": "1s", "1h": "4s", "15m": "1s"}
TEAM, LEAD, CTO, SLACK = "/team-a", "/lead", "/cto", "/incidents"
FAULT = {
    "alert": "PostgresDown",
    "expr": 'a_fault{severity="P0"} == 1',
    "labels": {"severity": "P0", "category": "database", "remediation": "manual", "escalation": ""},
    "annotations": {"summary": "postgres is down", "description": "it does not answer"},
}


def metrics(*, fault: int, acknowledged: int, of: Sequence[str] = ("postgres",)) -> str:
    """`of`: what is at fault; postgres alone can be acknowledged."""
    faults = "".join(f'a_fault{{severity="P0",service="{key}"}} {fault}\n' for key in of)
    return f"""{faults}remediator_incident_acknowledged{{service="postgres"}} {acknowledged}
oncall_current{{team="team-a"}} 1
oncall_current{{team="team-b"}} 0
"""


def chain(folder: Path, exporter: str, alertmanager: str) -> AbstractContextManager[str]:
    return a_prometheus(
        folder,
        json.dumps(escalation()),
        scraped=exporter,
        job="stackmedic-remediator",
        told=[alertmanager],
    )


def escalation() -> Any:  # noqa: ANN401 - a YAML document
    """And the fault itself."""
    document = yaml.safe_load((ALERT_RULES / "rules" / "escalation.yml").read_text())
    for group in document["groups"]:
        for rule in group["rules"]:
            rule["for"] = SOONER[rule["for"]]
    document["groups"].append({"name": "fault", "rules": [FAULT]})
    return document


def began(people: Humans, way: str) -> str:
    """When, by Prometheus, the first began that was told this way."""
    return str(people.by(way)[0].body["alerts"][0]["startsAt"])


@pytest.mark.timeout(240)
def test_a_p0_that_nobody_acknowledges_goes_to_the_lead_and_the_cto_until_somebody_does(
    tmp_path: Path,
) -> None:
    with (
        humans() as people,
        text_exporter(metrics(fault=0, acknowledged=0)) as exporter,
        an_alertmanager(tmp_path / "alertmanager", people) as alertmanager,
        chain(tmp_path / "prometheus", exporter.url, alertmanager.url),
    ):
        exporter.metrics = metrics(fault=1, acknowledged=0)
        people.await_(CTO, "P0UnacknowledgedCto", "postgres")
        for way in (LEAD, "mail lead@piano-tutor.com", SLACK):
            people.await_(way, "P0UnacknowledgedLead", "postgres")
        people.await_("mail cto@piano-tutor.com", "On call:   team-a")
        assert began(people, TEAM) < began(people, LEAD) < began(people, CTO)

        exporter.metrics = metrics(fault=1, acknowledged=1)
        people.await_(LEAD, "P0UnacknowledgedLead", '"status": "resolved"')
        people.await_(CTO, "P0UnacknowledgedCto", '"status": "resolved"')
        assert alertmanager.state_of("PostgresDown") == "active", "it is known, and not over"

        exporter.metrics = metrics(fault=0, acknowledged=0)
        people.await_(TEAM, "PostgresDown", '"status": "resolved"')
    assert people.by(TEAM, "Unacknowledged") == [], "the team has the alert itself"


@pytest.mark.timeout(240)
def test_a_p0_that_is_acknowledged_in_time_stays_with_the_team(tmp_path: Path) -> None:
    both = metrics(fault=1, acknowledged=1, of=("postgres", "redis"))
    with (
        humans() as people,
        text_exporter(both) as exporter,
        an_alertmanager(tmp_path / "alertmanager", people) as alertmanager,
        chain(tmp_path / "prometheus", exporter.url, alertmanager.url),
    ):
        people.await_(TEAM, "PostgresDown", "postgres")
        # Of the other one, which began in the same scrape, the lead was told long before.
        people.await_(CTO, "P0UnacknowledgedCto", "redis")
        people.await_(LEAD, "P0UnacknowledgedLead", "redis")
        told = people.by(LEAD, "service", '"postgres"') + people.by(CTO, "service", '"postgres"')
    assert told == []

"""What humans are told: from whom, how urgent, and how far it is."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from remediator.notices import notice_of, severity_of
from remediator.outcomes import Reason
from remediator.policy import Mode
from remediator.ports import Check, Notice
from remediator.runs import Call, Escalation
from tests.builders import DB_DOWN, DOWN, FULL, Loop

URGENT = DB_DOWN | {"severity": "P0"}


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    loop = Loop(tmp_path / "state.sqlite")
    yield loop
    loop.close()


def told(loop: Loop, name: str) -> list[Notice]:
    return [notice for notice in loop.pager.said if notice.labels["alertname"] == name]


@pytest.mark.parametrize(
    ("severity", "expected"), [("P0", "P0"), ("P3", "P3"), ("none", "P1"), ("", "P1"), ("p0", "P1")]
)
def test_a_severity_is_one_that_routes_know(severity: str, expected: str) -> None:
    assert severity_of({"severity": severity}) == expected


def test_a_p0_incident_is_told_while_it_is_worked_on_and_when_it_is_mended(loop: Loop) -> None:
    loop.told(URGENT)
    loop.actions["restart-db"].on_run = loop.page  # as the worker does on every change
    loop.turn()

    (first, *_) = told(loop, "RemediationProgress")
    assert first.labels == {
        "alertname": "RemediationProgress",
        "service": "db",
        "severity": "P0",
        "category": "remediation",
        "remediation": "manual",
        "runbook": "restart-db",
        "incident": "1",
    }
    assert first.annotations["summary"] == (
        "P0 incident 1 acknowledged: db: carrying out restart-db on db: restart-db since 12:00:00Z"
    )
    assert "Fired: DatabaseDown (P0) from 11:59:00Z" in first.annotations["description"]
    (last,) = loop.pager.over
    assert last.labels == first.labels
    assert last.annotations["summary"] == (
        "P0 incident 1 resolved: db: mended by restart-db, "
        "verified: all checks passed 2 times in a row, took 1 s"
    )
    assert last.annotations["action"] == (
        "Post-mortem: http://remediator/api/v1/incidents/1/postmortem"
    )
    assert told(loop, "RemediationEscalated") == []
    loop.turn()
    assert len(loop.pager.over) == 1


def test_a_success_is_told_at_once_and_again_when_it_comes_back(loop: Loop) -> None:
    runbook = loop.policy.runbooks["restart-db"]
    watched = replace(runbook, verify=replace(runbook.verify, hold_seconds=600))
    limits = replace(watched, limits=replace(watched.limits, attempts=2, cooldown_seconds=0))
    loop.policy = replace(loop.policy, runbooks=loop.policy.runbooks | {"restart-db": limits})
    loop.told(URGENT)
    loop.actions["restart-db"].on_run = loop.page
    loop.turn()
    assert loop.incidents()[0]["state"] == "open", "it is watched"
    (over,) = loop.pager.over
    assert "resolved: db: mended by restart-db, verified" in over.annotations["summary"]
    loop.pass_seconds(60)
    loop.page()
    assert len(loop.pager.over) == 1

    said = len(told(loop, "RemediationProgress"))
    loop.alerts.active_at = loop.clock()
    loop.told(URGENT)
    loop.turn()
    assert len(told(loop, "RemediationProgress")) > said
    assert told(loop, "RemediationProgress")[-1].labels == over.labels


def test_only_p0_is_told_before_anything_is_wrong(loop: Loop) -> None:
    loop.told(DOWN | {"severity": "P1"})
    loop.turn()
    assert loop.pager.said == loop.pager.over == []


def test_a_p0_that_nothing_is_done_about_is_told_within_seconds(loop: Loop) -> None:
    loop.told(URGENT)
    loop.page()
    assert loop.pager.said == []
    loop.pass_seconds(5)
    loop.page()
    (notice,) = loop.pager.said
    assert notice.annotations["summary"] == "P0 incident 1 acknowledged: db: investigating"


def test_what_is_told_follows_what_happens_under_the_same_labels(loop: Loop) -> None:
    loop.verifier.verdicts = [Check.FAIL]
    loop.told(URGENT)
    loop.actions["restart-db"].on_run = loop.page
    loop.turn()
    loop.pass_seconds(60)
    loop.turn()
    (escalated, again) = told(loop, "RemediationEscalated")
    assert escalated.labels == again.labels
    assert (escalated.labels["severity"], escalated.labels["reason"]) == ("P0", "not_verified")
    lines = escalated.annotations["description"].splitlines()
    assert "Tried: 12:00:00Z restart-db: restart-db: done: did it" in lines
    assert lines[-1].startswith("Result: 12:00:30Z restart-db: ineffective: ")
    assert escalated.annotations["runbook_url"] == "docs/runbooks/DatabaseDown.md"

    (first, *_, last) = told(loop, "RemediationProgress")
    assert first.labels == last.labels
    assert last.annotations["summary"].startswith(
        "P0 incident 1 acknowledged: db: a human was called: restart-db on db ended ineffective"
    )
    assert last.annotations["action"] == "On-call takes over"


def test_the_severity_is_that_of_the_alert_that_leads_and_stays(loop: Loop) -> None:
    loop.verifier.verdicts = [Check.FAIL]
    loop.told(FULL | {"severity": "P2"})
    loop.turn()
    loop.told(FULL | {"severity": "P0", "instance": "b"})
    loop.told(FULL | {"severity": "P2"}, status="resolved")
    loop.pass_seconds(60)
    loop.turn()
    escalations = told(loop, "RemediationEscalated")
    assert {notice.labels["severity"] for notice in escalations} == {"P2"}
    assert len(escalations) == 2


def test_observe_mode_says_that_nothing_is_touched(loop: Loop) -> None:
    loop.policy = replace(loop.policy, mode=Mode.OBSERVE)
    loop.told(URGENT)
    loop.turn()
    (notice,) = told(loop, "RemediationProgress")
    assert "nothing is touched: mode is observe" in notice.annotations["summary"]


def test_an_incident_that_clears_by_itself_is_said_to(loop: Loop) -> None:
    loop.alerts.data_age_seconds = 100  # too old to act on
    loop.told(URGENT)
    loop.turn()
    loop.alerts.data_age_seconds = 1
    loop.alerts.firing.clear()
    loop.pass_seconds(10)
    loop.reconcile()
    loop.page()
    (over,) = loop.pager.over
    assert over.annotations["summary"] == (
        "P0 incident 1 resolved: db: its alerts are gone, and nothing was done; took 10 s"
    )


def test_hostile_text_is_no_mention_and_no_link(loop: Loop) -> None:
    loop.told(DOWN)
    story = loop.records.story(1)
    assert story is not None
    summary = "<!channel> <http://evil|click> @here \x1b[31m & \u202e" + "x" * 9000
    call = Call(1, "P1", Escalation("restart", Reason.NO_DATA, summary), None, is_open=True)
    text = notice_of(call, story, "http://r/api/v1/incidents").annotations["description"]
    assert len(text) <= 3000
    assert not set(text) & set("<>@&\x1b\u202e")


def test_many_alerts_are_counted_not_listed(loop: Loop) -> None:
    loop.told(*(URGENT | {"instance": str(n)} for n in range(150)))
    loop.pass_seconds(10)
    loop.page()
    text = loop.pager.said[0].annotations["description"]
    assert text.count("Fired: DatabaseDown") == 10
    assert "Fired: 140 more" in text

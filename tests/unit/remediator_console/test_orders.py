"""What people order from the console, and that their names are kept."""

import re

import pytest

from tests.builders import DOWN
from tests.site import Site
from tests.unit.remediator_console.conftest import Browser, words


def asked(site: Site, person: Browser) -> tuple[str, str]:
    """The path and the plan's hash of the only question there is."""
    site.loop.told(DOWN)
    site.loop.turn()
    text = person.get().text
    path = re.search(r'action="(/console/approvals/\d+)"', text)
    plan = re.search(r'name="plan_hash" value="(\w+)"', text)
    assert path
    assert plan
    return path[1], plan[1]


def events(site: Site) -> list[tuple[str, str]]:
    """(kind, by whom) of what people ordered, the oldest first; all of it here."""
    rows = site.loop.database._connection.execute(
        "SELECT kind, json_extract(detail, '$.by'), json_extract(detail, '$.via') FROM events"
        " ORDER BY id"
    ).fetchall()
    assert {via for _, by, via in rows if by} <= {"console"}
    return [(kind, by) for kind, by, _ in rows if by]


@pytest.mark.parametrize(
    ("decision", "state", "word"),
    [("approve", "effective", "approved"), ("deny", "aborted", "denied")],
)
def test_a_run_is_approved_or_denied(
    site: Site, ann: Browser, decision: str, state: str, word: str
) -> None:
    path, plan = asked(site, ann)
    answer = ann.send(path, decision=decision, plan_hash=plan)
    assert (answer.status_code, answer.location) == (303, "/console/")
    assert f"is {word}." in words(ann.get())
    assert f"is {word}." not in words(ann.get()), "it is said once"
    assert (f"approval_{word}", "ann") in events(site)
    site.loop.turn()
    assert site.loop.states()[0][1] == state


def test_what_is_too_late_or_of_another_plan_is_refused(site: Site, ann: Browser) -> None:
    path, plan = asked(site, ann)
    assert ann.send(path, decision="maybe", plan_hash=plan).status_code == 400
    other = ann.send(path, decision="approve", plan_hash="0" * 12)
    assert other.status_code == 409
    assert "does not wait for an answer" in words(other)
    site.loop.pass_seconds(3600)
    late = ann.send(path, decision="approve", plan_hash=plan)
    assert late.status_code == 409
    assert "nothing was done" in words(late)
    assert events(site) == []


def test_it_is_stopped_and_goes_on(site: Site, ann: Browser) -> None:
    ann.send("/console/pause", reason="the  database moves", minutes="60")
    assert "paused by ann (api)" in words(ann.get())
    assert site.loop.kill_switch.paused() == "paused by ann (api): the database moves"
    ann.send("/console/resume")
    assert site.loop.kill_switch.paused() is None
    assert events(site) == [("paused", "ann"), ("resumed", "ann")]
    ann.send("/console/pause", reason="until I say so", minutes="")
    assert "until" not in words(ann.get()).partition("paused by ann")[2].partition(":")[0]


@pytest.mark.parametrize("form", [{"reason": " "}, {"reason": "x", "minutes": "99999"}, {}])
def test_a_stop_that_is_not_clear_is_refused(
    site: Site, ann: Browser, form: dict[str, str]
) -> None:
    assert ann.send("/console/pause", **form).status_code == 400
    assert site.loop.kill_switch.paused() is None


def test_it_is_kept_off_one_service(site: Site, ann: Browser) -> None:
    form = {"target": "web", "reason": "mine", "minutes": "15"}
    assert ann.send("/console/maintenance", **form).status_code == 303
    assert "maintenance on web by ann" in words(ann.get())
    assert ann.send("/console/maintenance", **form | {"target": "no"}).status_code == 404
    assert ann.send("/console/maintenance", **form | {"minutes": ""}).status_code == 400
    assert ann.send("/console/maintenance/1/end").status_code == 303
    assert ann.send("/console/maintenance/1/end").status_code == 409
    assert events(site) == [("maintenance_begun", "ann"), ("maintenance_ended", "ann")]


def test_an_incident_is_acknowledged(site: Site, ann: Browser) -> None:
    site.loop.told(DOWN)
    answer = ann.send("/console/incidents/1/acknowledge", note="on my way")
    assert answer.location == "/console/incidents/1"
    said = words(ann.get("/console/incidents/1"))
    assert "acknowledged by ann" in said
    assert "on my way" in said
    assert ann.send("/console/incidents/7/acknowledge").status_code == 404


def test_an_entry_is_run_as_it_was_shown(site: Site, ann: Browser) -> None:
    page = ann.get("/console/entries/restart/web").text
    plan = re.search(r'name="plan_hash" value="(\w+)"', page)
    assert plan
    run = "/console/entries/restart/web/run"
    assert ann.send(run, plan_hash="0" * 12).status_code == 409
    answer = ann.send(run, plan_hash=plan[1], note="a drill")
    assert answer.location == "/console/incidents/1"
    assert "ann ordered restart" in words(ann.get("/console/incidents/1"))
    assert site.loop.actions["restart"].runs == [], "nothing is done in the request"


def test_a_breaker_is_reset(site: Site, ann: Browser) -> None:
    answer = ann.send("/console/breakers/reset", runbook="restart", target="web")
    assert answer.location == "/console/entries/restart"
    assert events(site) == [("breaker_reset", "ann")]
    assert ann.send("/console/breakers/reset", runbook="no", target="web").status_code == 404

"""What the console's pages say of a real journal."""

import re
from pathlib import Path

import pytest
from typing_extensions import override

from remediator.config_console import ConsoleSection
from remediator.journal import Lease
from remediator.outcomes import Reason
from remediator.ports import Check, Done
from tests.builders import DOWN, FULL
from tests.fakes import FakeAction
from tests.site import Site
from tests.unit.remediator_console.conftest import Browser, words


def test_a_quiet_night_says_so(ann: Browser) -> None:
    said = words(ann.get())
    assert "Nothing is broken" in said
    assert "Nothing waits for you" in said
    assert "Not stopped mode approve" in said
    assert "No rota is configured here." in said


def test_home_says_what_is_broken_and_what_waits(site: Site, ann: Browser) -> None:
    site.loop.told(DOWN)
    site.loop.turn()
    said = words(ann.get())
    assert "1 broken web" in said
    assert "1 to approve" in said
    assert "restart on web" in said
    assert "Approve: do exactly this" in said
    assert "web: ServiceDown" in said


def test_home_says_who_shares_the_journal(
    tmp_path: Path, ann: Browser, accounts: ConsoleSection
) -> None:
    assert "Remediators on this journal" not in words(ann.get())
    shared = Site(tmp_path / "shared.sqlite", console=accounts, shared_as="here")
    other = Lease(shared.loop.database, "<other>")
    other.begin(shared.loop.clock())
    shared.loop.told(DOWN)
    assert shared.loop.runs.incident(1)
    shared.loop.pass_seconds(20)
    shared.loop.lease.beat(shared.loop.clock())
    bob = Browser(shared.client.application.test_client())
    bob.log_in("ann")
    said = words(bob.get())
    assert "here (this one) ● works just now 1; it prunes and writes issues for all" in said
    assert "<other> ▲ silent 20 s ago 0" in said
    assert "worked on by the remediator here" in words(bob.get("/console/incidents/1"))
    shared.loop.close()


def test_what_runs_is_told_step_by_step(site: Site, ann: Browser) -> None:
    seen: list[str] = []
    site.loop.actions["restart"].on_run = lambda: seen.append(words(ann.get()))
    site.loop.told(DOWN)
    site.loop.turn()
    approve(ann)
    site.loop.turn()
    assert "▶ working restart" in seen[0]
    assert "1 running restart on web" in seen[0]
    assert "Nothing runs" in words(ann.get())


def approve(person: Browser) -> None:
    text = person.get().text
    run, plan = re.search(r"/approvals/(\d+)", text), re.search(r'plan_hash" value="(\w+)"', text)
    assert run
    assert plan
    path = f"/console/approvals/{run[1]}"
    assert person.send(path, decision="approve", plan_hash=plan[1]).status_code == 303


def test_an_incident_has_its_runs_guards_evidence_commands_and_draft(
    site: Site, ann: Browser
) -> None:
    site.loop.verifier.verdicts = [Check.FAIL]
    site.loop.told(DOWN)
    site.loop.turn()
    approve(ann)
    site.loop.turn()
    said = words(ann.get("/console/incidents/1"))
    assert "Incident 1: web: ServiceDown" in said
    assert "▲ ineffective" in said
    assert "guards:" in said
    assert "kill switch" in said
    assert "Evidence: target: web" in said
    assert "docker logs --tail 100 CONTAINER" in said
    assert "# Post-mortem: incident 1" in said
    assert "approval approved" in said
    draft = ann.get("/console/incidents/1/postmortem.md")
    assert draft.text.startswith("# Post-mortem: incident 1")
    assert draft.headers["Content-Disposition"] == "attachment; filename=incident-1.md"


def test_the_runbook_has_each_entry_with_its_runs(site: Site, ann: Browser) -> None:
    site.loop.told(DOWN)
    site.loop.turn()
    approve(ann)
    site.loop.turn()
    said = words(ann.get("/console/entries"))
    assert "restart-db" in said
    assert "100 %" in said
    entry = words(ann.get("/console/entries/restart"))
    assert "1 of 1 mended (100 %)" in entry
    assert "breaker closed" in entry
    assert "cools down until" in entry
    assert "Try it out on web" in entry
    assert ann.get("/console/entries/none").status_code == 404


def test_a_dry_run_tells_and_touches_nothing(site: Site, ann: Browser, vic: Browser) -> None:
    for person in (ann, vic):
        answer = person.get("/console/entries/restart/web")
        assert "nothing was touched" in words(answer)
        assert ("Run it now" in words(answer)) is (person is ann)
    assert site.loop.incidents() == []
    assert ann.get("/console/entries/restart/nothing").status_code == 404
    there = ann.get("/console/entries/restart/try?target=web")
    assert (there.status_code, there.location) == (303, "/console/entries/restart/web")


def test_history_is_filtered(site: Site, ann: Browser) -> None:
    site.loop.told(DOWN, FULL)
    site.loop.turn()
    site.loop.told(FULL, status="resolved")
    everything = words(ann.get("/console/history"))
    assert "web: ServiceDown" in everything
    assert "cache: CacheFull" in everything
    for query, found in (
        ("target=web", "web: ServiceDown"),
        ("entry=flush-keys", "cache: CacheFull"),
        ("text=CACHEfull", "cache: CacheFull"),
        ("state=closed", None),
        ("before=1", None),
        ("since=2030-01-01&state=closed", None),
        ("state=x&before=y", "web: ServiceDown"),
    ):
        said = words(ann.get(f"/console/history?{query}"))
        assert (found or "No incident is like that") in said, query
    assert ann.get("/console/history?since=yesterday").status_code == 400


@pytest.mark.parametrize(
    "path", ["/console/incidents/9", "/console/runbooks/Nope", "/console/nothing", "/console/a/b/c"]
)
def test_what_is_not_there_is_a_page_that_says_so(ann: Browser, path: str) -> None:
    answer = ann.get(path)
    assert answer.status_code == 404
    assert "Not Found" in words(answer)


def test_a_runbook_page_is_shown(ann: Browser) -> None:
    said = words(ann.get("/console/runbooks/ServiceDown"))
    assert "Check by hand" in said


def test_an_open_page_is_told_only_what_has_changed(site: Site, ann: Browser) -> None:
    first = ann.live()
    assert first.text.lstrip().startswith('<div id="live"')
    assert "<html" not in first.text
    again = ann.live(If_None_Match=first.headers["ETag"])
    assert (again.status_code, again.text) == (304, "")
    site.loop.told(DOWN)
    changed = ann.live(If_None_Match=first.headers["ETag"])
    assert changed.status_code == 200
    assert "ServiceDown" in changed.text


class Telling(FakeAction):
    """Says the same in every word and in every piece of evidence."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    @override
    def run(self, target: object, *, timeout_seconds: float) -> Done:
        return Done(self._text, {"state": {self._text: self._text}, "log_tail": [self._text] * 2})


def test_hostile_text_is_text(site: Site, ann: Browser) -> None:
    evil = "<script>alert(1)</script>\"'><img src=x>\x1b[31m\u202e"
    site.loop.actions.by_name["restart"] = Telling(evil)
    site.loop.verifier.verdicts = [Check.FAIL]
    site.loop.told(DOWN | {"note": evil})
    site.loop.turn()
    approve(ann)
    site.loop.turn()
    ann.send("/console/incidents/1/acknowledge", note=evil)
    for path in ("/console/", "/console/incidents/1", f"/console/history?text={evil}"):
        text = ann.get(path).text
        assert "<script>alert" not in text
        assert "<img" not in text
    assert ann.get("/console/incidents/1").text.count("&lt;script&gt;") > 5
    refused = ann.live(f"/console/history?since={evil}")
    assert (refused.status_code, refused.mimetype) == (400, "text/plain")


def test_a_dead_journal_is_a_page_that_says_how_to_stop_it(site: Site, ann: Browser) -> None:
    site.loop.database._connection.close()
    answer = ann.get()
    assert answer.status_code == 503
    assert "The journal cannot be used" in words(answer)
    assert "create the file" in words(answer)
    assert ann.live().status_code == 503


def test_a_paused_remediator_says_who_and_until_when(site: Site, ann: Browser) -> None:
    site.loop.alerts.muted = Reason.SILENCED
    site.loop.path.with_name("paused").write_text("I work on it")
    site.loop.kill_switch.look()
    said = words(ann.get())
    assert "Stopped" in said
    assert "by the file (file)" in said
    assert "Delete the file paused" in said

"""What operators see, over the API: explanations, what works, the entries, how the chain is."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator.operate import Busy, explain_alert, explain_order
from remediator.operate.desk import EXPLAINED_AT_ONCE
from remediator.policy import Mode
from remediator.ports import Check
from tests.builders import DB_DOWN, DOWN, FULL, a_policy
from tests.site import AUTH, Site

Ask = Callable[..., tuple[int, Any]]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path / "state.sqlite")
    yield site
    site.loop.close()


@pytest.fixture
def get(site: Site) -> Ask:
    def ask(path: str, **query: object) -> tuple[int, Any]:
        answer = site.client.get(f"/api/v1{path}", headers=AUTH, query_string=query)
        return answer.status_code, answer.json

    return ask


@pytest.fixture
def post(site: Site) -> Ask:
    def send(path: str, **order: object) -> tuple[int, Any]:
        answer = site.client.post(f"/api/v1{path}", json={"by": "ann", **order}, headers=AUTH)
        return answer.status_code, answer.json

    return send


def held(site: Site) -> list[str]:
    """Everything in the journal."""
    return list(site.loop.database._connection.iterdump())


# -- acknowledge -------------------------------------------------------------------------------


def test_an_acknowledgement_is_kept_told_and_ends_with_its_incident(site: Site, post: Ask) -> None:
    loop = site.loop
    metric = "remediator_incident_acknowledged"
    assert site.metric(metric, service="db") == 0
    loop.kill_switch.pause("look first", "bob", None)
    loop.told(DB_DOWN | {"severity": "P0"})
    loop.turn()
    code, said = post("/incidents/1/acknowledge", note="on it <@here>")
    expected = {
        "at": "2026-01-05T12:00:00.000Z",
        "by": "ann",
        "note": "on it <@here>",
        "via": "api",
    }
    assert (code, said) == (200, {"incident_id": 1, "acknowledged": expected})
    assert site.woken == 1
    assert (site.metric(metric, service="db"), site.metric(metric, service="web")) == (1, 0)

    loop.clock.wait(60)
    loop.page()
    description = loop.pager.said[-1].annotations["description"]
    assert "Acknowledged: 12:00:00Z by ann: on it \u2039(at)here\u203a" in description
    post("/incidents/1/acknowledge", by="bob")
    (incident,) = loop.incidents()
    assert incident["acknowledged"]["by"] == "bob", "the newest is who is on it"
    story = loop.records.incident(1)
    assert story is not None
    events = [event["detail"]["by"] for event in story["events"] if event["kind"] == "acknowledged"]
    assert events == ["ann", "bob"]

    loop.kill_switch.resume("bob")
    loop.turn()
    assert loop.incidents()[0]["state"] == "closed"
    assert site.metric(metric, service="db") == 0
    assert post("/incidents/1/acknowledge") == (409, {"error": "Incident 1 is not open."})
    assert post("/incidents/7/acknowledge") == (404, {"error": "There is no incident 7."})


# -- explain -----------------------------------------------------------------------------------


def test_an_explanation_shows_the_entry_the_steps_and_every_guard_and_writes_nothing(
    site: Site, get: Ask
) -> None:
    site.loop.alerts.firing.append(DOWN)
    before = held(site)
    code, told = get("/explain", alert="ServiceDown", label="service=web")
    assert code == 200
    assert (told["verdict"], told["entry"], told["target"]) == ("would_run", "restart", "web")
    assert [step["action"] for step in told["plan"]["steps"]] == ["restart"]
    assert {guard["verdict"] for guard in told["guards"]} == {"allowed"}
    assert told["verify"] == {"checks": ["probes", "alert"], "within_seconds": 30, "consecutive": 2}
    shown = get("/explain", entry="restart", target="web", by="ann")[1]
    assert (shown["verdict"], shown["plan_hash"]) == ("would_run", told["plan_hash"])
    assert held(site) == before
    assert site.loop.actions["restart"].runs == []
    assert site.woken == 0


def test_an_explanation_is_what_then_happens(site: Site) -> None:
    loop = site.loop
    loop.kill_switch.pause("look first", "bob", None)
    loop.told(DOWN)
    loop.remediate()
    told = explain_alert(site.desk, DOWN)
    assert (told["verdict"], told["incident_id"]) == ("blocked", 1)
    assert told["guards"] == loop.incidents()[0]["runs"][0]["guards"]


@pytest.mark.parametrize(
    ("mode", "verdict"), [(Mode.APPROVE, "would_ask"), (Mode.OBSERVE, "would_observe")]
)
def test_an_explanation_knows_the_mode(tmp_path: Path, mode: Mode, verdict: str) -> None:
    site = Site(tmp_path / "state.sqlite", a_policy(mode=mode))
    site.loop.alerts.firing.append(DOWN)
    assert explain_alert(site.desk, DOWN)["verdict"] == verdict
    site.loop.close()


def test_an_explanation_of_an_open_incident_is_of_the_rung_it_has_reached(site: Site) -> None:
    loop = site.loop
    loop.verifier.verdicts = [Check.FAIL]
    loop.told(FULL)
    loop.remediate()
    assert explain_alert(site.desk, FULL)["entry"] == "flush-all"
    loop.turn()
    told = explain_alert(site.desk, FULL)
    assert (told["verdict"], told["reason"]) == ("no_plan", "not_verified")
    assert told["detail"].endswith("it was the last rung")


def test_a_run_that_works_and_an_incident_that_rests_are_told_as_that(site: Site) -> None:
    loop, told = site.loop, list[dict[str, Any]]()
    loop.actions["restart"].on_run = lambda: told.append(explain_alert(site.desk, DOWN))
    book = loop.policy.runbooks["restart"]
    watched = replace(book, verify=replace(book.verify, hold_seconds=600))
    loop.policy = replace(loop.policy, runbooks={**loop.policy.runbooks, "restart": watched})
    loop.told(DOWN)
    loop.turn()
    assert (told[0]["verdict"], told[0]["detail"]) == ("rests", "run 1 (restart) works on it")
    resting = explain_alert(site.desk, DOWN)
    assert (resting["verdict"], resting["detail"]) == (
        "rests",
        "incident 1 rests: run 1 is effective",
    )


def test_without_prometheus_an_explanation_says_so(site: Site) -> None:
    site.loop.alerts.down = True
    told = explain_alert(site.desk, DOWN)
    assert (told["verdict"], told["reason"]) == ("blocked", "prometheus_unreachable")


def test_explanations_leave_threads_for_webhooks(site: Site, get: Ask) -> None:
    for _ in range(EXPLAINED_AT_ONCE):
        site.desk.explaining.acquire()
    with pytest.raises(Busy):
        explain_order(site.desk, "restart", "web", "ann")
    assert get("/explain", alert="ServiceDown", label="service=web")[0] == 503
    site.desk.explaining.release()
    assert get("/explain", alert="ServiceDown", label="service=web")[0] == 200


@pytest.mark.parametrize(
    "query", [{}, {"alert": "X", "label": "nothing"}, {"alert": "X", "label": "=v"}, {"entry": "x"}]
)
def test_a_question_that_is_none_is_400(get: Ask, query: dict[str, str]) -> None:
    assert get("/explain", **query)[0] == 400


# -- orders ------------------------------------------------------------------------------------


def test_a_run_is_ordered_with_the_plan_that_was_shown(site: Site, get: Ask, post: Ask) -> None:
    shown = get("/explain", entry="restart", target="web", by="ann")[1]
    order = {"entry": "restart", "target": "web", "plan_hash": shown["plan_hash"]}
    assert post("/runs", **order) == (202, {"order_id": 1, "incident_id": 1})
    assert site.woken == 1
    assert post("/runs", **order)[0] == 409
    assert post("/runs", **order | {"plan_hash": "x"})[0] == 409
    assert post("/runs", **order | {"entry": "gone"})[0] == 404
    assert post("/runs", **order | {"force": True})[0] == 400
    assert post("/runs", entry="restart", target="web")[0] == 400
    site.loop.turn()
    assert get("/incidents/1")[1]["runs"][0]["ordered_by"] == "ann"


@pytest.mark.parametrize("path", ["/runs", "/incidents/1/acknowledge"])
def test_nothing_is_ordered_without_the_token(site: Site, path: str) -> None:
    assert site.client.post(f"/api/v1{path}", json={"by": "ann"}).status_code == 401


# -- incidents ---------------------------------------------------------------------------------


def test_incidents_are_filtered_and_paged(site: Site, get: Ask, post: Ask) -> None:
    loop = site.loop
    loop.told(DOWN | {"instance": "Alpha_1"})
    loop.turn()
    loop.clock.wait(3600)
    loop.verifier.verdicts = [Check.FAIL]
    loop.told(FULL)
    loop.turn()
    loop.told(DB_DOWN)
    loop.turn()
    post("/incidents/3/acknowledge", note="100% mine")

    def found(**query: object) -> list[int]:
        return [story["id"] for story in get("/incidents", **query)[1]["incidents"]]

    assert found() == [3, 2, 1]
    assert found(state="open") == [3, 2]
    assert found(state="closed") == [1]
    assert found(entry="flush-keys") == [2]
    assert found(target="db") == [3]
    assert found(since="2026-01-05T12:30:00Z") == [3, 2]
    assert found(text="alpha_1") == [1]
    assert found(text="alpha%") == []
    assert found(text="0% MINE") == [3]
    assert found(text="script says fail") == [3, 2]
    assert found(text="restart-db") == [3]
    page = get("/incidents", limit=2)[1]
    assert ([story["id"] for story in page["incidents"]], page["next"]) == ([3, 2], 2)
    assert get("/incidents", limit=2, before=2)[1]["next"] is None
    assert found(limit=2, before=2) == [1]
    assert "events" not in page["incidents"][0]


@pytest.mark.parametrize(
    "query",
    [{"state": "half"}, {"limit": 0}, {"limit": 201}, {"since": "today"}, {"colour": "red"}],
)
def test_a_filter_that_is_none_is_400(get: Ask, query: dict[str, object]) -> None:
    code, refusal = get("/incidents", **query)
    assert code == 400
    assert next(iter(query)) in refusal["error"]


def test_an_incident_says_where_it_stands(site: Site, get: Ask) -> None:
    site.loop.told(DOWN)
    assert get("/incidents/1")[1]["now"] == {"status": "investigating", "detail": "investigating"}
    site.loop.turn()
    now = get("/incidents/1")[1]["now"]
    assert now["status"] == "closed"
    assert now["detail"].startswith("mended by restart, verified")
    assert get("/incidents/9")[0] == 404


# -- what works, what waits --------------------------------------------------------------------


def test_what_works_is_told_step_by_step(site: Site, get: Ask) -> None:
    loop, seen = site.loop, list[Any]()
    loop.actions["restart"].on_run = lambda: seen.append(get("/running")[1]["runs"])
    look = loop.verifier.on_pass

    def watch(labels: Any) -> None:  # noqa: ANN401 - an alert's labels
        seen.append(get("/running")[1]["runs"])
        look(labels)

    loop.verifier.on_pass = watch
    loop.told(DOWN)
    loop.turn()
    ((acting,), (verifying,), *_) = seen
    assert (acting["state"], acting["steps"][0]["state"]) == ("executing", "working")
    assert acting["steps"][0]["action"] == "restart"
    assert acting["verification"]["state"] == "waiting"
    assert (verifying["state"], verifying["steps"][0]["state"]) == ("verifying", "done")
    assert verifying["verification"] == {
        "state": "working",
        "checks": ["probes", "alert"],
        "since": "2026-01-05T12:00:00.000Z",
        "until": "2026-01-05T12:00:30.000Z",
    }
    assert get("/running") == (200, {"runs": []})


def test_a_question_comes_with_what_it_is_asked_for(tmp_path: Path) -> None:
    site = Site(tmp_path / "state.sqlite", a_policy(mode=Mode.APPROVE))
    site.loop.told(DOWN)
    site.loop.turn()
    site.loop.clock.wait(60)
    answer = site.client.get("/api/v1/approvals", headers=AUTH).json
    assert answer is not None
    (asked,) = answer["approvals"]
    assert asked["expires_at"] == "2026-01-05T12:15:00.000Z"
    assert asked["seconds_left"] == 840
    assert asked["alerts"][0]["labels"] == DOWN
    blocked = [guard["guard"] for guard in asked["guards"] if guard["verdict"] == "blocked"]
    assert (blocked, asked["tried"]) == (["approval"], [])
    site.loop.close()


# -- the entries and the chain -----------------------------------------------------------------


def test_entries_tell_how_they_have_gone(site: Site, get: Ask) -> None:
    loop = site.loop
    loop.told(DOWN)
    loop.turn()
    loop.verifier.verdicts = [Check.FAIL]
    loop.told(FULL)
    loop.turn()
    told = {entry["id"]: entry for entry in get("/entries")[1]["entries"]}
    restart, keys = told["restart"], told["flush-keys"]
    assert restart["runs"] == {
        "total": 1,
        "mended": 1,
        "not_mended": 0,
        "success_rate": 1.0,
        "median_seconds_to_mend": pytest.approx(61, abs=1),
    }
    (place,) = restart["targets"]
    assert (place["target"], place["breaker"]["open"]) == ("web", False)
    assert place["attempts"] == {"used": 1, "of": 2, "per_seconds": 3600}
    assert place["cooldown_until"] == "2026-01-05T12:10:01.000Z"
    assert restart["may_run_on"] == ["web", "worker", "db", "cache"]
    assert told["restart-db"]["may_run_on"] == ["db"]
    assert (keys["runs"]["success_rate"], keys["ladder"]) == (0.0, ["flush-all"])
    assert keys["recent"][0]["state"] == "ineffective"
    loop.pass_seconds(700)
    for _ in range(2):
        loop.told(FULL, status="resolved")
        loop.alerts.firing.clear()
        loop.pass_seconds(1000)
        loop.reconcile()
        loop.told(FULL)
        loop.turn()
    (place,) = next(e for e in get("/entries")[1]["entries"] if e["id"] == "flush-keys")["targets"]
    assert place["breaker"]["open"]
    assert site.metric("remediator_breaker_open", runbook="flush-keys", service="cache") == 1


def test_the_status_tells_of_each_link(site: Site, get: Ask) -> None:
    def links() -> dict[str, bool | None]:
        told = get("/status")[1]
        assert told["healthy"] is (False not in (link["ok"] for link in told["health"]))
        return {link["link"]: link["ok"] for link in told["health"]}

    unknown = {"webhook", "watchdog", "prometheus", "reconcile"}
    assert {name for name, ok in links().items() if ok is None} == unknown
    site.hook({"version": "4", "alerts": []})
    site.watchdog.seen(site.loop.clock())
    site.loop.reconcile()
    assert set(links().values()) == {True}
    site.loop.alerts.down = True
    site.loop.reconcile()
    site.late = True
    site.loop.clock.wait(301)
    broken = {name for name, ok in links().items() if ok is False}
    assert broken == {"watchdog", "prometheus", "reconcile", "worker"}


def test_the_status_tells_what_humans_have_ordered(site: Site, get: Ask) -> None:
    loop, now = site.loop, site.loop.clock()
    loop.kill_switch.pause("why", "bob", None)
    loop.orders.take_deploy_lock("ci", "v2", now + timedelta(hours=1), now)
    loop.orders.begin_maintenance("web", "ann", "disks", now + timedelta(hours=1), now)
    loop.told(DOWN)
    told = get("/status")[1]
    assert told["pauses"][0]["reason"] == "why"
    assert told["deploy_lock"]["by"] == "ci"
    assert told["maintenance"][0]["target"] == "web"
    assert (told["open_incidents"], told["approvals_waiting"]) == (1, 0)
    loop.clock.wait(3601)
    assert get("/status")[1]["deploy_lock"] is None

"""What people order over HTTP: approvals, the deploy lock, maintenance."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from remediator.policy import Mode
from tests.builders import DOWN, a_policy
from tests.site import AUTH, Site

Post = Callable[..., tuple[int, Any]]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path / "state.sqlite", a_policy(mode=Mode.APPROVE))
    yield site
    site.loop.close()


@pytest.fixture
def post(site: Site) -> Post:
    def send(path: str, **order: object) -> tuple[int, Any]:
        answer = site.client.post(f"/api/v1{path}", json={"by": "ann", **order}, headers=AUTH)
        return answer.status_code, answer.json

    return send


def get(site: Site, path: str) -> Any:  # noqa: ANN401 - JSON
    return site.client.get(f"/api/v1{path}", headers=AUTH).json


@pytest.mark.parametrize(
    ("decision", "word", "state"),
    [("approve", "approved", "effective"), ("deny", "denied", "aborted")],
)
def test_a_question_is_listed_and_answered_for_its_plan(
    site: Site, post: Post, decision: str, word: str, state: str
) -> None:
    site.loop.told(DOWN)
    site.loop.turn()
    (asked,) = get(site, "/approvals")["approvals"]
    assert asked["plan"]["target"] == "web"
    assert site.metric("remediator_approvals_waiting", service="web") == 1

    given = {"decision": decision, "plan_hash": asked["plan_hash"]}
    answer = post(f"/approvals/{asked['run_id']}", **given)
    assert answer == (200, {"run_id": asked["run_id"], "decision": word, "by": "ann"})
    assert site.woken == 1
    code, refusal = post(f"/approvals/{asked['run_id']}", **given)
    assert code == 409
    assert "does not wait for an answer" in refusal["error"]

    site.loop.turn()
    assert site.loop.states()[0][1] == state
    assert site.metric("remediator_approvals_waiting", service="web") == 0


@pytest.mark.parametrize(
    ("order", "problem"),
    [
        ({"decision": "maybe", "plan_hash": "x"}, "decision"),
        ({"decision": "approve"}, "plan_hash: Field required"),
        ({"decision": "approve", "plan_hash": "x", "by": " "}, "by"),
        ({"decision": "approve", "plan_hash": "x", "force": True}, "force"),
    ],
)
def test_an_answer_without_who_or_what_is_400(
    post: Post, order: dict[str, object], problem: str
) -> None:
    code, refusal = post("/approvals/1", **order)
    assert code == 400
    assert problem in refusal["error"]


def test_the_deploy_lock_is_taken_shown_and_released(site: Site, post: Post) -> None:
    assert get(site, "/deploy-lock") == {"held": False, "last": None}
    code, taken = post("/deploy-lock", reason="v2", minutes=10)
    assert code == 200
    assert taken["held"] is True
    assert taken["last"]["until"] == "2026-01-05T12:10:00.000Z"
    assert get(site, "/deploy-lock") == taken
    code, refusal = post("/deploy-lock", reason="v3")
    assert code == 409
    assert refusal["error"].startswith("ann deploys until 12:10:00 UTC at the latest: v2.")

    assert post("/deploy-lock/release")[1]["held"] is False
    assert site.woken == 1
    assert post("/deploy-lock/release")[0] == 409
    assert post("/deploy-lock", reason="v3", minutes=241)[0] == 400


def test_a_forgotten_deploy_lock_ends_by_itself(site: Site, post: Post) -> None:
    post("/deploy-lock", reason="v2", minutes=10)
    site.loop.pass_seconds(600)
    assert get(site, "/deploy-lock")["held"] is False
    assert post("/deploy-lock", reason="v3")[0] == 200


def test_maintenance_has_a_target_and_an_end(site: Site, post: Post) -> None:
    code, begun = post("/maintenance", reason="new disks", minutes=60, target="web")
    (work,) = begun["maintenance"]
    assert (code, work["target"], work["until"]) == (200, "web", "2026-01-05T13:00:00.000Z")
    site.loop.policy = replace(site.loop.policy, mode=Mode.AUTO)
    site.loop.told(DOWN)
    site.loop.turn()
    assert site.loop.states() == [("restart", "blocked", "maintenance")]
    assert site.loop.pager.paged == []

    assert post(f"/maintenance/{work['id']}/end") == (200, {"maintenance": []})
    assert post(f"/maintenance/{work['id']}/end")[0] == 409
    site.loop.turn()
    assert site.loop.states() == [("restart", "effective", "verified")]

    assert post("/maintenance", reason="all", minutes=1)[1]["maintenance"][0]["target"] is None
    assert post("/maintenance", reason="x", minutes=241)[0] == 400
    assert post("/maintenance", reason="x", minutes=1, target="gone")[0] == 404


@pytest.mark.parametrize("path", ["/approvals", "/deploy-lock", "/maintenance"])
def test_nothing_is_told_or_taken_without_the_token(site: Site, path: str) -> None:
    assert site.client.get(f"/api/v1{path}").status_code == 401
    order = "/approvals/1" if path == "/approvals" else path
    assert site.client.post(f"/api/v1{order}", json={}).status_code == 401


# -- where it was ordered -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "via"),
    [({}, "api"), ({"Stackmedic-Via": "command"}, "command"), ({"Stackmedic-Via": "moon"}, "api")],
)
def test_every_order_says_where_it_was_given(site: Site, headers: dict[str, str], via: str) -> None:
    def post(path: str, **order: object) -> Any:  # noqa: ANN401 - JSON
        sent = AUTH | headers
        answer = site.client.post(f"/api/v1{path}", json={"by": "ann", **order}, headers=sent)
        assert answer.status_code < 300, answer.text
        return answer.json

    site.loop.told(DOWN)
    site.loop.turn()
    (asked,) = get(site, "/approvals")["approvals"]
    post("/incidents/1/acknowledge")
    post(f"/approvals/{asked['run_id']}", decision="deny", plan_hash=asked["plan_hash"])
    post("/pause", reason="look")
    post("/resume")
    post("/breakers/reset", runbook="restart", target="web")
    post("/deploy-lock", reason="v2")
    post("/deploy-lock/release")
    post("/maintenance", reason="disks", minutes=5)
    post("/maintenance/1/end")
    shown = get(site, "/explain?entry=flush-all&target=cache")
    post("/runs", entry="flush-all", target="cache", plan_hash=shown["plan_hash"])

    rows = site.loop.database._connection.execute("SELECT kind, detail FROM events").fetchall()
    ordered = {kind: json.loads(detail) for kind, detail in rows if '"by"' in detail}
    assert len(ordered) == 11
    assert {detail["via"] for detail in ordered.values()} == {via}
    story = site.loop.records.story(1)
    assert story is not None
    assert story["acknowledged"]["via"] == via
    draft = site.client.get("/api/v1/incidents/1/postmortem", headers=AUTH).text
    assert f"by `ann` (`{via}`)" in draft
    other = site.client.get("/api/v1/incidents/2/postmortem", headers=AUTH).text
    assert f"- Ordered: `flush-all` by `ann` (`{via}`)" in other


def test_what_a_file_orders_was_given_by_no_human(site: Site) -> None:
    site.loop.path.with_name("paused").write_text("disks")
    site.client.post("/api/v1/pause", json={"by": "ann", "reason": "me too"}, headers=AUTH)

    rows = site.loop.database._connection.execute("SELECT detail FROM events").fetchall()
    told = {
        detail["source"]: detail.get("via") for (text,) in rows for detail in [json.loads(text)]
    }
    assert told == {"api": "api", "file": None}

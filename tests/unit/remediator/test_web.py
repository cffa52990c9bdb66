"""The webhook's contract with Alertmanager, and the read API."""

import io
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from remediator.breaker import BreakerLimits
from remediator.ports import Check
from tests.builders import DOWN, FULL, a_body, a_policy
from tests.site import AUTH, HOOK, MAX_BODY, TOKEN, Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path / "state.sqlite")
    yield site
    site.loop.close()


def test_a_good_webhook_is_stored_before_it_is_answered_and_wakes_the_worker(site: Site) -> None:
    answer = site.hook(a_body(DOWN))

    assert (answer.status_code, answer.json) == (200, {"stored": True, "alerts": {"accepted": 1}})
    assert site.loop.incidents()[0]["alerts"][0]["source"] == "webhook"
    assert site.woken == 1
    assert site.loop.actions["restart"].runs == [], "nothing is done in the request"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer "},
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": "Bearer \xe4\xf6"},
    ],
)
@pytest.mark.parametrize(
    "path", [HOOK, "/api/v1/incidents", "/api/v1/incidents/1", "/api/v1/status"]
)
def test_no_or_a_wrong_token_is_401(site: Site, path: str, headers: dict[str, str]) -> None:
    ask = site.client.post if path == HOOK else site.client.get
    answer = ask(path, headers=headers)
    assert answer.status_code == 401
    assert answer.json is not None
    assert TOKEN not in answer.text
    assert answer.headers["WWW-Authenticate"].lower().startswith("bearer")
    assert site.loop.incidents() == []


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "The body is not JSON."),
        (b"{", "The body is not JSON."),
        (b"\xff\xfe", "The body is not JSON."),
        (b"[" * 100_000, "The body is not JSON."),
        (b"9" * 10_000, "The body is not JSON."),
        (b"null", "The body must be a JSON object, as Alertmanager's webhook sends it."),
        (b'{"version": "5"}', '"version" must be "4"; a custom payload is not understood.'),
    ],
)
def test_a_body_that_can_never_be_right_is_400_with_a_sentence(
    site: Site, data: bytes, sentence: str
) -> None:
    answer = site.client.post(HOOK, data=data, headers=AUTH)
    assert (answer.status_code, answer.json) == (400, {"error": sentence})
    assert site.metric("remediator_webhook_requests_total", code="400") == 1


def test_a_body_over_the_cap_is_413_whatever_length_it_claims(site: Site) -> None:
    body = b" " * (MAX_BODY + 1)
    told = site.client.post(HOOK, data=body, headers=AUTH)
    chunked = site.client.post(
        HOOK,
        input_stream=io.BytesIO(body),
        headers=AUTH,
        environ_overrides={"wsgi.input_terminated": True},
    )
    for answer in (told, chunked):
        assert (answer.status_code, answer.json) == (
            413,
            {"error": "The body is over 1048576 bytes."},
        )
    assert site.metric("remediator_webhook_requests_total", code="413") == 2


def test_the_token_is_asked_for_before_the_body_is_read(site: Site) -> None:
    assert site.client.post(HOOK, data=b" " * (MAX_BODY + 1)).status_code == 401


def test_an_unknown_alert_is_200_and_counted(site: Site) -> None:
    answer = site.hook(a_body({"alertname": "Nope"}))
    assert (answer.status_code, answer.json) == (
        200,
        {"stored": True, "alerts": {"unknown_alert": 1}},
    )
    assert site.metric("remediator_unknown_alerts_total") == 1
    assert site.woken == 0


def test_a_truncated_webhook_wakes_the_worker_whatever_it_holds(site: Site) -> None:
    for truncated in (3, 0, "many", None):
        site.hook(a_body({"alertname": "Nope"}, truncatedAlerts=truncated))
    assert site.woken == 1
    assert site.metric("remediator_deliveries_truncated_total") == 1


def test_the_watchdog_is_seen_and_is_no_unknown_alert(site: Site) -> None:
    watchdog = {"alertname": "Watchdog", "severity": "none"}
    assert site.metric("remediator_watchdog_last_seen_timestamp_seconds") == 0
    site.hook(a_body(watchdog, status="resolved"))
    assert site.metric("remediator_watchdog_last_seen_timestamp_seconds") == 0
    answer = site.hook(a_body(watchdog, DOWN))
    assert answer.json == {"stored": True, "alerts": {"accepted": 1, "watchdog": 1}}
    seen = site.metric("remediator_watchdog_last_seen_timestamp_seconds")
    assert seen == site.loop.clock().timestamp()
    assert site.metric("remediator_unknown_alerts_total") == 0
    assert site.metric("remediator_alerts_received_total", result="watchdog") == 2

    def status() -> Any:  # noqa: ANN401 - JSON
        return (site.client.get("/api/v1/status", headers=AUTH).json or {})["watchdog"]

    assert status() == {"last_seen_at": "2026-01-05T12:00:00.000Z", "missing": False}
    site.loop.pass_seconds(301)
    assert status()["missing"] is True
    assert site.client.get("/-/healthy").status_code == 200


def test_a_post_mortem_is_markdown(site: Site) -> None:
    site.loop.told(DOWN)
    site.loop.turn()
    answer = site.client.get("/api/v1/incidents/1/postmortem", headers=AUTH)
    assert answer.content_type == "text/markdown; charset=utf-8"
    assert answer.text.startswith("# Post-mortem: incident 1, `web`\n")
    assert "http://remediator/api/v1/incidents/1/postmortem" in answer.text
    assert site.client.get("/api/v1/incidents/1/postmortem").status_code == 401
    assert site.client.get("/api/v1/incidents/9/postmortem", headers=AUTH).status_code == 404


def test_times_and_ends_are_counted_by_runbook(site: Site) -> None:
    site.hook(a_body(DOWN))
    site.loop.alerts.firing.append(DOWN)
    site.loop.pass_seconds(2)
    site.loop.turn()
    site.loop.verifier.verdicts = [Check.FAIL]
    site.loop.told(FULL)
    site.loop.turn()

    def of(name: str, runbook: str) -> float | None:
        return site.metric(f"remediator_{name}", runbook=runbook)

    assert of("incidents_opened_total", "restart") == of("incidents_closed_total", "restart") == 1
    assert of("time_to_detect_seconds_sum", "restart") == pytest.approx(59.9, abs=0.1)
    assert of("time_to_act_seconds_sum", "restart") == 2
    assert of("time_to_mend_seconds_count", "restart") == 1
    assert of("time_to_act_seconds_count", "flush-keys") == 1
    assert of("time_to_act_seconds_count", "flush-all") == 0, "it was not the first step"
    assert of("incidents_closed_total", "flush-keys") == 0
    assert site.metric("remediator_escalations_total", reason="not_verified") == 1


def test_a_label_that_is_no_target_is_200_counted_and_goes_no_further(site: Site) -> None:
    answer = site.hook(a_body(DOWN | {"service": "c-web; reboot"}))
    assert answer.json == {"stored": True, "alerts": {"unknown_target": 1}}
    assert site.metric("remediator_alerts_received_total", result="unknown_target") == 1
    assert site.loop.incidents() == []


def test_hostile_text_in_labels_is_stored_as_it_is(site: Site) -> None:
    body = json.dumps(a_body(DOWN | {"x": "\0'; DROP TABLE runs; --<script>"}))
    body = body.replace("<script>", "\\ud800")  # half a surrogate: no UTF-8 can hold it
    answer = site.client.post(HOOK, data=body, headers=AUTH)
    assert answer.status_code == 200
    assert site.client.get("/api/v1/incidents", headers=AUTH).status_code == 200


def test_what_cannot_be_stored_is_503_and_is_taken_when_it_is_sent_again(site: Site) -> None:
    connection = site.loop.database._connection
    connection.execute("PRAGMA query_only = 1")
    refused = site.hook(a_body(DOWN))
    assert refused.status_code == 503
    assert "Retry-After" not in refused.headers
    assert refused.json is not None
    assert refused.json["error"].startswith("Try again: the journal cannot be written")
    assert site.woken == 0

    connection.execute("PRAGMA query_only = 0")
    assert site.hook(a_body(DOWN)).status_code == 200
    assert len(site.loop.incidents()) == 1


def test_a_dead_journal_is_503_everywhere_but_metrics_and_healthy(site: Site) -> None:
    site.loop.database._connection.close()
    get = site.client.get
    assert site.hook(a_body(DOWN)).status_code == 503
    assert get("/api/v1/incidents", headers=AUTH).status_code == 503
    assert get("/-/ready").status_code == 503
    assert get("/-/healthy").status_code == 200
    metrics = get("/metrics")
    assert metrics.status_code == 200
    assert "remediator_run_in_progress{" not in metrics.text


def test_a_thousand_alerts_are_stored_in_one_answer(site: Site) -> None:
    body = a_body(*(DOWN | {"instance": f"i{n}"} for n in range(1000)))
    site.hook(a_body(DOWN))
    began = time.perf_counter()
    answer = site.hook(body)
    again = site.hook(body)
    seconds = (time.perf_counter() - began) / 2

    assert (answer.json, again.json) == ({"stored": True, "alerts": {"accepted": 1000}},) * 2
    (incident,) = site.loop.incidents()
    assert len(incident["alerts"]) == 1001
    assert seconds < 1, "far from its usual 50 ms: something is quadratic"


def test_the_api_gives_incidents_as_agreed(site: Site) -> None:
    site.loop.told(DOWN)
    site.loop.turn()
    listed = site.client.get("/api/v1/incidents", headers=AUTH).json
    assert listed is not None
    (incident,) = listed["incidents"]
    assert {
        "id",
        "target",
        "state",
        "opened_at",
        "closed_at",
        "alerts",
        "runs",
        "escalated",
    } <= set(incident)
    assert {"name", "labels", "status", "starts_at", "received_at", "source"} <= set(
        incident["alerts"][0]
    )
    run = incident["runs"][0]
    assert {"id", "runbook", "target", "state", "reason", "created_at", "guards", "steps"} <= set(
        run
    )
    assert {"acted_at", "verified_at", "findings"} <= set(run)
    assert set(run["guards"][0]) == {"guard", "verdict", "reason", "detail"}
    assert {"id", "action", "intent_at", "outcome_at", "outcome", "summary"} <= set(run["steps"][0])
    assert incident["alerts"][0]["received_at"] == "2026-01-05T12:00:00.000Z"

    one = site.client.get("/api/v1/incidents/1", headers=AUTH).json
    assert one is not None
    assert [event["kind"] for event in one["events"]][:2] == ["incident_opened", "alert_firing"]
    assert site.client.get("/api/v1/incidents/99", headers=AUTH).status_code == 404
    assert site.client.get("/api/v1/status", headers=AUTH).status_code == 200


def test_other_paths_and_methods_are_json_errors_and_never_redirects(site: Site) -> None:
    for answer in (
        site.client.get(HOOK),
        site.client.post(f"{HOOK}/"),
        site.client.get("/nothing"),
        site.client.get("/api/v1/incidents/x", headers=AUTH),
    ):
        assert answer.status_code in {404, 405}
        assert set(answer.json or {}) == {"error"}


def test_a_stuck_worker_is_unhealthy(site: Site) -> None:
    assert site.client.get("/-/healthy").status_code == 200
    site.late = True
    assert site.client.get("/-/healthy").status_code == 503
    assert site.client.get("/-/ready").status_code == 503


def test_it_is_paused_and_resumed_over_http(site: Site) -> None:
    def post(path: str, body: object) -> TestResponse:
        return site.client.post(path, json=body, headers=AUTH)

    answer = post("/api/v1/pause", {"by": "ann", "reason": "moving", "minutes": 5})
    (pause,) = (answer.json or {})["paused"]
    assert pause == {
        "source": "api",
        "reason": "moving",
        "by": "ann",
        "at": "2026-01-05T12:00:00.000Z",
        "until": "2026-01-05T12:05:00.000Z",
    }
    assert site.metric("remediator_paused") == 1
    status = site.client.get("/api/v1/status", headers=AUTH).json
    assert (status or {})["paused"] == {"api": "moving"}
    site.loop.path.with_name("paused").write_text("me too")
    (left,) = (post("/api/v1/resume", {"by": "ann"}).json or {})["paused"]
    assert (left["source"], left["reason"]) == ("file", "me too")
    site.loop.path.with_name("paused").unlink()
    assert post("/api/v1/resume", {"by": "ann"}).json == {"paused": []}
    assert site.metric("remediator_paused") == 0


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"by": "ann"},
        {"by": " ", "reason": "x"},
        {"by": "ann", "reason": ""},
        {"by": "ann", "reason": "x", "minutes": 0},
        {"by": "ann", "reason": "x", "minutes": "5"},
        {"by": "ann", "reason": "x", "extra": 1},
    ],
)
def test_an_order_that_is_not_clear_is_400_and_changes_nothing(site: Site, body: object) -> None:
    answer = site.client.post("/api/v1/pause", json=body, headers=AUTH)
    assert answer.status_code == 400
    assert set(answer.json or {}) == {"error"}
    assert site.loop.kill_switch.paused() is None
    assert site.client.post("/api/v1/pause", json={"by": "a", "reason": "b"}).status_code == 401


def test_a_breaker_is_reset_over_http(site: Site) -> None:
    def reset(**changes: str) -> TestResponse:
        order = {"runbook": "flush-keys", "target": "cache", "by": "ann"} | changes
        return site.client.post("/api/v1/breakers/reset", json=order, headers=AUTH)

    site.loop.verifier.verdicts = [Check.FAIL]
    site.loop.policy = replace(site.loop.policy, breaker=BreakerLimits(failures=1))
    site.loop.told(FULL)
    site.loop.turn()
    past = site.loop.runs.past(site.loop.clock())
    assert [run.forgiven for run in past] == [False, False]

    assert reset().status_code == 200
    past = site.loop.runs.past(site.loop.clock())
    assert [(run.runbook, run.forgiven) for run in past] == [
        ("flush-keys", True),
        ("flush-all", False),
    ]
    assert reset(runbook="none").status_code == 404
    assert reset(target="none").status_code == 404
    assert reset(by="").status_code == 400


def test_every_series_exists_before_anything_happens(site: Site) -> None:
    text = site.client.get("/metrics").text
    for series in (
        'remediator_webhook_requests_total{code="503"} 0.0',
        'remediator_alerts_received_total{result="unknown_target"} 0.0',
        "remediator_unknown_alerts_total 0.0",
        'remediator_runs_total{runbook="flush-all",state="ineffective"} 0.0',
        'remediator_blocked_total{reason="attempts_exhausted"} 0.0',
        'remediator_run_in_progress{service="web"} 0.0',
        'remediator_runs_not_mended{service="cache"} 0.0',
        "remediator_paused 0.0",
        'remediator_incidents_opened_total{runbook="flush-all"} 0.0',
        'remediator_incidents_closed_total{runbook="restart"} 0.0',
        'remediator_escalations_total{reason="breaker_open"} 0.0',
        "remediator_deliveries_truncated_total 0.0",
        'remediator_heartbeats_total{result="withheld"} 0.0',
        'remediator_time_to_detect_seconds_count{runbook="restart"} 0.0',
        'remediator_time_to_act_seconds_count{runbook="restart"} 0.0',
        "remediator_watchdog_last_seen_timestamp_seconds 0.0",
        'remediator_breaker_open{runbook="restart",service="web"} 0.0',
        'remediator_breaker_open{runbook="restart-db",service="db"} 0.0',
        "remediator_reconcile_found_total 0.0",
        "remediator_reconcile_last_success_timestamp_seconds 0.0",
        'remediator_mode{mode="auto"} 1.0',
        'remediator_mode{mode="observe"} 0.0',
        'remediator_time_to_mend_seconds_count{runbook="restart"} 0.0',
        'stackmedic_build_info{version="0"} 1.0',
    ):
        assert series in text
    assert set(a_policy().topology) == {"web", "worker", "edge", "db", "cache"}

"""The real Alertmanager and Prometheus against the real remediator: what a webhook may hide."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.builders import a_body
from tests.integration.edge_containers import needs_docker, until
from tests.integration.edge_monitoring import SLOW
from tests.integration.live import TOKEN
from tests.integration.live_remediator import (
    RESTART,
    Remediator,
    Stage,
    a_remediator,
    a_runbook,
    a_stage,
    impatient,
)

pytestmark = [pytest.mark.integration, needs_docker]

HOOK = "/webhook/alertmanager"
KEYS_OF_VERSION_4 = {
    *("version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels"),
    *("commonLabels", "commonAnnotations", "externalURL", "alerts"),
}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with a_stage(tmp_path_factory.mktemp("stage")) as stage:
        yield stage


@pytest.fixture
def web(stage: Stage) -> Iterator[str]:
    with stage.world.service() as name:
        yield name


@contextmanager
def started(
    stage: Stage, folder: Path, services: Sequence[str], *, patient: bool = True
) -> Iterator[Remediator]:
    runbooks = [RESTART if patient else impatient(RESTART)]
    with a_remediator(stage, folder, services, runbooks=runbooks) as remediator:
        remediator.start()
        yield remediator


def is_mended(remediator: Remediator, service: str, times: int = 1) -> None:
    """So many runs, all good, nothing left open, and no restart besides."""
    remediator.until(
        lambda: remediator.rests(service) and remediator.runs(service) == ["effective"] * times,
        f"{service} is mended {times} times",
    )
    assert remediator.stage.world.starts(service) == 1 + times


def was_told(stage: Stage, service: str, times: int = 1) -> None:
    until(lambda: len(stage.wire.of(service)) >= times, within_seconds=SLOW, what="a webhook")


def test_a1_the_real_body_is_understood_and_the_fault_mended(
    stage: Stage, web: str, tmp_path: Path
) -> None:
    with started(stage, tmp_path, [web]) as remediator:
        stage.world.break_(web)
        is_mended(remediator, web)
        was_told(stage, web)
    first = stage.wire.of(web)[0]
    assert set(first.body) >= KEYS_OF_VERSION_4
    assert (first.body["version"], first.status) == ("4", 200)


def test_a2_a_receiver_that_arrives_quoted_changes_nothing(
    stage: Stage, web: str, tmp_path: Path
) -> None:
    with started(stage, tmp_path, [web]) as remediator:
        stage.world.break_(web)
        was_told(stage, web)
        is_mended(remediator, web)
    first = stage.wire.of(web)[0]
    assert (first.body["receiver"], first.status) == (r"the\.remediator", 200)


def test_a3_in_a_group_that_fires_the_resolved_alert_is_left_alone(
    stage: Stage, tmp_path: Path
) -> None:
    with (
        stage.world.service("shared") as gone,
        stage.world.service("shared") as lasting,
        started(stage, tmp_path, [gone, lasting]) as remediator,
    ):
        remediator.pause()
        stage.world.forced[gone] = False
        stage.world.break_(lasting)
        was_told(stage, gone)
        was_told(stage, lasting)
        stage.world.forced[gone] = True
        until(
            lambda: any(
                one.body["status"] == "firing" and one.statuses(gone) == {"resolved"}
                for one in stage.wire.of(lasting)
            ),
            within_seconds=SLOW,
            what="a group of both",
        )
        remediator.resume()
        is_mended(remediator, lasting)
        assert stage.world.starts(gone) == 1


def test_a4_what_is_sent_again_is_not_done_again(stage: Stage, tmp_path: Path) -> None:
    with (
        stage.world.service("resent") as service,
        started(stage, tmp_path, [service], patient=False) as remediator,
    ):
        stage.world.forced[service] = False
        remediator.until(lambda: remediator.runs(service) == ["ineffective"], "it was tried")
        was_told(stage, service, len(stage.wire.of(service)) + 3)
        remediator.goes_round()
        assert remediator.runs(service) == ["ineffective"]
        assert stage.world.starts(service) == 2
        assert {one.status for one in stage.wire.of(service)} == {200}


def test_a5_a_fault_that_comes_back_within_a_group_interval_is_found_without_a_webhook(
    stage: Stage, tmp_path: Path
) -> None:
    with (
        stage.world.service("slow") as service,
        started(stage, tmp_path, [service]) as remediator,
    ):
        stage.world.break_(service)
        was_told(stage, service)
        is_mended(remediator, service)
        found = remediator.metric("remediator_reconcile_found_total")
        stage.world.forced[service] = False
        remediator.until(lambda: stage.world.starts(service) == 3, "it is mended again")
        flushes = stage.alertmanager.flushes(service)
        until(lambda: stage.alertmanager.flushes(service) > flushes, within_seconds=SLOW)
        assert remediator.metric("remediator_reconcile_found_total") == found + 1
        remediator.goes_round()
        assert len(stage.wire.of(service)) == 1
        stage.world.forced[service] = True
        is_mended(remediator, service, times=2)


def test_a6_what_cannot_be_stored_is_503_and_taken_when_it_is_sent_again(
    stage: Stage, web: str, tmp_path: Path
) -> None:
    with started(stage, tmp_path, [web]) as remediator:
        with closing(sqlite3.connect(remediator.state_file, isolation_level=None)) as backup:
            backup.execute("BEGIN IMMEDIATE")
            stage.world.break_(web)
            was_told(stage, web, times=2)
            assert {one.status for one in stage.wire.of(web)} == {503}
            assert stage.world.starts(web) == 1
        is_mended(remediator, web)
        until(lambda: stage.wire.of(web)[-1].status == 200, within_seconds=SLOW)


def test_a7_a_body_that_can_never_be_right_is_400_and_an_unknown_alert_is_200(
    stage: Stage, web: str, tmp_path: Path
) -> None:
    with started(stage, tmp_path, [web]) as remediator:
        for body in (b"{", b"[]", b'{"version": "3"}', b'{"version": "4", "alerts": [{}]}'):
            assert remediator.http.post(HOOK, content=body).status_code == 400
        other = {"alertname": "SomebodyElses", "service": web}
        url = f"{stage.alertmanager.url}/api/v2/alerts"
        httpx.post(url, json=[{"labels": other}], trust_env=False).raise_for_status()
        was_told(stage, web)
        assert stage.wire.of(web)[0].status == 200
        assert remediator.metric("remediator_unknown_alerts_total") == 1
        assert remediator.rows("SELECT * FROM incidents") == []


def test_a8_nothing_near_the_endpoint_redirects(stage: Stage, web: str, tmp_path: Path) -> None:
    with started(stage, tmp_path, [web]) as remediator:
        for path, status in {
            f"{HOOK}/": 404,
            f"/{HOOK}": 404,
            "/webhook": 404,
            "/webhook/Alertmanager": 404,
            "/": 404,
        }.items():
            assert remediator.http.post(path, json=a_body()).status_code == status, path
        assert remediator.http.get(HOOK).status_code == 405


def test_a9_a_webhook_is_answered_while_an_action_is_under_way(
    stage: Stage, web: str, tmp_path: Path
) -> None:
    deaf = "trap '' TERM; echo started; while :; do sleep 600 & wait; done"
    with stage.world.service(does=deaf) as slow:
        runbook = a_runbook("restart", "ServiceDown", "if_not_done")
        runbook["steps"][0] |= {"with": {"stop_timeout": "20s"}, "timeout": "60s"}
        with a_remediator(stage, tmp_path, [web, slow], runbooks=[runbook]) as remediator:
            remediator.start()
            stage.world.break_(slow)
            remediator.until(lambda: remediator.runs(slow) == ["executing"], "it acts")
            stage.world.break_(web)
            was_told(stage, web)
            is_mended(remediator, web)
            assert stage.wire.of(web)[0].status == 200
            assert remediator.runs(slow) == ["executing"]


def test_a10_two_alertmanagers_without_a_cluster_cause_one_action(tmp_path: Path) -> None:
    with (
        a_stage(tmp_path / "pair", alertmanagers=2) as pair,
        pair.world.service() as web,
        started(pair, tmp_path, [web]) as remediator,
    ):
        pair.world.break_(web)
        is_mended(remediator, web)
        until(
            lambda: len({one.body["externalURL"] for one in pair.wire.of(web)}) == 2,
            within_seconds=SLOW,
            what="a webhook of each",
        )
        remediator.goes_round()
        is_mended(remediator, web)


def test_a11_an_alertmanager_that_forgot_all_it_sent_causes_no_action(tmp_path: Path) -> None:
    with (
        a_stage(tmp_path / "stage") as stage,
        stage.world.service() as web,
        started(stage, tmp_path, [web], patient=False) as remediator,
    ):
        stage.world.forced[web] = False
        remediator.until(lambda: remediator.runs(web) == ["ineffective"], "it was tried")
        was_told(stage, web)
        told = len(stage.wire.of(web))
        stage.alertmanager.kill()
        stage.alertmanager.start()
        was_told(stage, web, told + 1)
        remediator.goes_round()
        assert stage.wire.of(web)[-1].body["status"] == "firing"
        assert remediator.runs(web) == ["ineffective"]
        assert stage.world.starts(web) == 2


def test_a12_an_alert_that_max_alerts_cut_off_is_mended_too(stage: Stage, tmp_path: Path) -> None:
    with stage.world.service("cut") as one, stage.world.service("cut") as other:
        shown, hidden = sorted([one, other])
        with started(stage, tmp_path, [shown, hidden]) as remediator:
            remediator.pause()
            stage.world.forced[shown] = False
            was_told(stage, shown)
            stage.world.break_(hidden)
            until(
                lambda: stage.wire.of(shown)[-1].body["truncatedAlerts"] == 1,
                within_seconds=SLOW,
                what="a cut webhook",
            )
            remediator.until(lambda: remediator.incidents(hidden), "the hidden one is found")
            assert stage.wire.of(hidden) == []
            remediator.resume()
            is_mended(remediator, hidden)


def test_a13_after_a_silence_a_fault_that_is_told_to_nobody_is_mended(
    stage: Stage, web: str, tmp_path: Path
) -> None:
    def flushed_again() -> None:
        flushes = stage.alertmanager.flushes(web)
        until(lambda: stage.alertmanager.flushes(web) > flushes, within_seconds=SLOW)

    with started(stage, tmp_path, [web]) as remediator:
        remediator.pause()
        stage.world.forced[web] = False
        was_told(stage, web)
        end_silence = stage.alertmanager.silence(web)
        flushed_again()  # whatever was on its way when the silence began
        told = len(stage.wire.of(web))
        stage.world.forced[web] = True
        remediator.until(lambda: remediator.rests(web), "it is over under the silence")
        until(lambda: not stage.alertmanager.has("ServiceDown", web), within_seconds=SLOW)
        flushed_again()
        end_silence()
        remediator.resume()

        stage.world.forced[web] = False
        remediator.until(lambda: stage.world.starts(web) == 2, "it is acted on")
        flushed_again()
        flushed_again()
        assert len(stage.wire.of(web)) == told
        stage.world.forced[web] = True
        remediator.until(lambda: remediator.runs(web)[-1] == "effective", "it is mended")
        assert stage.world.starts(web) == 2


def test_a14_an_alert_that_ends_because_nobody_looks_is_not_a_success(
    stage: Stage, web: str, tmp_path: Path
) -> None:
    runbook = a_runbook("restart", "ServiceDown", "if_not_done")
    runbook["verify"] |= {"within": "8s"}
    with a_remediator(stage, tmp_path, [web], runbooks=[runbook]) as remediator:
        remediator.start()
        stage.world.forced[web] = False
        remediator.until(lambda: remediator.runs(web) == ["verifying"], "it was restarted")
        try:
            stage.world.watched = False
            until(lambda: "resolved" in stage.wire.of(web)[-1].statuses(web), within_seconds=SLOW)
            remediator.until(lambda: remediator.runs(web) != ["verifying"], "it is judged")
            assert remediator.runs(web) == ["inconclusive"]
            remediator.until(lambda: remediator.is_paged(web), "a human is called")
        finally:
            stage.world.watched = True


def test_a15_an_alert_that_is_late_to_clear_starts_no_second_run(
    stage: Stage, tmp_path: Path
) -> None:
    runbook = a_runbook("restart", "LateToClear", "if_not_done")
    with (
        stage.world.service("late") as service,
        a_remediator(stage, tmp_path, [service], runbooks=[runbook]) as remediator,
    ):
        remediator.start()
        stage.world.break_(service)
        remediator.until(lambda: stage.world.starts(service) == 2, "it is restarted")
        is_mended(remediator, service)


def test_a16_without_the_token_nothing_is_taken(stage: Stage, web: str, tmp_path: Path) -> None:
    body = a_body({"alertname": "ServiceDown", "service": web})
    with started(stage, tmp_path, [web]) as remediator:
        for said in ("", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x"):
            headers = {"Authorization": said}
            assert remediator.http.post(HOOK, json=body, headers=headers).status_code == 401
        assert remediator.rows("SELECT * FROM signals") == []


def test_a17_the_message_that_comes_last_is_not_believed_against_prometheus(
    stage: Stage, web: str, tmp_path: Path
) -> None:
    labels = {"alertname": "ServiceDown", "service": web, "severity": "P1", "state": "exited"}
    labels |= {"job": "stackmedic-exporter", "instance": stage.exporter_url.removeprefix("http://")}
    with started(stage, tmp_path, [web]) as remediator:
        # Late news of a fault that is over: nothing is done.
        assert remediator.http.post(HOOK, json=a_body(labels)).status_code == 200
        remediator.until(lambda: remediator.rests(web), "it is seen to be over")
        assert remediator.runs(web) in ([], ["cancelled"])
        # Late news of an end while it is broken: it is mended all the same.
        stage.world.break_(web)
        late = a_body(labels, status="resolved")
        for _ in range(3):
            assert remediator.http.post(HOOK, json=late).status_code == 200
        remediator.until(lambda: "effective" in remediator.runs(web), "it is mended")
        assert remediator.runs(web).count("effective") == 1
        assert stage.world.starts(web) == 2

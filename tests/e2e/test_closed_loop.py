"""Break the real stack and see it mended, with the same faults that `make demo` shows."""

from datetime import UTC, datetime, timedelta

import docker
import httpx
import pytest

from demo.faults import FAULTS, Fault, incidents, quiet, run_fault, serving, until
from demo.stack import bring_back
from demo.world import World


@pytest.mark.timeout(400)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_mended_without_a_human(world: World, fault: Fault) -> None:
    mended = run_fault(world, fault)

    assert 0 <= mended.webhook <= mended.acted <= mended.done <= mended.verified
    incident = next(i for i in incidents(world) if i["target"] == fault.target)
    if incident["alerts"][0]["labels"]["severity"] == "P0":
        name = f"P0 incident {incident['id']}"
        until(lambda: f"{name} resolved: {fault.target}: mended by" in channel(world), "its end")
        assert f"{name} acknowledged" in channel(world)


def channel(world: World) -> str:
    """All that was said in #incidents."""
    return httpx.get(world.url(world.ports.pager, "/"), trust_env=False, timeout=10).text


@pytest.mark.timeout(400)
def test_a_silence_stops_the_machine_and_its_end_lets_it_go_on(world: World) -> None:
    until(lambda: quiet(world), "the stack to be quiet")
    silences = world.url(world.ports.alertmanager, "/api/v2/silences")
    silence = httpx.post(silences, json=silence_of("celery-green"), trust_env=False).json()
    container = docker.from_env().containers.get(world.container("celery-green"))
    container.kill()

    until(lambda: "silenced" in blocks(world, "celery-green"), "a run blocked by the silence")
    container.reload()
    assert container.status == "exited"

    url = world.url(world.ports.alertmanager, f"/api/v2/silence/{silence['silenceID']}")
    httpx.delete(url, trust_env=False).raise_for_status()
    until(lambda: quiet(world), "celery-green to be mended")
    container.reload()
    assert container.status == "running"


def silence_of(service: str) -> dict[str, object]:
    now = datetime.now(UTC)
    return {
        "matchers": [{"name": "service", "value": service, "isRegex": False, "isEqual": True}],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "a test",
        "comment": "hands off",
    }


def blocks(world: World, target: str) -> set[str]:
    """The reasons for which guards hold the last run of the newest incident of a target."""
    runs = next((i["runs"] for i in incidents(world) if i["target"] == target), [])
    return {guard["reason"] for run in runs[-1:] for guard in run["guards"] if guard["reason"]}


@pytest.mark.timeout(400)
def test_an_exporter_that_lost_its_network_restarts_nothing(world: World) -> None:
    """It calls everything down, and everything serves."""
    until(lambda: quiet(world), "the stack to be quiet")
    engine = docker.from_env()
    postgres = engine.containers.get(world.container("postgres"))
    started_at = postgres.attrs["State"]["StartedAt"]
    exporter, network = f"{world.stack}-monitoring-exporter-1", engine.networks.get(world.network)

    network.disconnect(exporter)
    try:
        until(lambda: "exporter_blind" in blocks(world, "postgres"), "a run that is held back")
        assert serving(world)
    finally:
        network.connect(exporter, aliases=["exporter"])

    until(lambda: quiet(world), "the exporter to see again")
    postgres.reload()
    assert postgres.attrs["State"]["StartedAt"] == started_at


@pytest.mark.timeout(400)
def test_what_restarting_cannot_mend_reaches_a_human(world: World) -> None:
    """A frontend whose container is gone cannot be restarted: the remediator must say so."""
    until(lambda: quiet(world), "the stack to be quiet")
    docker.from_env().containers.get(world.container("frontend")).remove(force=True)

    until(
        lambda: any(
            alert["labels"]["alertname"] == "RemediationEscalated"
            and alert["labels"]["service"] == "frontend"
            for alert in alertmanager_alerts(world)
        ),
        "an escalation for frontend in Alertmanager",
    )

    (incident,) = [i for i in incidents(world) if i["target"] == "frontend"]
    assert incident["escalated"] is not None
    assert serving(world)
    bring_back(world)


def alertmanager_alerts(world: World) -> list[dict[str, dict[str, str]]]:
    answer = httpx.get(
        world.url(world.ports.alertmanager, "/api/v2/alerts"), trust_env=False, timeout=10
    )
    found: list[dict[str, dict[str, str]]] = answer.json()
    return found


WEBHOOK = "/webhook/alertmanager"


@pytest.mark.parametrize(
    ("headers", "body", "code"),
    [
        ({}, b"{}", 401),
        ({"Authorization": "Bearer wrong"}, b"{}", 401),
        ({"Authorization": "TOKEN"}, b"not json", 400),
        ({"Authorization": "TOKEN"}, b'{"version": "3", "alerts": []}', 400),
        ({"Authorization": "TOKEN"}, b" " * (1024 * 1024 + 1), 413),
    ],
)
def test_the_running_webhook_refuses_bad_input(
    world: World, headers: dict[str, str], body: bytes, code: int
) -> None:
    token = (world.secrets / "remediator_token").read_text().strip()
    headers = {name: value.replace("TOKEN", f"Bearer {token}") for name, value in headers.items()}

    answer = httpx.post(
        world.url(world.ports.remediator, WEBHOOK),
        content=body,
        headers={"Content-Type": "application/json", **headers},
        trust_env=False,
        timeout=10,
    )

    assert answer.status_code == code
    assert httpx.get(world.url(world.ports.remediator, "/-/healthy"), trust_env=False).is_success

"""Break the real stack and see it mended, with the same faults that `make demo` shows."""

import docker
import httpx
import pytest

from demo.faults import FAULTS, Fault, incidents, quiet, run_fault, serving, until
from demo.world import World


@pytest.mark.timeout(400)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_mended_without_a_human(world: World, fault: Fault) -> None:
    mended = run_fault(world, fault)

    assert 0 <= mended.webhook <= mended.acted <= mended.done <= mended.verified


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

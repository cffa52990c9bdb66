"""What the monitoring stack may reach, and who may reach it, as the compose file says."""

from pathlib import Path
from typing import Any

import pytest
import yaml

REPO = Path(__file__).resolve().parents[2]
# The one client of each way to the engine.
CLIENTS = {"engine-ro": "exporter", "engine-rw": "remediator"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((REPO / "docker-compose.monitoring.yml").read_text())
    return document


def test_ports_are_published_on_loopback_only(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), name


def test_only_the_proxies_hold_the_engines_socket(compose: dict[str, Any]) -> None:
    holders = {
        name
        for name, service in compose["services"].items()
        if any("docker.sock" in volume for volume in service.get("volumes", []))
    }

    assert holders == set(CLIENTS)


@pytest.mark.parametrize(("proxy", "client"), CLIENTS.items())
def test_a_proxy_is_reached_by_its_one_client(
    compose: dict[str, Any], proxy: str, client: str
) -> None:
    assert compose["services"][proxy]["networks"] == [proxy]
    assert compose["networks"][proxy] == {"internal": True}
    members = {name for name, s in compose["services"].items() if proxy in s["networks"]}
    assert members == {proxy, client}


def test_nobody_has_powers_that_were_not_named(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged", False), name
    added = {n: s["cap_add"] for n, s in compose["services"].items() if "cap_add" in s}
    assert added == {
        "engine-ro": ["SETGID"],
        "engine-rw": ["SETGID"],
        "exporter": ["DAC_READ_SEARCH"],
    }


def test_every_image_is_a_variable_with_a_pinned_default(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        variable, _, default = service["image"].removeprefix("${").partition(":-")
        assert variable.endswith("_IMAGE"), name
        tag = default.removesuffix("}").partition(":")[2]
        assert tag not in {"", "latest"}, name


def test_secrets_are_files_and_configuration_is_read_only(compose: dict[str, Any]) -> None:
    assert all(set(secret) == {"file"} for secret in compose["secrets"].values())
    writable = {
        (name, volume.rpartition(":")[2])
        for name, service in compose["services"].items()
        for volume in service.get("volumes", [])
        if not volume.endswith(":ro")
    }
    assert writable == {
        ("exporter", "/var/lib/stackmedic"),
        ("remediator", "/var/lib/stackmedic"),
        ("remediator", "/var/lib/stackmedic/live"),
        ("remediator", "/var/lib/stackmedic/verification"),
        ("remediator", "/var/lib/stackmedic/ssl"),
        ("remediator", "/var/lib/stackmedic/logs"),
        ("prometheus", "/prometheus"),
        ("alertmanager", "/alertmanager"),
        ("grafana", "/var/lib/grafana"),
    }

"""What the proxies let through is what is configured: of engine-rw no more and no less."""

import re
from pathlib import Path
from typing import Any

import yaml

REPO = Path(__file__).resolve().parents[2]
LISTED = re.compile(r'containers/(?P<name>[^/"]+)/" (?P<kind>known|nginx);')


def listed() -> dict[str, str]:
    conf = (REPO / "remediator" / "engine-rw.conf").read_text()
    return {match["name"]: match["kind"] for match in LISTED.finditer(conf)}


def topology() -> dict[str, dict[str, Any]]:
    document = yaml.safe_load((REPO / "remediator" / "remediator.yml").read_text())
    targets: dict[str, dict[str, Any]] = document["topology"]
    return targets


def test_the_proxy_lists_the_containers_of_the_topology() -> None:
    containers = {t["container"] for t in topology().values() if "container" in t}

    assert set(listed()) == containers


def test_the_exporters_proxy_lets_the_logs_of_these_containers_through() -> None:
    conf = (REPO / "exporter" / "engine-ro.conf").read_text()
    (pattern,) = re.findall(r'"~(\^GET .+/logs.+)" read;', conf)
    containers = {t["container"] for t in topology().values() if "container" in t}

    for name in containers:
        path = f"GET /v1.41/containers/{name}/logs?stdout=1&timestamps=1&since=1.000000000"
        assert re.fullmatch(pattern, path), name


def test_commands_run_only_in_the_nginx_that_a_switch_names() -> None:
    keys = {t["switch"]["nginx"] for t in topology().values() if "switch" in t}

    assert {name for name, kind in listed().items() if kind == "nginx"} == {
        topology()[key]["container"] for key in keys
    }

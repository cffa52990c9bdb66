"""What engine-rw lets through is what remediator.yml may touch, no more and no less."""

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


def test_commands_run_only_in_the_nginx_that_a_switch_names() -> None:
    keys = {t["switch"]["nginx"] for t in topology().values() if "switch" in t}

    assert {name for name, kind in listed().items() if kind == "nginx"} == {
        topology()[key]["container"] for key in keys
    }

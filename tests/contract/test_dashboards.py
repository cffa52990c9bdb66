"""The committed dashboards are what the generator makes, and what they ask for exists."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

REPO = Path(__file__).resolve().parents[2]
FOLDER = REPO / "grafana" / "dashboards"
BOARDS = {path.name: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
VARIABLES = {"$__rate_interval": "5m", "$__interval": "1m", "$service": "redis"}
PROVISIONING = REPO / "grafana" / "provisioning"

each_board = pytest.mark.parametrize("board", BOARDS.values(), ids=list(BOARDS))


def expressions(board: dict[str, Any]) -> Iterator[str]:
    asked = [t for panel in board["panels"] for t in panel["targets"]]
    for item in (*asked, *board["annotations"]["list"]):
        expr = item["expr"]
        for variable, value in VARIABLES.items():
            expr = expr.replace(variable, value)
        yield expr


def test_the_committed_files_are_generated(tmp_path: Path) -> None:
    subprocess.run([sys.executable, REPO / "grafana" / "generate.py", tmp_path], check=True)

    generated = {path.name: path.read_text() for path in tmp_path.iterdir()}
    committed = {path.name: path.read_text() for path in FOLDER.iterdir()}
    assert generated == committed, "run `make dashboards`"


@each_board
def test_every_series_of_a_panel_is_emitted_or_recorded(
    board: dict[str, Any],
    rules: list[dict[str, Any]],
    emitted: frozenset[str],
    names_in: Callable[[str], set[str]],
) -> None:
    recorded = {rule["record"] for rule in rules if "record" in rule}

    assert {n for e in expressions(board) for n in names_in(e)} - emitted - recorded == set()


@each_board
def test_every_label_of_a_panel_is_emitted(
    board: dict[str, Any], unknown_labels: Callable[[str], set[str]]
) -> None:
    assert {label for expr in expressions(board) for label in unknown_labels(expr)} == set()


@each_board
def test_every_query_is_promql(
    board: dict[str, Any], tool: Callable[[str], str], tmp_path: Path
) -> None:
    records = [{"record": f"panel:{i}", "expr": e} for i, e in enumerate(expressions(board))]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": records}]}))

    done = subprocess.run(
        [tool("promtool"), "check", "rules", file], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@each_board
def test_every_panel_says_what_it_shows_and_uses_the_chosen_source(board: dict[str, Any]) -> None:
    for panel in board["panels"]:
        assert panel["title"]
        assert panel["description"]
        assert panel["datasource"]["uid"] == "${datasource}"
    assert board["editable"] is False
    assert "__inputs" not in board


@each_board
def test_panels_have_their_own_ids_and_do_not_overlap(board: dict[str, Any]) -> None:
    places = {panel["id"]: panel["gridPos"] for panel in board["panels"]}
    assert len(places) == len(board["panels"])
    for one, other in combinations(places.values(), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)


def test_counters_are_only_looked_at_as_rates() -> None:
    bare = re.compile(r"(?<!rate\()(?<!increase\()(?<!changes\()\b[a-z_]+_total\b")
    for board in BOARDS.values():
        for expr in expressions(board):
            assert not bare.search(expr), expr


def test_provisioning_mounts_the_dashboards_and_the_scraped_prometheus() -> None:
    provider = yaml.safe_load((PROVISIONING / "dashboards" / "stackmedic.yml").read_text())
    sources = yaml.safe_load((PROVISIONING / "datasources" / "stackmedic.yml").read_text())
    compose = yaml.safe_load((REPO / "docker-compose.monitoring.yml").read_text())

    folder = provider["providers"][0]["options"]["path"]
    assert f"./grafana/dashboards:{folder}:ro" in compose["services"]["grafana"]["volumes"]
    assert {source["uid"] for source in sources["datasources"]} == {"prometheus", "alertmanager"}

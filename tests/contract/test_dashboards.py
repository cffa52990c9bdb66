"""The committed dashboards are what the generator makes, what they ask for exists, and they keep
the rules of grafana/dashboard-linter; what it demands and we do not stands in the tests' names.
"""

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
BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
PROVISIONING = REPO / "grafana" / "provisioning"
UIDS = {
    *("stackmedic-overview", "stackmedic-services", "stackmedic-backend", "stackmedic-postgres"),
    *("stackmedic-redis-celery", "stackmedic-host", "stackmedic-remediation"),
    "stackmedic-alerting",
}
HEIGHT_OF_HEADING = 1
COLUMNS = 24
ON_TIME_RANGE_CHANGED = 2

VARIABLES = {"$__rate_interval": "5m", "$__interval": "1m", "$__range": "3h"}

each_board = pytest.mark.parametrize("board", BOARDS.values(), ids=list(BOARDS))
Board = dict[str, Any]


def panels(board: Board) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def variables(board: Board) -> dict[str, dict[str, Any]]:
    return {variable["name"]: variable for variable in board["templating"]["list"]}


def asked(board: Board) -> Iterator[tuple[str, str]]:
    """Where a query stands, and its PromQL as it is written."""
    for panel in panels(board):
        for target in panel["targets"]:
            yield f"{panel['id']} {panel['title']}", target["expr"]
    for annotation in board["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]


def expressions(board: Board) -> Iterator[str]:
    for _, expr in asked(board):
        whole = expr
        for variable, value in VARIABLES.items():
            whole = whole.replace(variable, value)
        yield re.sub(r"\$[a-z]+", "redis", whole)


def test_the_committed_files_are_generated(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "grafana.generate", tmp_path], check=True, cwd=REPO)

    generated = {path.name: path.read_text() for path in tmp_path.iterdir()}
    committed = {path.name: path.read_text() for path in FOLDER.iterdir()}
    assert generated == committed, "run `make dashboards`"


# -- what they ask for ------------------------------------------------------------------------


@each_board
def test_every_series_of_a_panel_is_emitted_or_recorded(
    board: Board,
    rules: list[dict[str, Any]],
    emitted: frozenset[str],
    names_in: Callable[[str], set[str]],
) -> None:
    recorded = {rule["record"] for rule in rules if "record" in rule}

    assert {n for e in expressions(board) for n in names_in(e)} - emitted - recorded == set()


@each_board
def test_every_label_of_a_panel_is_emitted(
    board: Board, unknown_labels: Callable[[str], set[str]]
) -> None:
    assert {label for expr in expressions(board) for label in unknown_labels(expr)} == set()


@each_board
def test_every_query_is_promql(board: Board, tool: Callable[[str], str], tmp_path: Path) -> None:
    records = [{"record": f"panel:{i}", "expr": e} for i, e in enumerate(expressions(board))]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": records}]}))

    done = subprocess.run(
        [tool("promtool"), "check", "rules", file], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@each_board
def test_every_variable_of_a_query_is_declared(board: Board) -> None:
    known = {*variables(board), "__rate_interval", "__interval", "__range"}

    used = {name for _, expr in asked(board) for name in re.findall(r"\$\{?([a-z_]\w*)", expr)}
    assert used <= known


# -- the linter's rules -----------------------------------------------------------------------


@each_board
def test_the_source_is_a_variable_that_everything_uses(board: Board) -> None:
    source = variables(board)["datasource"]
    others = [v for name, v in variables(board).items() if name != "datasource"]

    assert (source["type"], source["query"], source["label"]) == (
        "datasource",
        "prometheus",
        "Data source",
    )
    users = (
        *panels(board),
        *(target for panel in panels(board) for target in panel["targets"]),
        *board["annotations"]["list"],
        *others,
    )
    for user in users:
        assert user["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@each_board
def test_a_query_variable_is_asked_again_when_the_range_changes(board: Board) -> None:
    for name, variable in variables(board).items():
        if variable["type"] == "query":
            assert variable["refresh"] == ON_TIME_RANGE_CHANGED, name
            assert variable["label"], name
            assert variable["query"].startswith("label_values("), name


@each_board
def test_every_panel_has_a_title_a_description_and_something_to_ask(board: Board) -> None:
    for panel in panels(board):
        assert panel["title"]
        assert panel["description"], panel["title"]
        assert panel["targets"], panel["title"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references), panel["title"]


@each_board
def test_every_panel_has_a_unit_or_says_its_numbers_in_words(board: Board) -> None:
    for panel in panels(board):
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults.get("unit") or defaults.get("mappings"), panel["title"]


@each_board
def test_a_rate_is_over_the_interval_that_grafana_chooses(board: Board) -> None:
    for where, expr in asked(board):
        for window in re.findall(r"\bi?rate\([^\[]*\[([^\]]*)\]", expr):
            assert window == "$__rate_interval", where


@each_board
def test_counters_are_only_looked_at_as_rates(board: Board) -> None:
    bare = re.compile(r"(?<!rate\()(?<!increase\()(?<!changes\()\b[a-z_]+_total\b")
    # What happened between two steps, exactly: the rates' windows overlap.
    since_the_last = re.compile(r"([a-z_]+_total\{[^}]*\}) - \1 offset \$__interval > 0")
    for where, expr in asked(board):
        assert not bare.search(since_the_last.sub("", expr)), where


@each_board
def test_a_board_is_made_to_be_provisioned(board: Board) -> None:
    assert board["editable"] is False
    assert board.get("id") is None
    assert "__inputs" not in board
    assert "${DS_" not in json.dumps(board)


# -- our own ----------------------------------------------------------------------------------


def test_the_eight_boards_have_the_addresses_that_rules_link_to() -> None:
    assert {board["uid"] for board in BOARDS.values()} == UIDS
    for slug, board in BOARDS.items():
        assert board["title"].lower().replace(" ", "-") == slug


@each_board
def test_panels_have_their_own_ids_and_fill_their_rows(board: Board) -> None:
    everything = board["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    places = [panel["gridPos"] for panel in everything]
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)
    covered = sum(place["w"] * place["h"] for place in places)
    assert covered == COLUMNS * max(place["y"] + place["h"] for place in places)


@each_board
def test_a_board_begins_with_whether_all_is_well(board: Board) -> None:
    heading, *rest = board["panels"]
    first = [p for p in rest if p["gridPos"]["y"] == HEIGHT_OF_HEADING]

    assert heading["type"] == "row"
    assert {panel["type"] for panel in first} == {"stat"}


@each_board
def test_boards_link_to_each_other_and_keep_range_and_choice(board: Board) -> None:
    (link,) = board["links"]

    assert (link["type"], link["tags"]) == ("dashboards", board["tags"])
    assert link["keepTime"]
    assert link["includeVars"]
    assert "service" in variables(board)


def test_every_link_out_of_a_value_leads_to_a_board_and_one_of_its_variables() -> None:
    known = {(board["uid"], slug): variables(board) for slug, board in BOARDS.items()}
    text = json.dumps(list(BOARDS.values()))

    links = re.findall(r'"/d/([^/]+)/([^?]+)\?[^"]*&var-(\w+)=', text)
    assert links
    for uid, slug, name in links:
        assert name in known[uid, slug]


def test_what_was_done_is_marked_on_every_board() -> None:
    for board in BOARDS.values():
        marks = {mark["name"]: mark["expr"] for mark in board["annotations"]["list"]}
        assert "remediator_runs_total" in marks["Remediations"]


def explained() -> dict[tuple[str, int], set[str]]:
    """Panel -> the alerts that its description names."""
    return {
        (board["uid"], panel["id"]): set(re.findall(r"\w+", alerts))
        for board in BOARDS.values()
        for panel in panels(board)
        if (alerts := panel["description"].partition("Explains: ")[2])
    }


def test_every_alert_leads_to_a_panel_that_names_it(rules: list[dict[str, Any]]) -> None:
    for rule in rules:
        if "alert" in rule:
            link = re.match(r"/d/([^/]+)/.*viewPanel=(\d+)", rule["annotations"]["dashboard_url"])
            assert link is not None, rule["alert"]
            assert rule["alert"] in explained().get((link[1], int(link[2])), set()), link[0]


def test_every_alert_that_a_panel_names_is_a_rule(rules: list[dict[str, Any]]) -> None:
    named = set[str]().union(*explained().values())

    assert named - {rule.get("alert") for rule in rules} == set()


# -- provisioning -----------------------------------------------------------------------------


def test_provisioning_mounts_the_dashboards_and_the_scraped_prometheus() -> None:
    provider = yaml.safe_load((PROVISIONING / "dashboards" / "stackmedic.yml").read_text())
    sources = yaml.safe_load((PROVISIONING / "datasources" / "stackmedic.yml").read_text())
    compose = yaml.safe_load((REPO / "docker-compose.monitoring.yml").read_text())

    folder = provider["providers"][0]["options"]["path"]
    assert f"./grafana/dashboards:{folder}:ro" in compose["services"]["grafana"]["volumes"]
    assert {source["uid"] for source in sources["datasources"]} == {"prometheus", "alertmanager"}


def test_the_first_login_shows_the_overview() -> None:
    compose = yaml.safe_load((REPO / "docker-compose.monitoring.yml").read_text())
    grafana = compose["services"]["grafana"]
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])

    (mount,) = (volume for volume in grafana["volumes"] if "/dashboards:" in volume)
    assert mount.split(":")[1] == str(home.parent)
    assert BOARDS[home.stem]["uid"] == "stackmedic-overview"


def test_the_source_knows_how_often_prometheus_scrapes() -> None:
    sources = yaml.safe_load((PROVISIONING / "datasources" / "stackmedic.yml").read_text())
    scraped = yaml.safe_load((REPO / "alert_rules" / "prometheus.yml").read_text())

    (source,) = (s for s in sources["datasources"] if s["type"] == "prometheus")
    assert source["jsonData"]["timeInterval"] == scraped["global"]["scrape_interval"]

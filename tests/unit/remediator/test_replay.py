"""Histories of the past are played by the real pipeline; the demo's end as they did."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from demo.render import render
from remediator.actions import ACTIONS
from remediator.config import Config, load_config
from remediator.main import main
from remediator.policy import Mode
from remediator.replay import told
from remediator.replay.edges import Actions
from remediator.replay.history import History, Played, PlayedAlert
from remediator.replay.player import Wishes, play
from remediator.replay.reading import Unplayable, read_history
from tests.builders import DOWN, FULL, Loop, a_policy

REPO = Path(__file__).resolve().parents[3]
REPLAY = REPO / "tests" / "golden" / "replay"
BY_HAND = REPLAY / "storm.yml"
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """The configuration with which the histories of the demo were recorded."""
    folder = tmp_path_factory.mktemp("demo")
    render("stackmedic-e2e", folder)
    return load_config(folder / "remediator.yml", ACTIONS)


@pytest.fixture
def small() -> Config:
    shipped = load_config(REPO / "remediator" / "remediator.yml", ACTIONS)
    return replace(shipped, policy=a_policy(), dependency_settle_seconds=0.0)


def outcomes(played: Played) -> list[tuple[str, list[tuple[str, str, str]]]]:
    return [
        (story["target"], [(r["runbook"], r["state"], r["reason"]) for r in story["runs"]])
        for story in played.incidents
    ]


# -- the demo -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["demo-incidents.json", "demo-alerts.json"])
def test_each_fault_of_the_demo_ends_as_it_did(demo: Config, name: str) -> None:
    recorded = json.loads((REPLAY / "demo-incidents.json").read_text())["incidents"]

    played = play(read_history(REPLAY / name), demo)

    as_it_was = sorted(recorded, key=lambda incident: int(incident["id"]))
    assert len(played.incidents) == 4
    assert outcomes(played) == outcomes(Played(tuple(as_it_was)))
    for story, was in zip(played.incidents, as_it_was, strict=True):
        assert story["state"] == was["state"] == "closed"
        assert story["escalated"] == was["escalated"] is None
        assert told.acted(story) == told.acted(was)


def test_in_observe_mode_the_same_history_touches_nothing(demo: Config) -> None:
    watching = replace(demo, policy=replace(demo.policy, mode=Mode.OBSERVE))

    played = play(read_history(REPLAY / "demo-incidents.json"), watching)

    assert told.sums(played)["runs_begun"] == 0
    assert told.sums(played)["runs_observed"] == 4


def test_where_no_action_works_the_ladder_is_climbed_and_a_human_called(demo: Config) -> None:
    played = play(read_history(REPLAY / "demo-incidents.json"), demo, Wishes(Actions.FAIL))

    redis = next(s for s in played.incidents if s["target"] == "redis")
    assert told.acted(redis) == ["flush-temp-keys", "flush-cache"]
    assert all(story["escalated"]["reason"] == "action_failed" for story in played.incidents)


# -- guards, time and orders ------------------------------------------------------------------


def test_a_deployment_holds_runs_back_and_what_nothing_mends_calls_a_human(small: Config) -> None:
    played = play(read_history(BY_HAND), small)

    assert outcomes(played) == [
        ("web", [("restart", "cancelled", "resolved")]),
        ("web", [("restart", "effective", "verified")]),
        (
            "cache",
            [
                ("flush-keys", "ineffective", "not_verified"),
                ("flush-all", "ineffective", "not_verified"),
            ],
        ),
    ]
    assert told.sums(played)["waited_for"] == {"deploying": 1}
    assert played.unplanned == {"SomethingElse: unknown_alert": 1}


def test_an_action_that_works_ends_the_alert(small: Config) -> None:
    history = History((PlayedAlert(FULL, NOON, NOON, None),))

    played = play(history, small, Wishes(Actions.WORK))

    assert outcomes(played) == [("cache", [("flush-keys", "effective", "verified")])]
    assert played.incidents[0]["state"] == "closed"


def test_a_human_who_approves_late_is_waited_for(small: Config) -> None:
    asking = replace(small, policy=replace(small.policy, mode=Mode.APPROVE))
    history = History((PlayedAlert(DOWN, NOON, NOON, NOON + timedelta(minutes=10)),))

    nobody, late = play(history, asking), play(history, asking, Wishes(approve_after_seconds=120))

    assert told.sums(nobody)["runs_begun"] == 0
    run = late.incidents[0]["runs"][0]
    assert run["claimed_at"] == "2026-01-05T12:02:00.000Z"


def test_two_faults_at_once_wait_for_each_other(small: Config) -> None:
    """Concurrency 1: the second begins when the first is verified."""
    soon, later = NOON + timedelta(seconds=20), NOON + timedelta(seconds=100)
    history = History((PlayedAlert(DOWN, NOON, NOON, soon), PlayedAlert(FULL, NOON, NOON, later)))

    played = play(history, small)

    first, second = (story["runs"][0] for story in played.incidents)
    assert first["verified_at"] is not None
    assert second["claimed_at"] >= first["ended_at"]


# -- files ----------------------------------------------------------------------------------------


def test_a_state_file_in_use_is_read_and_left_alone(tmp_path: Path, small: Config) -> None:
    loop = Loop(tmp_path / "remediator.sqlite")
    loop.told(DOWN)
    loop.turn()
    before = loop.incidents()

    history = read_history(tmp_path / "remediator.sqlite")

    assert [alert.labels["alertname"] for alert in history.alerts] == ["ServiceDown"]
    assert ("restart", "web") in history.steps
    assert loop.incidents() == before
    loop.close()


def test_json_lines_say_the_same_as_yaml(tmp_path: Path) -> None:
    entry = {"alert": "ServiceDown", "labels": {"service": "web"}, "starts_at": NOON.isoformat()}
    line = json.dumps(entry)
    file = tmp_path / "history.jsonl"
    file.write_text(f"{line}\n\n{line}\n")

    history = read_history(file)

    assert len(history.alerts) == 2
    assert history.alerts[0].fires_at == history.alerts[0].active_at == NOON
    assert history.alerts[0].ends_at is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is neither a list of alerts"),
        ("a: [", "is not as it should be"),
        ('{"data": {"resultType": "vector", "result": []}}', "query_range"),
        ('{"data": {"resultType": "matrix", "result": []}}', "holds no alert that fired"),
        ("- {alert: A, starts_at: soon}\n- {alert: B}", "2 wrong entries"),
        ("- {alert: A, starts_at: 2026-01-05T12:00:00}", "timezone"),
        ('{"incidents": [{"opened_at": 1}]}', "is not as it should be"),
        ("[1]", "is not as it should be"),
    ],
)
def test_what_cannot_be_played_is_refused_with_a_sentence(
    tmp_path: Path, text: str, sentence: str
) -> None:
    file = tmp_path / "history"
    file.write_text(text)

    with pytest.raises(Unplayable, match=sentence):
        read_history(file)


def test_a_broken_state_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "broken.sqlite"
    file.write_bytes(b"SQLite format 3\0" + b"x" * 5000)

    with pytest.raises(Unplayable, match="cannot be read"):
        read_history(file)


def test_gaps_in_a_range_part_two_firings(tmp_path: Path) -> None:
    def series(state: str, *at: int) -> dict[str, Any]:
        metric = {"__name__": "ALERTS", "alertname": "A", "service": "web", "alertstate": state}
        return {"metric": metric, "values": [[moment, "1"] for moment in at]}

    matrix = [series("pending", 0, 15), series("firing", 30, 45, 60, 150, 165, 180)]
    file = tmp_path / "range.json"
    file.write_text(json.dumps({"data": {"resultType": "matrix", "result": matrix}}))

    first, second = read_history(file).alerts

    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert (first.active_at, first.fires_at) == (epoch, epoch + timedelta(seconds=30))
    assert first.ends_at == epoch + timedelta(seconds=75)
    assert (second.fires_at, second.ends_at) == (epoch + timedelta(seconds=150), None)


# -- the command -----------------------------------------------------------------------------------


def simulate(*options: str) -> Result:
    config = f"--config.file={REPO / 'remediator' / 'remediator.yml'}"
    auto = f"--config.profile={REPO / 'remediator' / 'profiles' / 'auto.yml'}"
    return CliRunner().invoke(main, [config, auto, "simulate", *options])


def test_the_command_tells_what_would_have_happened_and_what_another_profile_changes() -> None:
    observe = str(REPO / "remediator" / "profiles" / "observe.yml")
    demo_faults = str(REPLAY / "demo-incidents.json")

    result = simulate("--history", demo_faults, "--against", observe)

    assert result.exit_code == 0, result.output
    assert "ServiceDown on backend-blue -> restart-service" in result.output
    assert "4 of 4 alerts end otherwise" in result.output
    assert "observed: restart-service would have run" in result.output


def test_the_command_gives_json_for_programs() -> None:
    observe = str(REPO / "remediator" / "profiles" / "observe.yml")
    demo_faults = str(REPLAY / "demo-incidents.json")

    document = json.loads(simulate("--history", demo_faults, "--json", "--against", observe).stdout)

    assert [story["target"] for story in document["incidents"]] == [
        *("backend-blue", "redis", "backend", "postgres")
    ]
    assert document["against"]["sums"]["runs_begun"] == 0
    assert all(pair["differs"] for pair in document["against"]["alerts"])


def test_text_of_a_history_gives_a_terminal_no_orders(tmp_path: Path) -> None:
    file = tmp_path / "evil.yml"
    file.write_text(
        '- {alert: "ServiceDown", labels: {service: "\\e[31m"}, starts_at: 2026-01-05T12:00:00Z}\n'
        '- {alert: "\\e]0;owned\\a", starts_at: 2026-01-05T12:00:00Z}\n'
    )

    result = simulate("--history", str(file))

    assert result.exit_code == 0
    assert "\x1b" not in result.output
    assert "\\x1b]0;owned" in result.output


def test_a_history_that_is_not_there_is_status_2(tmp_path: Path) -> None:
    result = simulate("--history", str(tmp_path / "none"))

    assert result.exit_code == 2
    assert "cannot be read" in result.stderr

"""The commands that look at a running stack, on the real one."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from demo.faults import FAULTS, incidents
from demo.world import World
from exporter.config import load
from remediator.actions import ACTIONS
from remediator.config import load_config
from remediator.main import main
from remediator.replay import told
from remediator.replay.player import play
from remediator.replay.reading import read_history

ENGINE = "unix:///var/run/docker.sock"


def run(world: World, *command: str) -> Result:
    config = f"--config.file={world.config / 'remediator.yml'}"
    return CliRunner().invoke(main, [config, *command])


@pytest.mark.timeout(120)
def test_a_first_configuration_of_the_real_stack_is_good(world: World, tmp_path: Path) -> None:
    projects = [f"--project={world.stack}-{part}" for part in ("core", "blue", "green")]

    done = run(world, "init", f"--engine={ENGINE}", "--yes", f"--folder={tmp_path}", *projects)

    assert done.exit_code == 0, done.output
    assert len(load(tmp_path / "exporter.yml").services) == 8
    topology = load_config(tmp_path / "remediator.yml", ACTIONS).policy.topology
    assert topology["backend-blue"].container == world.container("backend-blue")
    check = [f"--config.file={tmp_path / 'remediator.yml'}", "check"]
    checked = CliRunner().invoke(main, [*check, f"--secrets={tmp_path / 'secrets'}"])
    assert (checked.exit_code, checked.stdout) == (0, "")


@pytest.mark.timeout(120)
def test_the_rendered_configuration_agrees_with_what_prometheus_has_loaded(world: World) -> None:
    """On the host the names of the networks lead nowhere; what answers is asked by its port."""
    document = yaml.safe_load((world.config / "remediator.yml").read_text())
    ports = {"prometheus": world.ports.prometheus, "alertmanager": world.ports.alertmanager}
    for key, port in (*ports.items(), ("exporter", world.ports.exporter)):
        document[key]["url"] = world.url(port, "")
    document["docker"]["url"] = ENGINE
    own = world.config / "from-the-host.yml"
    own.write_text(yaml.safe_dump(document, sort_keys=False))

    command = [f"--config.file={own}", "check", "--live", "--json"]
    checked = CliRunner().invoke(main, [*command, f"--secrets={world.secrets}"])

    found = [finding["sentence"] for finding in json.loads(checked.stdout)["findings"]]
    # The demo leaves out the entries that would reach beyond its own copy, and what it renders has
    # no comments, the two that mark the rota not either.
    known = ("prune-", "must hold these two lines")
    assert [sentence for sentence in found if not any(part in sentence for part in known)] == []


@pytest.mark.timeout(120)
def test_the_reports_can_tell_everything_of_the_running_stack(world: World) -> None:
    prometheus = f"--prometheus={world.url(world.ports.prometheus, '')}"
    token = f"--token-file={world.secrets / 'remediator_token'}"
    url = f"--url={world.url(world.ports.remediator, '')}"
    exporter = f"--exporter={world.url(world.ports.exporter, '')}"

    morning = run(world, "morning-check", prometheus, "--format=json")
    week = run(world, "weekly-review", prometheus, exporter, url, token, "--format=json")

    for result in (morning, week):
        assert result.exit_code in {0, 1}, result.output
        rows = [row for s in json.loads(result.stdout)["sections"] for row in s["rows"]]
        assert [row for row in rows if row["verdict"] == "unknown"] == []
    services = json.loads(morning.stdout)["sections"][0]["rows"]
    assert {row["what"] for row in services} >= {"postgres", "redis", "backend-blue"}


@pytest.mark.timeout(120)
def test_a_replay_of_what_was_mended_ends_as_it_did(world: World, tmp_path: Path) -> None:
    """From the journal's own words: what `simulate` says of the past is what happened.

    Of the demo's faults: a history does not tell of the silence that another test made, nor of the
    exporter that saw nothing.
    """
    targets = {fault.target for fault in FAULTS}
    ended = [i for i in incidents(world)[::-1] if i["state"] == "closed" and i["target"] in targets]
    mended = [incident for incident in ended if not incident["escalated"] and acted(incident)]
    file = tmp_path / "incidents.json"
    file.write_text(json.dumps({"incidents": mended}))
    if not mended:
        pytest.skip("nothing was mended before; the closed loop runs first")

    played = play(read_history(file), load_config(world.config / "remediator.yml", ACTIONS))

    assert [told.acted(story) for story in played.incidents] == list(map(told.acted, mended))


def acted(incident: dict[str, Any]) -> bool:
    return any(run["steps"] for run in incident["runs"])

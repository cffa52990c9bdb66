"""compose_up against the real engine: what is gone is made as it is configured."""

import os
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from remediator.ports import Action, Effect, Permanent, Ready, Refused, Transient
from remediator.topology import ComposeProject, Target
from tests.integration.edge_containers import (
    DOCKER_URL,
    NGINX_IMAGE,
    action,
    docker,
    needs_docker,
    now,
    state,
)

pytestmark = [pytest.mark.integration, needs_docker]

STATE = Path(os.environ.get("STACKMEDIC_STATE", "/var/lib/stackmedic-demo"))
FILE = """
services:
  web:
    image: {image}
    container_name: {name}
    command: [sleep, "3600"]
    init: true
    stop_grace_period: 1s
    labels: {{stackmedic-test: "1", colour: "${{COLOUR:?which}}"}}
    networks: [none]
  never-well:
    image: {image}
    command: [sleep, "3600"]
    init: true
    stop_grace_period: 1s
    labels: {{stackmedic-test: "1"}}
    healthcheck: {{test: [CMD, "false"], interval: 1s, retries: 1000}}
    networks: [none]
  waits:
    image: {image}
    command: [sleep, "3600"]
    labels: {{stackmedic-test: "1"}}
    depends_on: {{never-well: {{condition: service_healthy}}}}
    networks: [none]
networks:
  none: {{internal: true}}
"""


@dataclass(frozen=True)
class Project:
    target: Target
    file: Path

    def up(self) -> Action:
        return action("compose_up")

    def changed(self, **changes: object) -> Target:
        assert self.target.compose is not None
        return replace(self.target, compose=replace(self.target.compose, **changes))  # type: ignore[arg-type]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.setenv("PATH", f"{STATE / 'compose'}:{os.environ['PATH']}")
    name = f"stackmedic-test-{secrets.token_hex(4)}"
    file = tmp_path / "compose.yml"
    file.write_text(FILE.format(image=NGINX_IMAGE, name=f"{name}-web"))
    compose = ComposeProject(name, (str(file),), DOCKER_URL, ("web",), {"COLOUR": "blue"})
    found = Project(Target("web", "app", f"{name}-web", compose=compose), file)
    try:
        yield found
    finally:
        down = ["docker-compose", "-p", name, "-f", str(file), "down", "-v", "-t", "1"]
        subprocess.run(
            down, env={**os.environ, "COLOUR": "x"}, capture_output=True, check=True, timeout=60
        )


def test_what_is_gone_is_made_as_it_is_configured(project: Project) -> None:
    up, began = project.up(), now()
    assert up.precheck(project.target) == Ready()
    assert up.probe(project.target, intended_at=began) is Effect.NOT_DONE

    done = up.run(project.target, timeout_seconds=60)
    name = project.target.container or ""
    assert state(name)["Running"] is True
    assert docker("inspect", "-f", "{{.Config.Labels.colour}}", name) == "blue"
    assert f"{done.evidence['project']}-web" == name
    assert up.probe(project.target, intended_at=began) is Effect.DONE
    assert up.probe(project.target, intended_at=now()) is Effect.NOT_DONE

    before = state(name)["StartedAt"]
    up.run(project.target, timeout_seconds=60)
    assert state(name)["StartedAt"] == before, "what runs as configured stays as it is"


@pytest.mark.parametrize(
    ("content", "told"),
    [("services: {web: {image: x, nonsense: 1}}", "nonsense"), ("- not: a project", "mapping")],
)
def test_a_wrong_file_is_refused_before_anything_is_made(
    project: Project, content: str, told: str
) -> None:
    good = project.file.read_text()
    project.file.write_text(content)
    with pytest.raises(Permanent, match=told):
        project.up().precheck(project.target)
    project.file.write_text(good)
    with pytest.raises(Permanent, match="required variable COLOUR"):
        project.up().precheck(project.changed(environment={}))
    gone = project.up().precheck(project.changed(files=("/nowhere/compose.yml",)))
    assert isinstance(gone, Refused)
    assert "/nowhere/compose.yml cannot be read" in gone.detail


def test_what_takes_too_long_is_ended_with_all_that_it_started(project: Project) -> None:
    with pytest.raises(Transient, match=r"compose up of .* took too long"):
        project.up().run(project.changed(services=("waits",)), timeout_seconds=5)
    left = subprocess.run(
        ["pgrep", "-f", f"docker-compose --project-name {project.target.container}"],
        capture_output=True,
        check=False,
    )
    assert left.stdout == b""


def test_nothing_of_our_environment_reaches_compose(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLOUR", "leaked")
    with pytest.raises(Permanent, match="required variable COLOUR"):
        project.up().precheck(project.changed(environment={}))


def test_without_the_program_it_says_how_to_get_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Permanent, match="build the image with COMPOSE=1"):
        project.up().precheck(project.target)
    monkeypatch.setenv("PATH", path)

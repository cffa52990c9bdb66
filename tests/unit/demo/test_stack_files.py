import re
from pathlib import Path

import pytest
import yaml

from demo.stack import FOLDER, StackError, write_live
from demo.world import DEMO, World

COLOURS = ("blue", "green")


def services(file: str, **variables: str) -> dict[str, dict]:
    """The services of a compose file, with the variables and defaults of compose filled in."""

    def value(found: re.Match[str]) -> str:
        name, _, default = found[1].partition(":-")
        return variables.get(name, default)

    text = re.sub(r"\$\{([^}]+)\}", value, (FOLDER / file).read_text())
    return yaml.safe_load(text)["services"]


def container_names(world: World) -> set[str]:
    files = [services("core.yml", STACK=world.stack)]
    files += [services("colour.yml", STACK=world.stack, COLOUR=colour) for colour in COLOURS]
    return {service["container_name"] for file in files for service in file.values()}


@pytest.mark.parametrize("stack", ["piano-tutor", "other"])
def test_containers_have_the_names_that_a_world_says(stack: str) -> None:
    world = World(stack, DEMO.ports)
    keys = ["postgres", "redis", "frontend", "nginx"]
    keys += [f"{part}-{colour}" for part in ("backend", "celery") for colour in COLOURS]
    assert container_names(world) == {world.container(key) for key in keys}


@pytest.mark.parametrize("file", ["core.yml", "colour.yml"])
def test_every_service_is_bounded_labelled_checked_and_restarted(file: str) -> None:
    for name, service in services(file, COLOUR="blue").items():
        assert service["labels"]["com.piano-tutor.environment"] == "production", name
        assert service["restart"] == "unless-stopped", name
        assert service["mem_limit"] == service["memswap_limit"], name
        assert service["healthcheck"]["interval"] == "2s", name
        assert "start_interval" not in service["healthcheck"], name  # engine 25 and later
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}, name


def test_ports_are_on_loopback_only() -> None:
    ports = [p for s in services("core.yml").values() for p in s.get("ports", [])]
    assert ports == ["127.0.0.1:8080:80"]


def test_each_colour_has_a_network_name_of_its_own() -> None:
    networks = services("colour.yml", COLOUR="green")["backend"]["networks"]
    assert networks == {"prod": {"aliases": ["green-backend"]}}


def test_the_live_file_is_exactly_what_nginx_includes(tmp_path: Path) -> None:
    write_live(tmp_path, "green")
    assert (tmp_path / "colour.conf").read_text() == 'map "" $live_colour { default green; }\n'
    assert [path.name for path in tmp_path.iterdir()] == ["colour.conf"]


def test_no_other_colour_can_be_live(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="no colour 'red'"):
        write_live(tmp_path, "red")
    assert not list(tmp_path.iterdir())

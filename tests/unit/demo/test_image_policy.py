import json
import re

import pytest

from demo.images import (
    LOCAL,
    OFFICIAL,
    PROGRAM_FILES,
    PROGRAM_PACKAGES,
    RECIPE_LABEL,
    RECIPES,
    REPO,
    Build,
    build_file,
    env_file,
    plan,
    recipe,
    removable,
    role_build,
)


def test_what_is_present_is_used_and_the_rest_pulled_when_there_is_a_registry() -> None:
    ways = plan({OFFICIAL["REDIS_IMAGE"]}, registry=True)
    assert ways["REDIS_IMAGE"] == "present"
    assert {way for variable, way in ways.items() if variable != "REDIS_IMAGE"} == {"pull"}


def test_without_a_registry_roles_are_built_and_grafana_is_left_out() -> None:
    ways = plan((), registry=False)
    assert ways.pop("GRAFANA_IMAGE") == "without"
    assert set(ways) == set(LOCAL)
    assert set(ways.values()) == {"build"}


def test_an_official_image_that_is_there_is_used_without_a_registry_too() -> None:
    assert plan(OFFICIAL.values(), registry=False)["GRAFANA_IMAGE"] == "present"


def test_env_file_has_a_sorted_line_for_each_variable() -> None:
    assert env_file({"B_IMAGE": "b:1", "A_IMAGE": "a:2"}) == "A_IMAGE=a:2\nB_IMAGE=b:1\n"


def test_build_file_carries_recipe_network_and_proxies() -> None:
    build = Build("x/redis:7", RECIPES, "abc", {"BASE_IMAGE": "x/base:1"}, "redis")
    (service,) = json.loads(build_file([build], {"HTTP_PROXY": "http://proxy"}))[
        "services"
    ].values()
    assert service["image"] == "x/redis:7"
    assert service["build"] == {
        "context": str(RECIPES),
        "target": "redis",
        "args": {"BASE_IMAGE": "x/base:1", "HTTP_PROXY": "http://proxy"},
        "network": "host",
        "labels": {RECIPE_LABEL: "abc"},
    }


def test_build_file_names_no_target_for_a_dockerfile_with_one_stage() -> None:
    (service,) = json.loads(build_file([Build("a:1", REPO, "r", {})], {}))["services"].values()
    assert "target" not in service["build"]


def test_recipe_changes_with_content_name_and_base() -> None:
    one, other = RECIPES / "Dockerfile", RECIPES / "mkbase.sh"
    assert recipe([one]) == recipe([one])
    assert len({recipe([one]), recipe([other]), recipe([one, other]), recipe([one], "base")}) == 4


def test_recipe_ignores_what_is_no_file() -> None:
    assert recipe([RECIPES]) == recipe([])


@pytest.mark.parametrize("image", LOCAL.values())
def test_each_local_role_is_a_stage_of_the_dockerfile(image: str) -> None:
    stages = re.findall(r" AS (\w+)$", (RECIPES / "Dockerfile").read_text(), re.MULTILINE)
    assert role_build(image, "base").target in stages


def test_only_ours_are_removed_and_the_base_last() -> None:
    listed = ["redis:7-alpine", "stackmedic-demo/base:1", "stackmedic-demo/redis:7"]
    assert removable(listed) == ["stackmedic-demo/redis:7", "stackmedic-demo/base:1"]


def test_official_images_are_the_defaults_of_the_compose_files() -> None:
    files = [REPO / "docker-compose.monitoring.yml", *(REPO / "demo" / "stack").glob("*.yml")]
    for file in files:
        for variable, image in re.findall(r"\$\{(\w+_IMAGE):-([^}]+)\}", file.read_text()):
            assert OFFICIAL.get(variable, image) == image, f"{variable} in {file.name}"


def test_the_hash_of_the_program_covers_all_that_its_dockerfile_copies() -> None:
    copies = re.findall(
        r"^COPY (?!--from)(.+) \S+$", (REPO / "Dockerfile").read_text(), re.MULTILINE
    )
    copied = {name for line in copies for name in line.split()}
    assert copied == {*PROGRAM_FILES, *PROGRAM_PACKAGES}

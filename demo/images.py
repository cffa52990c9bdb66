"""The image of every role: the official one where a registry can be reached, else our own.

Rule: which image is used is decided once, by names; everything after reads variables. What is
built here carries the hash of its recipe as a label, and is built again only when that changes.
"""

import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from demo.engine import Engine, ensure_compose

REPO = Path(__file__).resolve().parent.parent
RECIPES = REPO / "demo" / "images"

OFFICIAL: Mapping[str, str] = {
    "POSTGRES_IMAGE": "postgres:15-alpine",
    "REDIS_IMAGE": "redis:7-alpine",
    "NGINX_IMAGE": "nginx:1.25-alpine",
    "PROMETHEUS_IMAGE": "prom/prometheus:v3.5.0",
    "ALERTMANAGER_IMAGE": "prom/alertmanager:v0.28.1",
    "PYTHON_IMAGE": "python:3.12-slim",
    "GRAFANA_IMAGE": "grafana/grafana:12.1.1",
}
# The roles that Debian has packages for; Grafana is not among them.
LOCAL: Mapping[str, str] = {
    "POSTGRES_IMAGE": "stackmedic-demo/postgres:15",
    "REDIS_IMAGE": "stackmedic-demo/redis:7",
    "NGINX_IMAGE": "stackmedic-demo/nginx:1.22",
    "PROMETHEUS_IMAGE": "stackmedic-demo/prometheus:2.42",
    "ALERTMANAGER_IMAGE": "stackmedic-demo/alertmanager:0.25",
    "PYTHON_IMAGE": "stackmedic-demo/python:3.11",
}
LOCAL_PREFIX = "stackmedic-demo/"
# Small, and needed anyway: pulling it tells whether there is a registry.
FIRST_PULL = "REDIS_IMAGE"
FIRST_PULL_SECONDS = 60
PULL_SECONDS = 600

RECIPE_LABEL = "stackmedic.recipe"
# What the image of stackmedic is made of, beside its Dockerfile.
PROGRAM_FILES = (
    "requirements.lock",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "demo/compose-requirements.txt",
)
PROGRAM_PACKAGES = ("exporter", "remediator", "docs/runbooks")
# Passed on, so that builds reach the outside as this host does.
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")

Progress = Callable[[str], None]
Way = Literal["present", "pull", "build", "without"]


class ImageError(SystemExit):
    """An image cannot be made. The message holds the end of what the builder said."""


@dataclass(frozen=True, slots=True)
class Build:
    """One image to build: `recipe` is the hash of all that goes into it."""

    image: str
    context: Path
    recipe: str
    args: Mapping[str, str]
    target: str = ""


def ensure_images(engine: Engine, progress: Progress) -> dict[str, str]:
    """Every image by the name of its variable, present in the engine when this returns.

    1. official images: present, or pulled; 2. the others on our own base; 3. the demo's
    application and stackmedic; 4. `images.env` in the state folder says the same.
    """
    present = {image for image in OFFICIAL.values() if _label(image) is not None}
    ask = _ask_registry(present)
    images = _pull(plan(present, registry=ask and _registry(progress)), progress)
    missing = [variable for variable in LOCAL if variable not in images]
    if missing:
        base = _ensure_base(engine, progress)
        _build(engine, [role_build(LOCAL[v], base) for v in missing], progress)
        images |= {variable: LOCAL[variable] for variable in missing}
    ours = {
        "APP_IMAGE": app_build(images["PYTHON_IMAGE"]),
        "STACKMEDIC_IMAGE": program_build(images["PYTHON_IMAGE"]),
    }
    _build(engine, list(ours.values()), progress)
    images |= {variable: build.image for variable, build in ours.items()}
    engine.state.mkdir(parents=True, exist_ok=True)
    (engine.state / "images.env").write_text(env_file(images))
    return images


def remove_images() -> None:
    """Remove what was built here. Images in use stay."""
    listed = _docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    for image in removable(listed):
        _docker("image", "rm", image)


# -- decisions --------------------------------------------------------------------------------


def plan(present: Collection[str], *, registry: bool) -> dict[str, Way]:
    """How each role gets its image."""
    return {variable: _way(variable, present, registry=registry) for variable in OFFICIAL}


def _way(variable: str, present: Collection[str], *, registry: bool) -> Way:
    if OFFICIAL[variable] in present:
        return "present"
    if registry:
        return "pull"
    return "build" if variable in LOCAL else "without"


def removable(images: Iterable[str]) -> list[str]:
    """Ours among `images`; the base last, for it cannot go before those made from it."""
    ours = (image for image in images if image.startswith(LOCAL_PREFIX))
    return sorted(ours, key=lambda image: (image.startswith(f"{LOCAL_PREFIX}base:"), image))


def env_file(images: Mapping[str, str]) -> str:
    """The variables as a file for `docker compose --env-file`."""
    return "".join(f"{variable}={image}\n" for variable, image in sorted(images.items()))


def base_image() -> str:
    """The base's name changes with its recipe."""
    return f"{LOCAL_PREFIX}base:{recipe([RECIPES / 'mkbase.sh'])}"


def role_build(image: str, base: str) -> Build:
    target = image.removeprefix(LOCAL_PREFIX).partition(":")[0]
    files = sorted(RECIPES.iterdir())
    return Build(image, RECIPES, recipe(files, base), {"BASE_IMAGE": base}, target)


def app_build(python: str) -> Build:
    """The demo's backend and worker."""
    folder = REPO / "demo" / "app"
    made_of = recipe(sorted(folder.rglob("*")), _made_on(python))
    return Build(f"{LOCAL_PREFIX}app:{made_of}", folder, made_of, {"PYTHON_IMAGE": python})


def program_build(python: str) -> Build:
    """The image of exporter and remediator."""
    files = [REPO / "Dockerfile", *(REPO / name for name in PROGRAM_FILES)]
    for package in PROGRAM_PACKAGES:
        files += sorted((REPO / package).rglob("*"))
    made_of = recipe(files, _made_on(python))
    return Build(f"{LOCAL_PREFIX}stackmedic:{made_of}", REPO, made_of, {"PYTHON_IMAGE": python})


def recipe(files: Iterable[Path], *more: str) -> str:
    """A short hash over names and content; what Python leaves behind does not count."""
    sha = hashlib.sha256("\0".join(more).encode())
    for file in files:
        if file.is_file() and "__pycache__" not in file.parts:
            sha.update(f"\0{file.relative_to(REPO)}\0".encode() + file.read_bytes())
    return sha.hexdigest()[:12]


def build_file(builds: Sequence[Build], proxies: Mapping[str, str]) -> str:
    """A compose file that builds. The host's network, for it is the one known to work."""
    services = {
        f"image-{number}": {
            "image": build.image,
            "build": {
                "context": str(build.context),
                "args": {**build.args, **proxies},
                "network": "host",
                "labels": {RECIPE_LABEL: build.recipe},
            }
            | ({"target": build.target} if build.target else {}),
        }
        for number, build in enumerate(builds)
    }
    return json.dumps({"name": "stackmedic-demo-build", "services": services}, indent=2)


# -- the engine -------------------------------------------------------------------------------


def _ask_registry(present: Collection[str]) -> bool:
    """Not when nothing is missing, and not each time again where all was built before."""
    if all(image in present for image in OFFICIAL.values()):
        return False
    base = base_image()
    return not all(_current(role_build(image, base)) for image in LOCAL.values())


def _registry(progress: Progress) -> bool:
    reached = _docker("pull", "--quiet", OFFICIAL[FIRST_PULL], limit=FIRST_PULL_SECONDS)
    if reached.returncode:
        progress("no image registry: building images from Debian's packages")
    return reached.returncode == 0


def _pull(ways: Mapping[str, Way], progress: Progress) -> dict[str, str]:
    """The official images that there are. One that cannot be pulled is left to be built."""
    images = {}
    for variable, way in ways.items():
        image = OFFICIAL[variable]
        if way == "pull":
            progress(f"pulling {image}")
            pulled = _docker("pull", "--quiet", image, limit=PULL_SECONDS)
            way = "build" if pulled.returncode else "present"  # noqa: PLW2901 - what came of it
        if way == "present":
            images[variable] = image
    return images


def _ensure_base(engine: Engine, progress: Progress) -> str:
    image = base_image()
    if _label(image) is None:
        progress("building the base image from Debian's packages")
        command = [str(RECIPES / "mkbase.sh"), str(engine.state / "base-build"), image]
        if subprocess.run(command, check=False, stdin=subprocess.DEVNULL).returncode:
            raise ImageError("the base image could not be built: see above")
    return image


def _build(engine: Engine, builds: Sequence[Build], progress: Progress) -> None:
    wanted = [build for build in builds if not _current(build)]
    if not wanted:
        return
    progress(f"building {', '.join(build.image for build in wanted)}")
    proxies = {name: os.environ[name] for name in PROXY_VARIABLES if name in os.environ}
    file = engine.state / "build.json"
    file.write_text(build_file(wanted, proxies))
    done = subprocess.run(
        [*ensure_compose(engine.state), "--progress", "plain", "--file", str(file), "build"],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, "COMPOSE_BAKE": "false"},  # it would need the buildx plugin
    )
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-40:])
        raise ImageError(f"building images failed:\n{tail}")


def _made_on(python: str) -> str:
    """What the name stands for now: an image is made again when the one below it has changed."""
    return _docker("image", "inspect", "--format", "{{.Id}}", python).stdout.strip() or python


def _current(build: Build) -> bool:
    return _label(build.image) == build.recipe


def _label(image: str) -> str | None:
    """The recipe that the image was made by, empty for others' images, None without image."""
    query = f'{{{{index .Config.Labels "{RECIPE_LABEL}"}}}}'
    done = _docker("image", "inspect", "--format", query, image)
    return None if done.returncode else done.stdout.strip()


def _docker(*words: str, limit: float | None = None) -> subprocess.CompletedProcess[str]:
    command = ["docker", *words]
    try:
        return subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no answer in {limit} s")

"""The production-like stack of one copy: up, released, switched, broken, down.

Rule: everything goes through `docker compose` with the copy's own names. Both colours always
run side by side; which one users reach is nginx's matter alone.
"""

import os
import secrets as random
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx

from demo.engine import ensure_compose
from demo.images import env_file
from demo.world import World

FOLDER = Path(__file__).resolve().parent / "stack"
COLOURS = ("blue", "green")
# The user of stackmedic's image: the remediator writes the live colour.
REMEDIATOR_UID = 10001

HEALTHY_SECONDS = 120
SWITCH_SECONDS = 10.0
# Right after a reload nginx's old worker still takes some of the requests.
SAME_ANSWERS = 5
STACK_LABEL = "stackmedic.stack"

Progress = Callable[[str], None]


class StackError(SystemExit):
    """The stack did not do what was asked. The message holds what compose and the logs said."""


def up(world: World, compose: Sequence[str], images: Mapping[str, str], progress: Progress) -> None:
    """1. network, folders, secrets; 2. start everything at once; 3. await health; 4. blue is live.

    On a stack that runs, this brings back what is missing, the good release and blue.
    """
    _make_network(world)
    _make_folders(world)
    (world.folder / "stack.env").write_text(env_file(_variables(world, images)))
    progress("starting postgres, redis, frontend, nginx, and the application in blue and green")
    start = ("up", "--detach", "--quiet-pull")
    _core(world, compose, *start)
    for colour in COLOURS:
        _colour(world, compose, colour, {}, *start)
    wait = (*start, "--wait", "--wait-timeout", str(HEALTHY_SECONDS))
    _core(world, compose, *wait)
    progress("postgres, redis, frontend and nginx are healthy")
    for colour in COLOURS:
        _colour(world, compose, colour, {}, *wait)
        progress(f"backend and worker in {colour} are healthy")
    if live_colour(world) != "blue":
        switch_colour(world, "blue")


def bring_back(world: World) -> None:
    """Create and start again what is missing beside the two colours, and await its health."""
    wait = ("up", "--detach", "--wait", "--wait-timeout", str(HEALTHY_SECONDS))
    _core(world, ensure_compose(world.state), *wait)


def deploy_colour(world: World, colour: str, release: str = "good", faults: str = "") -> None:
    """Replace backend and worker of one colour by another release, and await their health.

    The containers are new ones even for the same release: nothing of a fault stays behind.
    `release` is `good`, `bad-api` or `bad-ready`; `faults` are on from its start, by commas.
    """
    _colour(
        world,
        ensure_compose(world.state),
        colour,
        {"RELEASE": release, "FAULTS": faults},
        *("up", "--detach", "--force-recreate"),
        *("--wait", "--wait-timeout", str(HEALTHY_SECONDS)),
    )


def live_colour(world: World) -> str:
    """The colour that the running nginx sends users to."""
    answer = httpx.get(world.url(world.ports.site, "/live-colour"), trust_env=False, timeout=5)
    return answer.raise_for_status().text.strip()


def switch_colour(world: World, colour: str) -> None:
    """Send users to `colour`, as a deployment does: write, test, reload, and see it done."""
    write_live(world.live, colour)
    nginx = ("docker", "exec", world.container("nginx"), "nginx")
    _run([*nginx, "-t", "-q"])
    _run([*nginx, "-s", "reload"])
    deadline = time.monotonic() + SWITCH_SECONDS
    same = 0
    while same < SAME_ANSWERS:
        if time.monotonic() > deadline:
            raise StackError(f"nginx was reloaded, but {colour} did not become live")
        same = same + 1 if live_colour(world) == colour else 0
        time.sleep(0.03)


def switch_fault(world: World, key: str, fault: str, *, on: bool = True) -> None:
    """Break a running backend or worker, such as `celery-blue`, in the way demo/app/ lists."""
    flag = f"/tmp/faults/{fault}"  # noqa: S108 - in the container
    act = ["touch", flag] if on else ["rm", "-f", flag]
    _run(["docker", "exec", world.container(key), *act])


def down(world: World, compose: Sequence[str]) -> None:
    """Remove the containers, the volumes and the network of this copy, and nothing else."""
    remove = ("down", "--volumes", "--timeout", "5")
    for colour in COLOURS:
        _colour(world, compose, colour, {}, *remove)
    _core(world, compose, *remove)
    ours = ("network", "ls", "--quiet", "--filter", f"label={STACK_LABEL}={world.stack}")
    for network in _run(["docker", *ours]).split():
        _run(["docker", "network", "rm", network])


def write_live(folder: Path, colour: str) -> None:
    """Name the live colour for nginx; whoever reads sees the old file or the new one."""
    if colour not in COLOURS:
        raise StackError(f"no colour {colour!r}: there are {' and '.join(COLOURS)}")
    fresh = folder / "colour.conf.new"
    fresh.write_text(f'map "" $live_colour {{ default {colour}; }}\n')
    fresh.chmod(0o644)
    _give_to_remediator(fresh)
    fresh.replace(folder / "colour.conf")


# -- what the containers need beforehand ------------------------------------------------------


def _make_network(world: World) -> None:
    known = _run(["docker", "network", "ls", "--format", "{{.Name}}"]).split()
    if world.network not in known:
        label = f"{STACK_LABEL}={world.stack}"
        _run(["docker", "network", "create", "--label", label, world.network])


def _make_folders(world: World) -> None:
    world.live.mkdir(parents=True, exist_ok=True)
    _give_to_remediator(world.live)
    if not (world.live / "colour.conf").exists():
        write_live(world.live, "blue")
    world.secrets.mkdir(exist_ok=True)
    world.secrets.chmod(0o700)
    for name in ("postgres_password", "break_token"):
        path = world.secrets / name
        if not path.exists():
            path.write_text(random.token_urlsafe(24) + "\n")
            path.chmod(0o444)  # the containers' users read it; the folder keeps the host's out


def _give_to_remediator(path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(path, REMEDIATOR_UID, -1)


# -- compose ----------------------------------------------------------------------------------


def _variables(world: World, images: Mapping[str, str]) -> dict[str, str]:
    return {
        **images,
        "STACK": world.stack,
        "SITE_PORT": str(world.ports.site),
        "LIVE_DIR": str(world.live),
        "SECRETS_DIR": str(world.secrets),
    }


def _stored_variables(world: World) -> dict[str, str]:
    """What `up` was called with. Without `up` the names are enough, to take the stack down."""
    path = world.folder / "stack.env"
    if not path.exists():
        return _variables(world, {"APP_IMAGE": "none"})
    pairs = (line.partition("=") for line in path.read_text().splitlines())
    return {name: value for name, _, value in pairs}


def _core(world: World, compose: Sequence[str], *words: str) -> None:
    _compose(world, [*compose, *_project(world, "core"), *words], {})


def _colour(
    world: World, compose: Sequence[str], colour: str, more: Mapping[str, str], *words: str
) -> None:
    said = {"COLOUR": colour, "RELEASE": "good", "FAULTS": "", **more}
    _compose(world, [*compose, *_project(world, colour), *words], said)


def _project(world: World, part: str) -> list[str]:
    file = FOLDER / ("core.yml" if part == "core" else "colour.yml")
    return ["--project-name", f"{world.stack}-{part}", "--file", str(file)]


def _compose(world: World, command: Sequence[str], more: Mapping[str, str]) -> None:
    done = _call(command, {**os.environ, **_stored_variables(world), **more})
    if done.returncode:
        raise StackError(f"{' '.join(command)}:\n{done.stderr.strip()}\n{_last_words(world)}")


def _last_words(world: World) -> str:
    """The end of the logs of containers that are not well, to say why."""
    listed = ("ps", "--all", "--filter", f"name=^{world.stack}-", "--format")
    states = _call(["docker", *listed, "{{.Names}}|{{.Status}}"], os.environ).stdout.splitlines()
    told = []
    for name, _, status in (state.partition("|") for state in states):
        if "(healthy)" not in status:
            logs = _call(["docker", "logs", "--tail", "10", name], os.environ)
            told.append(f"-- {name}: {status}\n{logs.stdout}{logs.stderr}")
    return "\n".join(told)


def _run(command: Sequence[str]) -> str:
    done = _call(command, os.environ)
    if done.returncode:
        raise StackError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def _call(
    command: Sequence[str], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment,
    )

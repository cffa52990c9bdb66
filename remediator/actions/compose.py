"""Creates what is gone: `docker compose up` of one project that the topology names.

Rule: no engine that may create a container can be fenced in by paths, so this needs an engine
address of its own that somebody has given on purpose. The command is a list of words from the
configuration; nothing of an alert comes near it.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from remediator.actions import engine
from remediator.actions.clients import Clients, Deadline, Params
from remediator.actions.evidence import log_tail
from remediator.ports import (
    Done,
    Effect,
    NotYet,
    Permanent,
    Ready,
    Refused,
    RemediationError,
    Transient,
)
from remediator.topology import ComposeProject, Target

PROGRAM = "docker-compose"
_LOOK_SECONDS = 10.0
_SHOWN_LINES, _SHOWN_BYTES = 30, 4096


class ComposeUpParams(Params):
    """`compose up` needs nothing: project, files and services are the topology's."""


@dataclass(frozen=True, slots=True)
class ComposeUp:
    """Create and start the target's compose services. What runs as configured stays as it is."""

    params: ComposeUpParams
    clients: Clients

    def precheck(self, target: Target) -> Ready | Refused | NotYet:
        project = _project(target)
        deadline = Deadline.after(self.clients.clock, _LOOK_SECONDS)
        missing = [name for name in project.files if not Path(name).is_file()]
        if missing:
            return Refused(f"{target.key}: {', '.join(missing)} cannot be read; mount it")
        _run(project, ["config", "--quiet"], deadline)
        return Ready()

    def run(self, target: Target, *, timeout_seconds: float) -> Done:
        """Without building and without orphans being removed: it adds, and takes nothing away."""
        project = _project(target)
        deadline = Deadline.after(self.clients.clock, timeout_seconds)
        words = ["up", "--detach", "--no-build", "--quiet-pull", *project.services]
        output = _run(project, words, deadline)
        shown = log_tail(output, lines=_SHOWN_LINES, max_bytes=_SHOWN_BYTES)
        return Done(f"brought up {project.name}", {"project": project.name, "output": shown})

    def probe(self, target: Target, *, intended_at: datetime) -> Effect:
        """It never takes anything away, so what runs now is what it would have made."""
        project = _project(target)
        try:
            with engine.connect(project.engine_url, timeout_seconds=_LOOK_SECONDS) as docker:
                container = docker.inspect(engine.container_name(target))
        except Permanent:
            return Effect.NOT_DONE
        except RemediationError:
            return Effect.UNKNOWN
        began = container.started_at > intended_at and container.status == "running"
        return Effect.DONE if began else Effect.NOT_DONE


def _project(target: Target) -> ComposeProject:
    if target.compose is None:
        raise Permanent(f"{target.key} has no compose project; give it one in the topology")
    return target.compose


def _run(project: ComposeProject, words: Sequence[str], deadline: Deadline) -> str:
    """What compose says. Errors: Permanent; Transient when it takes too long."""
    program = shutil.which(PROGRAM)
    if program is None:
        raise Permanent(f"{PROGRAM} is not installed; build the image with COMPOSE=1")
    files = [word for name in project.files for word in ("--file", name)]
    command = [program, "--project-name", project.name, *files, *words]
    # Of our own environment only what a program needs: no token, no password.
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = subprocess.Popen(
        command,
        env={**kept, **project.environment, "DOCKER_HOST": project.engine_url},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    with process:
        try:
            output, _ = process.communicate(timeout=deadline.at_most(deadline.left_seconds()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise Transient(f"compose {words[0]} of {project.name} took too long") from None
    if process.returncode != 0:
        shown = log_tail(output, lines=_SHOWN_LINES, max_bytes=_SHOWN_BYTES)
        said = f"compose {words[0]} of {project.name} ended with {process.returncode}"
        raise Permanent(f"{said}: {'; '.join(shown.splitlines())}")
    return output

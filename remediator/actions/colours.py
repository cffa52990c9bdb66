"""Starts the colour that nginx does not serve, so that the traffic can go there.

Rule: it touches only what does not have the traffic, and ends when the colour is ready or
its time is over.
"""

from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from remediator.actions import engine, nginx
from remediator.actions.clients import Clients, Deadline, Params
from remediator.ports import (
    Done,
    Effect,
    NotYet,
    Permanent,
    Ready,
    Refused,
    RemediationError,
)
from remediator.probes import ExporterProbes
from remediator.topology import ColourSwitch, Target

_LOOK_SECONDS = 5.0
_PROBE_SECONDS = 10.0
_POLL_SECONDS = 0.5
_STOP_SECONDS = 1.0  # of a container that does not run: there is nothing to stop


class StartColourParams(Params):
    """It needs nothing: colours, containers and probes are the topology's."""


@dataclass(frozen=True, slots=True)
class StartColour:
    """Start the containers of the other colour that do not run, and wait until it is ready."""

    params: StartColourParams
    clients: Clients

    def precheck(self, target: Target) -> Ready | Refused | NotYet:
        switch = nginx.switch_of(target)
        for name in switch.containers[nginx.other_colour(switch)]:
            container = self._inspect(name)
            if container.status == "paused":
                return Refused(f"container {name} is paused, which only a person does")
        return Ready()

    def run(self, target: Target, *, timeout_seconds: float) -> Done:
        deadline = Deadline.after(self.clients.clock, timeout_seconds)
        switch = nginx.switch_of(target)
        colour = nginx.other_colour(switch)
        started = [name for name in switch.containers[colour] if self._started(name, deadline)]
        why = self._why_not_ready(switch, colour)
        while why is not None and not deadline.is_over():
            self.clients.wait(_POLL_SECONDS)
            why = self._why_not_ready(switch, colour)
        if why is not None:
            raise Permanent(f"{target.key}: {colour} was started and is not ready: {why}")
        what = f"started {', '.join(started)}" if started else "everything runs already"
        return Done(f"{colour} is ready for traffic; {what}", {"started": started})

    def probe(self, target: Target, *, intended_at: datetime) -> Effect:  # noqa: ARG002 - ready is ready
        try:
            switch = nginx.switch_of(target)
            why = self._why_not_ready(switch, nginx.other_colour(switch))
        except RemediationError:
            return Effect.UNKNOWN
        return Effect.DONE if why is None else Effect.NOT_DONE

    def _inspect(self, name: str) -> engine.Container:
        with engine.connect(self.clients.docker_url, timeout_seconds=_LOOK_SECONDS) as docker:
            return docker.inspect(name)

    def _started(self, name: str, deadline: Deadline) -> bool:
        """Whether it had to be."""
        if self._inspect(name).status == "running":
            return False
        seconds = deadline.at_most(deadline.left_seconds())
        with engine.connect(self.clients.docker_url, timeout_seconds=_LOOK_SECONDS) as docker:
            docker.restart(name, stop_timeout_seconds=_STOP_SECONDS, timeout_seconds=seconds)
        return True

    def _why_not_ready(self, switch: ColourSwitch, colour: str) -> str | None:
        name = switch.ready_probes[colour]
        with closing(
            ExporterProbes(self.clients.exporter_url, timeout_seconds=_PROBE_SECONDS)
        ) as exporter:
            found = exporter.probe(name)
        return None if found.success else f"probe {name} fails: {found.reason or 'no reason given'}"

"""Restarts several services, one at a time, each well again before the next is touched.

Rule: the first that does not come back ends it; what comes after it stays untouched. A key
with colours stands for the colour that has the traffic when its turn comes.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field

from remediator.actions import engine
from remediator.actions.clients import Clients, Deadline, Params
from remediator.actions.docker import RestartService, RestartServiceParams
from remediator.actions.nginx import live_colour
from remediator.durations import Seconds
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
from remediator.topology import Target

_LOOK_SECONDS = 5.0
_PROBE_SECONDS = 10.0  # above the exporter's own timeout for a probe
_POLL_SECONDS = 0.5
_WELL_IN_A_ROW = 2


def _distinct(names: list[str]) -> list[str]:
    if len(set(names)) != len(names):
        raise ValueError("names a service twice")
    return names


class RestartServicesParams(Params):
    """`services`: keys of the topology, in this order; each may take `healthy_within`."""

    services: Annotated[list[str], Field(min_length=1, max_length=10), AfterValidator(_distinct)]
    stop_timeout: Annotated[Seconds, Field(ge=1, le=600)] = 10.0
    healthy_within: Annotated[Seconds, Field(ge=1, le=600)] = 60.0


@dataclass(frozen=True, slots=True)
class RestartServices:
    """Restart the listed services. The target itself is only what the entry is about."""

    params: RestartServicesParams
    clients: Clients

    def precheck(self, target: Target) -> Ready | Refused | NotYet:  # noqa: ARG002 - the list tells
        """Every service with a container of its own; a live colour is looked at in its turn."""
        for key in self.params.services:
            listed = self._listed(key)
            if listed.switch is None:
                ready = self._one().precheck(listed)
                if not isinstance(ready, Ready):
                    return ready
        return Ready()

    def run(self, target: Target, *, timeout_seconds: float) -> Done:  # noqa: ARG002
        deadline = Deadline.after(self.clients.clock, timeout_seconds)
        restarted: list[str] = []
        evidence: dict[str, object] = {}
        for number, key in enumerate(self.params.services):
            left = ", ".join(self.params.services[number:])
            try:
                service = self._resolved(key)
                self._await_ready(service, deadline)
                done = self._one().run(service, timeout_seconds=deadline.left_seconds())
                evidence[service.key] = dict(done.evidence)
                self._await_well(service, deadline)
            except RemediationError as error:
                came_back = ", ".join(restarted) or "none"
                raise type(error)(
                    f"{error}; restarted and well: {came_back}; not well or not touched: {left}"
                ) from error
            restarted.append(service.key)
        return Done(f"restarted one by one, each well again: {', '.join(restarted)}", evidence)

    def probe(self, target: Target, *, intended_at: datetime) -> Effect:  # noqa: ARG002
        effects = set()
        for key in self.params.services:
            try:
                service = self._resolved(key)
            except RemediationError:
                return Effect.UNKNOWN
            effects.add(self._one().probe(service, intended_at=intended_at))
        # Some restarted and some not: whether the last of them came back, nobody knows.
        return effects.pop() if len(effects) == 1 else Effect.UNKNOWN

    def _one(self) -> RestartService:
        params = RestartServiceParams.model_construct(stop_timeout=self.params.stop_timeout)
        return RestartService(params, self.clients)

    def _listed(self, key: str) -> Target:
        target = self.clients.topology.get(key)
        if target is None:
            raise Permanent(f"{key!r} is not a key of the topology; correct the list of services")
        if target.tier == "data":
            raise Permanent(f"{key} is of tier data, which is never restarted with others")
        return target

    def _resolved(self, key: str) -> Target:
        target = self._listed(key)
        if target.switch is None:
            return target
        return self._listed(target.switch.colours[live_colour(target.switch)])

    def _await_ready(self, service: Target, deadline: Deadline) -> None:
        """One that still starts is let start. Errors: Permanent, when it may not be touched."""
        while not isinstance(ready := self._one().precheck(service), Ready):
            if isinstance(ready, Refused) or deadline.is_over():
                raise Permanent(ready.detail)
            self.clients.wait(_POLL_SECONDS)

    def _await_well(self, target: Target, deadline: Deadline) -> None:
        within = deadline.at_most(self.params.healthy_within)
        until = Deadline.after(self.clients.clock, within)
        in_a_row, why = 0, "it was not looked at"
        while not until.is_over():
            why = next(self._reasons(target, until), "")
            in_a_row = in_a_row + 1 if not why else 0
            if in_a_row == _WELL_IN_A_ROW:
                return
            self.clients.wait(_POLL_SECONDS)
        # Not Transient: another restart would only interrupt it again.
        raise Permanent(
            f"{target.key} was restarted and is not well within {within:.0f} s: "
            f"{why or 'it was well too short'}; read its logs"
        )

    def _reasons(self, target: Target, until: Deadline) -> Iterator[str]:
        """Why it is not well now, the engine's word first."""
        name = engine.container_name(target)
        seconds = until.at_most(_LOOK_SECONDS)
        try:
            with engine.connect(self.clients.docker_url, timeout_seconds=seconds) as docker:
                container = docker.inspect(name)
            if container.status != "running":
                yield f"container {name} is {container.status}"
            if container.health not in {None, "healthy"}:
                yield f"the health of container {name} is {container.health}"
            exporter = ExporterProbes(
                self.clients.exporter_url, timeout_seconds=until.at_most(_PROBE_SECONDS)
            )
            with closing(exporter):
                for probe in target.probes:
                    found = exporter.probe(probe)
                    if not found.success:
                        yield f"probe {probe} fails: {found.reason or 'no reason given'}"
        except RemediationError as error:
            yield str(error)

"""Restarts containers of the compose stack through the Docker engine, always by name.

Rule: what a restart destroys is collected first, but never holds the restart up for long.
A restart does not apply a new image or new configuration; that is a deployment.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from remediator.actions import engine, postgres
from remediator.actions.clients import Clients, Deadline, Params
from remediator.actions.evidence import log_tail
from remediator.durations import Seconds
from remediator.ports import Done, Effect, NotYet, Permanent, Ready, Refused, RemediationError
from remediator.topology import PostgresAddress, Target

_LOOK_SECONDS = 5.0
_EVIDENCE_SECONDS = 15.0
_EVIDENCE_LINES = 50
_EVIDENCE_BYTES = 4096
_POLL_SECONDS = 0.2
_START_SECONDS = 5.0  # from the end of the old process to the start of the new one

_STATUS_REFUSALS = {
    "paused": "is paused, which only a person does; unpause it or say why it is",
    "restarting": "is in a restart loop of its own (last exit code {exit_code}); read its logs",
    "removing": "is being removed; wait, then create it with `docker compose up -d`",
}


class RestartServiceParams(Params):
    """`stop_timeout`: how long the engine waits after SIGTERM before it kills."""

    stop_timeout: Annotated[Seconds, Field(ge=1, le=600)] = 10.0


class RestartDatabaseParams(Params):
    """A longer `stop_timeout`: a killed server has to recover before it serves."""

    stop_timeout: Annotated[Seconds, Field(ge=10, le=600)] = 60.0


@dataclass(frozen=True, slots=True)
class RestartService:
    """Restart the target's container, also when it is stopped."""

    params: RestartServiceParams
    clients: Clients

    def precheck(self, target: Target) -> Ready | Refused | NotYet:
        return _precheck(self.clients, engine.container_name(target))

    def run(self, target: Target, *, timeout_seconds: float) -> Done:
        deadline = Deadline.after(self.clients.clock, timeout_seconds)
        name = engine.container_name(target)
        evidence = _restart(self.clients, name, self.params.stop_timeout, deadline)
        return Done(f"restarted container {name}", evidence)

    def probe(self, target: Target, *, intended_at: datetime) -> Effect:
        stop_timeout = self.params.stop_timeout
        return _probe(self.clients, engine.container_name(target), intended_at, stop_timeout)


@dataclass(frozen=True, slots=True)
class RestartDatabase:
    """Restart the target's postgres and wait until it answers a query."""

    params: RestartDatabaseParams
    clients: Clients

    def precheck(self, target: Target) -> Ready | Refused | NotYet:
        against = postgres.reason_not_to_restart(_address(target))
        if against is not None:
            return Refused(f"{target.key}: {against}")
        return _precheck(self.clients, engine.container_name(target))

    def run(self, target: Target, *, timeout_seconds: float) -> Done:
        deadline = Deadline.after(self.clients.clock, timeout_seconds)
        name = engine.container_name(target)
        evidence = _restart(self.clients, name, self.params.stop_timeout, deadline)
        last_error = None
        while not deadline.is_over():
            last_error = postgres.error_of_a_query(_address(target))
            if last_error is None:
                return Done(f"restarted container {name}; it answers SELECT 1", evidence)
            self.clients.wait(_POLL_SECONDS)
        # Not Transient: a second restart would only interrupt the recovery.
        raise Permanent(
            f"container {name} was restarted and does not answer SELECT 1 within "
            f"{timeout_seconds:.0f} s: {last_error}; read its logs, it may be recovering"
        )

    def probe(self, target: Target, *, intended_at: datetime) -> Effect:
        stop_timeout = self.params.stop_timeout
        return _probe(self.clients, engine.container_name(target), intended_at, stop_timeout)


def _precheck(clients: Clients, name: str) -> Ready | Refused | NotYet:
    with engine.connect(clients.docker_url, timeout_seconds=_LOOK_SECONDS) as docker:
        container = docker.inspect(name)
    refusal = _STATUS_REFUSALS.get(container.status)
    if refusal is not None:
        return Refused(f"container {name} {refusal.format(exit_code=container.exit_code)}")
    start_period = timedelta(seconds=container.start_period_seconds)
    if container.health == "starting" and clients.clock() < container.started_at + start_period:
        return NotYet(
            f"container {name} started at {container.started_at:%H:%M:%S} UTC and is still in "
            f"its health start period of {container.start_period_seconds:.0f} s; let it start"
        )
    return Ready()


def _restart(
    clients: Clients, name: str, stop_timeout_seconds: float, deadline: Deadline
) -> Mapping[str, object]:
    if deadline.left_seconds() <= stop_timeout_seconds:
        raise Permanent(
            f"container {name}: a stop_timeout of {stop_timeout_seconds:.0f} s does not fit into "
            "the step's timeout; make the timeout longer"
        )
    spare_seconds = (deadline.left_seconds() - stop_timeout_seconds) / 2
    evidence = _evidence(clients, name, min(_EVIDENCE_SECONDS, spare_seconds))
    with engine.connect(
        clients.docker_url, timeout_seconds=deadline.at_most(_LOOK_SECONDS)
    ) as docker:
        docker.restart(
            name,
            stop_timeout_seconds=stop_timeout_seconds,
            timeout_seconds=deadline.left_seconds(),
        )
    return evidence


def _evidence(clients: Clients, name: str, seconds: float) -> dict[str, object]:
    """What a restart destroys. Best effort: a gap says why it is one."""
    deadline = Deadline.after(clients.clock, seconds)
    evidence: dict[str, object] = {}
    try:
        # Four calls at most: version, inspect, and the logs, which inspect once more.
        with engine.connect(clients.docker_url, timeout_seconds=seconds / 4) as docker:
            container = docker.inspect(name)
            evidence |= {
                "status": container.status,
                "exit_code": container.exit_code,
                "oom_killed": container.oom_killed,
                "error": container.error,
                "started_at": container.started_at.isoformat(),
                "finished_at": container.finished_at.isoformat(),
                "restart_count": container.restart_count,
                "health": container.health,
            }
            if not deadline.is_over():
                text = docker.last_log_lines(name, _EVIDENCE_LINES)
                evidence["log"] = log_tail(text, lines=_EVIDENCE_LINES, max_bytes=_EVIDENCE_BYTES)
    except RemediationError as error:
        evidence["missing"] = str(error)
    return evidence


def _probe(
    clients: Clients, name: str, intended_at: datetime, stop_timeout_seconds: float
) -> Effect:
    """The engine goes on with a restart whose caller has died.

    Until that must be over it is waited for: a second restart would hit what just started.
    """
    over_at = intended_at + timedelta(seconds=stop_timeout_seconds + _START_SECONDS)
    while True:
        is_over = clients.clock() >= over_at
        try:
            with engine.connect(clients.docker_url, timeout_seconds=_LOOK_SECONDS) as docker:
                container = docker.inspect(name)
        except RemediationError:
            return Effect.UNKNOWN
        if container.started_at > intended_at:
            return Effect.DONE
        if is_over:
            return Effect.NOT_DONE
        clients.wait(_POLL_SECONDS)


def _address(target: Target) -> PostgresAddress:
    if target.postgres is None:
        raise Permanent(f"{target.key} has no postgres address; give it one in the topology")
    return target.postgres

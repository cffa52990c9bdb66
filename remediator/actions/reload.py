"""Has nginx read its configuration again, and sees that new workers took over.

Rule: tested before it is reloaded; a reload that nginx took and did not carry out is a
failure. What was changed in the configuration is not this action's matter.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from remediator.actions import engine
from remediator.actions.clients import Clients, Deadline, Params
from remediator.actions.nginx_control import nginx_says
from remediator.ports import Done, Effect, Permanent, Ready, Refused, RemediationError
from remediator.topology import Target

_LOOK_SECONDS = 5.0
_SERVES_SECONDS = 15.0
_POLL_SECONDS = 0.1
_WORKER = "nginx: worker process"


class ReloadNginxParams(Params):
    """The reload needs nothing: the container is the topology's."""


@dataclass(frozen=True, slots=True)
class ReloadNginx:
    """1. `nginx -t`  2. reload  3. wait for workers that were not there before."""

    params: ReloadNginxParams
    clients: Clients

    def precheck(self, target: Target) -> Ready | Refused:
        name = engine.container_name(target)
        deadline = Deadline.after(self.clients.clock, _LOOK_SECONDS)
        try:
            nginx_says(self.clients, name, deadline, "-t")
        except Permanent as error:
            return Refused(f"{target.key}: {error}")
        return Ready()

    def run(self, target: Target, *, timeout_seconds: float) -> Done:
        deadline = Deadline.after(self.clients.clock, timeout_seconds)
        name = engine.container_name(target)
        before = set(self._workers(name, deadline))
        nginx_says(self.clients, name, deadline, "-t")
        nginx_says(self.clients, name, deadline, "-s", "reload")
        until = Deadline.after(self.clients.clock, deadline.at_most(_SERVES_SECONDS))
        while not until.is_over():
            new = set(self._workers(name, deadline)) - before
            if new:
                told = {"workers_before": len(before), "new_workers": len(new)}
                return Done(f"nginx in {name} was reloaded and has new workers", told)
            self.clients.wait(_POLL_SECONDS)
        raise Permanent(
            f"nginx in {name} took the reload and has no new worker; read its error log"
        )

    def probe(self, target: Target, *, intended_at: datetime) -> Effect:
        deadline = Deadline.after(self.clients.clock, _LOOK_SECONDS)
        try:
            workers = self._workers(engine.container_name(target), deadline)
        except RemediationError:
            return Effect.UNKNOWN
        # Ages are whole seconds: who may be older than the intent does not count as new.
        since = self.clients.clock() - intended_at
        new = any(timedelta(seconds=age + 1) < since for age in workers.values())
        return Effect.DONE if new else Effect.NOT_DONE

    def _workers(self, name: str, deadline: Deadline) -> dict[int, int]:
        """Age in seconds by process id; those that only finish their requests are left out."""
        seconds = deadline.at_most(_LOOK_SECONDS)
        with engine.connect(self.clients.docker_url, timeout_seconds=seconds) as docker:
            return {p.pid: p.age_seconds for p in docker.top(name) if p.command == _WORKER}

"""Turns the maintenance page on and off: users get a 503 with a word instead of errors.

Rule: nginx says whether the page is on, not the file. It always has an end, which the file
carries; a file that somebody else wrote is left alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import httpx
from pydantic import Field

from remediator import maintenance
from remediator.actions.clients import Clients, Deadline, Params
from remediator.actions.nginx_control import EXEC_SECONDS, nginx_says, remove_file, replace_file
from remediator.durations import Seconds
from remediator.maintenance import Maintenance
from remediator.ports import Done, Effect, Permanent, Ready, Refused, RemediationError, Transient
from remediator.topology import MaintenancePage, Target

_HTTP_SECONDS = 3.0
_POLL_SECONDS = 0.1
_SHOWN_SECONDS = 15.0
_SHOWN_IN_A_ROW = 3
_UNDO_SECONDS = 2 * EXEC_SECONDS
_UNAVAILABLE = 503
_HEADER = "X-Maintenance"


class MaintenanceOnParams(Params):
    """Why, for whoever finds it, and for how long at most."""

    reason: Annotated[str, Field(min_length=1, max_length=200)]
    ttl: Annotated[Seconds, Field(ge=60, le=4 * 3600)] = 1800.0


class MaintenanceOffParams(Params):
    """`before_end`: also while the time that was set is not over."""

    before_end: bool = False


@dataclass(frozen=True, slots=True)
class MaintenanceOn:
    """1. write the file  2. `nginx -t`  3. reload  4. wait until the page is served."""

    params: MaintenanceOnParams
    clients: Clients

    def precheck(self, target: Target) -> Ready | Refused:
        page = _page(target)
        try:
            found = _found(page)
        except Permanent as error:
            return Refused(str(error))
        if found is not None and found.until > self.clients.clock():
            return Refused(
                f"{target.key}: the maintenance page is on until {found.until:%H:%M} UTC "
                f"({found.reason})"
            )
        return Ready()

    def run(self, target: Target, *, timeout_seconds: float) -> Done:
        deadline = _deadline(self.clients, target, timeout_seconds)
        page = _page(target)
        old = _found(page)
        until = self.clients.clock() + timedelta(seconds=self.params.ttl)
        replace_file(Path(page.file), maintenance.written(Maintenance(self.params.reason, until)))
        _apply(self.clients, page, deadline, on=True, undo=lambda: _put_back(page, old))
        told = {"reason": self.params.reason, "until": until.isoformat()}
        return Done(f"the maintenance page is on until {until:%H:%M} UTC", told)

    def probe(self, target: Target, *, intended_at: datetime) -> Effect:  # noqa: ARG002
        return _probe(_page(target), on=True)


@dataclass(frozen=True, slots=True)
class MaintenanceOff:
    """1. remove the file  2. `nginx -t`  3. reload  4. wait until the page is not served."""

    params: MaintenanceOffParams
    clients: Clients

    def precheck(self, target: Target) -> Ready | Refused:
        page = _page(target)
        try:
            found = _found(page)
        except Permanent as error:
            return Refused(str(error))
        if found is None and not _is_shown(page):
            return Refused(f"{target.key}: the maintenance page is off")
        if found is not None and not self.params.before_end and found.until > self.clients.clock():
            return Refused(
                f"{target.key}: the maintenance page is wanted until {found.until:%H:%M} UTC "
                f"({found.reason})"
            )
        return Ready()

    def run(self, target: Target, *, timeout_seconds: float) -> Done:
        deadline = _deadline(self.clients, target, timeout_seconds)
        page = _page(target)
        old = _found(page)
        remove_file(Path(page.file))
        _apply(self.clients, page, deadline, on=False, undo=lambda: _put_back(page, old))
        return Done("the maintenance page is off", {"reason": old.reason if old else ""})

    def probe(self, target: Target, *, intended_at: datetime) -> Effect:  # noqa: ARG002
        return _probe(_page(target), on=False)


def _apply(
    clients: Clients,
    page: MaintenancePage,
    deadline: Deadline,
    *,
    on: bool,
    undo: Callable[[], None],
) -> None:
    """Have nginx read the file. Whatever fails puts the file back, and nginx with it."""
    reloaded = False
    try:
        nginx_says(clients, page.nginx_container, deadline, "-t")
        reloaded = True
        nginx_says(clients, page.nginx_container, deadline, "-s", "reload")
        _wait_until(clients, page, deadline, on=on)
    except RemediationError as error:
        again = Deadline.after(clients.clock, _UNDO_SECONDS)
        try:
            undo()
            if reloaded:
                nginx_says(clients, page.nginx_container, again, "-s", "reload")
        except RemediationError as second:
            raise Permanent(
                f"{error}; and going back failed too ({second}): look at nginx now"
            ) from error
        raise type(error)(f"{error}; the file is as it was before") from error


def _wait_until(clients: Clients, page: MaintenancePage, deadline: Deadline, *, on: bool) -> None:
    # The reload returns before the new workers serve, and an old one may take one more.
    until = Deadline.after(clients.clock, deadline.at_most(_SHOWN_SECONDS))
    in_a_row, last_seen = 0, "nothing"
    while not until.is_over():
        try:
            shown = _is_shown(page)
            last_seen = "the page" if shown else "no page"
        except Transient as error:
            shown, last_seen = not on, str(error)
        in_a_row = in_a_row + 1 if shown == on else 0
        if in_a_row == _SHOWN_IN_A_ROW:
            return
        clients.wait(_POLL_SECONDS)
    wanted = "show the maintenance page" if on else "stop showing the maintenance page"
    raise Permanent(f"nginx was reloaded and does not {wanted} at {page.url}; seen: {last_seen}")


def _is_shown(page: MaintenancePage) -> bool:
    """A new connection each time: a kept one stays with an old worker. Errors: Transient."""
    try:
        with httpx.stream("GET", page.url, timeout=_HTTP_SECONDS, trust_env=False) as response:
            return (
                response.status_code == _UNAVAILABLE and response.headers.get(_HEADER, "") == "on"
            )
    except httpx.HTTPError as error:
        raise Transient(f"cannot ask {page.url}: {error!r}; see that nginx runs") from error


def _probe(page: MaintenancePage, *, on: bool) -> Effect:
    """DONE: file and nginx agree. NOT_DONE when either does not: doing it again is harmless."""
    try:
        there = _found(page) is not None
        # More than once: an old worker may have taken the first.
        shown = {_is_shown(page) for _ in range(_SHOWN_IN_A_ROW)}
    except RemediationError:
        return Effect.UNKNOWN
    return Effect.DONE if {there} == shown == {on} else Effect.NOT_DONE


def _found(page: MaintenancePage) -> Maintenance | None:
    try:
        return maintenance.read(Path(page.file))
    except maintenance.NotOurs as error:
        raise Permanent(f"{error}: take it away by hand when it is over") from error
    except OSError as error:
        raise Permanent(f"cannot read {page.file}: {error}; see that it is a file") from error


def _put_back(page: MaintenancePage, old: Maintenance | None) -> None:
    if old is None:
        remove_file(Path(page.file))
    else:
        replace_file(Path(page.file), maintenance.written(old))


def _deadline(clients: Clients, target: Target, timeout_seconds: float) -> Deadline:
    deadline = Deadline.after(clients.clock, timeout_seconds - _UNDO_SECONDS)
    if deadline.is_over():
        raise Permanent(
            f"{target.key}: this needs a step timeout of more than {_UNDO_SECONDS:.0f} s, "
            "to be able to undo it"
        )
    return deadline


def _page(target: Target) -> MaintenancePage:
    if target.maintenance is None:
        raise Permanent(f"{target.key} has no maintenance page; give it one in the topology")
    return target.maintenance

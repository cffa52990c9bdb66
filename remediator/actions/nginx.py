"""Moves traffic from the live colour to the other one.

Rule: nginx says which colour is live, not the file; the old file stays until nginx serves
the new colour, and comes back with its old modification time when it does not. So the
file's time tells, after a crash, whether a switch was begun.
"""

import math
import re
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import httpx
from pydantic import Field

from remediator.actions.clients import Clients, Deadline, Params
from remediator.actions.nginx_control import EXEC_SECONDS, nginx_says, replace_file
from remediator.durations import Seconds
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
from remediator.probes import ExporterProbes
from remediator.prometheus import ask_once, quoted
from remediator.topology import ColourSwitch, Target

_HTTP_SECONDS = 3.0
_PROBE_SECONDS = 10.0  # above the exporter's own timeout for a probe
_PROBES_IN_A_ROW = 3
_PROBE_PAUSE_SECONDS = 0.5
_SERVES_SECONDS = 15.0
_SERVES_IN_A_ROW = 3
_POLL_SECONDS = 0.1
_UNDO_SECONDS = 2 * EXEC_SECONDS
_COLOURS = 2

_FILE_FORM = re.compile(r'\s*map\s+""\s+\$live_colour\s*\{\s*default\s+([\w-]+)\s*;\s*\}\s*')


class SwitchColourParams(Params):
    """`healthy_for`: how long the other colour's probe must have been good, by Prometheus."""

    healthy_for: Annotated[Seconds, Field(ge=0, le=3600)] = 60.0


@dataclass(frozen=True, slots=True)
class _OldFile:
    """What the include file was, to the time it was written."""

    content: bytes
    modified_ns: int


@dataclass(frozen=True, slots=True)
class SwitchColour:
    """Let nginx serve the colour that it does not serve now."""

    params: SwitchColourParams
    clients: Clients

    def precheck(self, target: Target) -> Ready | Refused | NotYet:
        switch = switch_of(target)
        live = live_colour(switch)
        written = _colour_in(_read(switch).content)
        if written != live:
            return Refused(
                f"{target.key}: {switch.file} says {written or 'nothing readable'} and nginx "
                f"serves {live}: somebody is at it; reload nginx or put the file right"
            )
        other = _other_colour(switch, live)
        short = self._too_short(target, switch, other)
        return short or self._other_is_ready(target, switch, other)

    def run(self, target: Target, *, timeout_seconds: float) -> Done:
        """1. write the file 2. `nginx -t` 3. reload 4. wait until nginx serves the colour.

        Whatever fails on the way puts the old file back; after the reload, nginx too.
        """
        deadline = Deadline.after(self.clients.clock, timeout_seconds - _UNDO_SECONDS)
        if deadline.is_over():
            raise Permanent(
                f"{target.key}: a switch needs a step timeout of more than "
                f"{_UNDO_SECONDS:.0f} s, to be able to undo it"
            )
        switch = switch_of(target)
        live = live_colour(switch)
        colour = _other_colour(switch, live)
        old = _read(switch)
        self._write(switch, _content(colour), self._now_ns())
        try:
            self._nginx(switch, deadline, "-t")
        except RemediationError as error:
            self._write(switch, old.content, old.modified_ns)
            raise type(error)(f"{error}; the old file is back, {live} stays live") from error
        try:
            self._nginx(switch, deadline, "-s", "reload")
            self._wait_until_served(switch, colour, deadline)
        except RemediationError as error:
            undone = self._undo(switch, old)
            raise Permanent(
                f"{target.key}: switch to {colour} failed: {error}; {undone}"
            ) from error
        return Done(f"switched {target.key} from {live} to {colour}", {"from": live, "to": colour})

    def probe(self, target: Target, *, intended_at: datetime) -> Effect:
        """DONE: the file was written since, nginx serves what it says, and that is healthy."""
        switch = switch_of(target)
        try:
            written = _read(switch)
            live = live_colour(switch)
            if written.modified_ns < _nanoseconds(intended_at):
                return Effect.NOT_DONE
            if _colour_in(written.content) != live:
                return Effect.UNKNOWN
            ready = self._other_is_ready(target, switch, live)
        except RemediationError:
            return Effect.UNKNOWN
        return Effect.DONE if isinstance(ready, Ready) else Effect.UNKNOWN

    def _too_short(self, target: Target, switch: ColourSwitch, colour: str) -> NotYet | None:
        """A colour that has just come up, or comes and goes, gets no traffic yet."""
        wanted = self.params.healthy_for
        if wanted == 0:
            return None
        name, window = quoted(switch.ready_probes[colour]), f"{math.ceil(wanted * 1000)}ms"
        series = f"probe_success{{target={name}}}"
        # Good in the window, and known at its beginning: data of ten seconds proves no minute.
        expr = (
            f"min by (target) (min_over_time({series}[{window}]))"
            f" and on (target) ({series} offset {window})"
        )
        found = ask_once(self.clients.prometheus_url, expr)
        if len(found) == 1 and found[0].value == 1:
            return None
        return NotYet(
            f"{target.key}: the probe of {colour} was not good for all of the last {wanted:.0f} s, "
            f"or nobody knows; see {switch.colours[colour]}"
        )

    def _other_is_ready(self, target: Target, switch: ColourSwitch, colour: str) -> Ready | Refused:
        name = switch.ready_probes[colour]
        exporter = ExporterProbes(self.clients.exporter_url, timeout_seconds=_PROBE_SECONDS)
        with closing(exporter):
            for number in range(_PROBES_IN_A_ROW):
                if number:
                    self.clients.wait(_PROBE_PAUSE_SECONDS)
                found = exporter.probe(name)
                if not found.success:
                    return Refused(
                        f"{target.key}: {colour} is not ready for traffic: probe {name} fails "
                        f"({found.reason or 'no reason given'}); mend {switch.colours[colour]}"
                    )
        return Ready()

    def _nginx(self, switch: ColourSwitch, deadline: Deadline, *arguments: str) -> None:
        nginx_says(self.clients, switch.nginx_container, deadline, *arguments)

    def _wait_until_served(self, switch: ColourSwitch, colour: str, deadline: Deadline) -> None:
        # The reload returns before the new workers serve, and an old worker may take one
        # more connection after a new one has served the first.
        until = Deadline.after(self.clients.clock, deadline.at_most(_SERVES_SECONDS))
        in_a_row = 0
        last_seen = "nothing"
        while not until.is_over():
            try:
                last_seen = live_colour(switch)
            except Transient as error:
                last_seen = str(error)
            in_a_row = in_a_row + 1 if last_seen == colour else 0
            if in_a_row == _SERVES_IN_A_ROW:
                return
            self.clients.wait(_POLL_SECONDS)
        raise Permanent(f"nginx was reloaded but does not serve {colour}; seen last: {last_seen}")

    def _undo(self, switch: ColourSwitch, old: _OldFile) -> str:
        """Put file and nginx back. Says how it went, because it is already a failure."""
        deadline = Deadline.after(self.clients.clock, _UNDO_SECONDS)
        try:
            self._write(switch, old.content, old.modified_ns)
            self._nginx(switch, deadline, "-s", "reload")
        except RemediationError as error:
            return f"and going back failed too ({error}): look at nginx now"
        return "the old file is back and nginx was reloaded"

    def _now_ns(self) -> int:
        return _nanoseconds(self.clients.clock())

    def _write(self, switch: ColourSwitch, content: bytes, modified_ns: int) -> None:
        """Atomic: nginx sees the old file or the new one, also after a power cut."""
        replace_file(Path(switch.file), content, modified_ns=modified_ns)


def _read(switch: ColourSwitch) -> _OldFile:
    path = Path(switch.file)
    try:
        return _OldFile(path.read_bytes(), path.stat().st_mtime_ns)
    except OSError as error:
        raise Permanent(
            f"cannot read {path}: {error}; see that nginx's live folder is mounted"
        ) from error


def _content(colour: str) -> bytes:
    return f'map "" $live_colour {{ default {colour}; }}\n'.encode()


def _colour_in(content: bytes) -> str | None:
    found = _FILE_FORM.fullmatch(content.decode(errors="replace"))
    return found[1] if found else None


def live_colour(switch: ColourSwitch) -> str:
    """What nginx serves now. A new connection each time: a kept one stays with an old worker."""
    try:
        response = httpx.get(switch.live_url, timeout=_HTTP_SECONDS, trust_env=False)
        response.raise_for_status()
    except httpx.HTTPError as error:
        raise Transient(
            f"cannot ask {switch.live_url} for the live colour: {error!r}; see that nginx runs"
        ) from error
    live = response.text.strip()
    if live not in switch.colours:
        raise Permanent(
            f"{switch.live_url} answers {live[:50]!r}, which is none of "
            f"{', '.join(switch.colours)}; put nginx's live colour right"
        )
    return live


def _other_colour(switch: ColourSwitch, live: str) -> str:
    if len(switch.colours) != _COLOURS:
        raise Permanent(
            f"a switch needs exactly two colours, the topology has {', '.join(switch.colours)}"
        )
    other = next(colour for colour in switch.colours if colour != live)
    if _colour_in(_content(other)) != other:  # it goes into nginx's configuration
        raise Permanent(f"colour {other!r} is not a plain word; rename it in the topology")
    return other


def other_colour(switch: ColourSwitch) -> str:
    """The one that nginx does not serve now. Errors: Transient, Permanent."""
    return _other_colour(switch, live_colour(switch))


def switch_of(target: Target) -> ColourSwitch:
    """Errors: Permanent when it has none."""
    if target.switch is None:
        raise Permanent(f"{target.key} has no colours to switch; see the topology")
    return target.switch


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1e9)

"""The kill switch: a file, the environment, the API. Any of them says off, and it is off.

Rule: what cannot be read counts as off. Each change is written down and logged; only who
ordered a pause can end it, so a call to resume never undoes a file.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from remediator.journal import Orders
from remediator.runs import Pause, Via

FILE, ENVIRONMENT, API = "file", "environment", "api"
VARIABLE = "STACKMEDIC_PAUSED"
_ON = frozenset({"", "0", "false", "no"})
_MOST_CHARS = 500

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KillSwitch:
    """`file` stands beside the state file; whatever it holds is the reason.

    `name` is this remediator's in a shared journal: each tells of its own file and environment,
    and all are paused by any. `via`: where a human orders through this one.
    """

    file: Path | None
    environment: Mapping[str, str]
    orders: Orders
    clock: Callable[[], datetime]
    name: str = ""
    via: Via | None = None

    def paused(self) -> str | None:
        """Why nothing may begin, for a human; None when it may. Errors: JournalUnavailable."""
        pauses = self.look()
        return "; ".join(f"paused by {p.by} ({p.source}): {p.reason}" for p in pauses) or None

    def look(self) -> tuple[Pause, ...]:
        """Every pause in force; a change is written down. Errors: JournalUnavailable."""
        now = self.clock()
        known = {(pause.source, pause.remediator): pause for pause in self.orders.pauses()}
        said = {FILE: self._file_says(), ENVIRONMENT: self._environment_says()}
        for source, reason in said.items():
            own, whose = (source, self.name), f"the {source}{self.name and f' of {self.name}'}"
            if reason is not None and (own not in known or known[own].reason != reason):
                known[own] = Pause(source, reason, whose, now, remediator=self.name)
                self.orders.pause(known[own])
                log.warning("paused by %s: %s", whose, reason)
            elif reason is None and own in known:
                self._end(known.pop(own), whose, now)
        api = known.get((API, ""))
        if api is not None and api.until is not None and api.until <= now:
            self._end(known.pop((API, "")), "its time", now)
        return tuple(known.values())

    def pause(self, reason: str, by: str, until: datetime | None) -> None:
        """By the API. Errors: JournalUnavailable."""
        self.orders.through(self.via).pause(Pause(API, reason, by, self.clock(), until))
        log.warning("paused by %s: %s", by, reason)

    def resume(self, by: str) -> bool:
        """Ends what `pause` ordered, and what those had that are gone: no other one can.

        Errors: JournalUnavailable.
        """
        orders = self.orders.through(self.via)
        ended = orders.resume(API, by, self.clock())
        if orders.forget_pauses_of_the_dead(by, self.clock()) or ended:
            log.warning("resumed by %s", by)
        return ended

    def _end(self, pause: Pause, by: str, now: datetime) -> None:
        self.orders.resume(pause.source, by, now, pause.remediator)
        log.warning("the pause by the %s has ended: %s", pause.source, pause.reason)

    def _file_says(self) -> str | None:
        if self.file is None:
            return None
        try:
            text = self.file.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            return f"{self.file} cannot be read: {error.strerror}"
        return " ".join(text.split())[:_MOST_CHARS] or "no reason given"

    def _environment_says(self) -> str | None:
        text = self.environment.get(VARIABLE, "").strip()
        return None if text.lower() in _ON else text[:_MOST_CHARS]

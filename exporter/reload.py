"""The configuration in force, and how another takes its place.

Rule: a file with a mistake changes nothing but a metric and the log. What a new file leaves as
it was goes on as it is, with its counters and its run in flight; what it changes is closed
before its successor opens, because two of them would write one state file.
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from exporter.collectors import Sources
from exporter.collectors.port import Clocks
from exporter.families.configuration import State
from exporter.scrape import Scraper
from exporter.settings import Invalid, Settings
from exporter.web.answers import InForce

log = logging.getLogger(__name__)


class Running:
    """load: how a file becomes Settings; Invalid is told, anything else is a bug."""

    def __init__(
        self, path: Path, settings: Settings, clocks: Clocks, load: Callable[[Path], Settings]
    ) -> None:
        self._path = path
        self._clocks = clocks
        self._load = load
        self._reloading = threading.Lock()
        self._sources = Sources(clocks)
        self._settings = settings
        self._listen = settings.listen
        self.scraper = Scraper(self._sources.open(settings.targets), clocks.monotonic)
        self._in_force = self._told(State(clocks.wall(), (), settings.host))

    def in_force(self) -> InForce:
        return self._in_force

    def reload(self) -> tuple[str, ...]:
        """Read the file again. The mistakes, if any: then the old one stays in force."""
        with self._reloading:
            try:
                settings = self._load(self._path)
            except Invalid as invalid:
                for error in invalid.errors:
                    log.error("not reloaded: %s", error)  # noqa: TRY400  a mistake in a file
                state = self._in_force.state
                errors = tuple(invalid.errors)
                self._in_force = self._told(State(state.loaded_at, errors, state.host))
                return errors
            self._take(settings)
            return ()

    def _take(self, settings: Settings) -> None:
        targets = settings.targets
        # 1. What has changed ends.  2. What is new begins.  3. The words change.
        kept = self._sources.unchanged(targets, self.scraper.opened())
        self.scraper.keep(kept)
        self.scraper.order(self._sources.open(targets, kept))
        self._settings = settings
        self._in_force = self._told(State(self._clocks.wall(), (), settings.host))
        if settings.listen != self._listen:
            log.warning("listen: %s takes a restart", settings.listen)
        log.info("reloaded %s", self._path)

    def _told(self, state: State) -> InForce:
        modules = {module.name: module for module in self._settings.targets.modules}
        return InForce(self._settings.timeout_seconds, modules, state)

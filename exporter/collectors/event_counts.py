"""What the engine's events have counted: ends of containers and kills for memory, by name.

Rule: counts belong to a container's name and outlive both the container and this process. The
time of the last event counted is saved with them, so that after a restart the engine's memory
of events is counted from there on: nothing twice, and nothing lost that it still knows.

An engine that was away itself tells no event of what ended meanwhile, but its containers say
when they ended last. An end that no event has told for a while is counted from that.
"""

import json
import logging
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from exporter.collectors import statefile
from exporter.collectors.inspection import lasting_name
from exporter.readings.containers import EXIT_CODES, OTHER_EXIT, Container, ContainerState

log = logging.getLogger(__name__)

SAVE_SECONDS = 5.0
MAX_NAMES = 1000
# Events that are late, or told again after a reconnect, have come by then.
UNTOLD_SECONDS = 30.0
# Between an end and its event, whichever the engine writes down first.
_SAME_END_NS = 10**9
_STARTED = frozenset({ContainerState.RUNNING, ContainerState.PAUSED, ContainerState.RESTARTING})
_FORMAT = 1


class EventCounts:
    """Filled by one thread, read by any."""

    def __init__(self, state_file: str | None) -> None:
        self._path = Path(state_file) if state_file else None
        self._lock = threading.Lock()  # guards what follows
        self._exits: Counter[tuple[str, str]] = Counter()
        self._ooms: Counter[str] = Counter()
        self._counted: tuple[dict[tuple[str, str], int], dict[str, int]] | None = None
        self._last_ns = 0
        # Container id -> the time up to which its ends are counted, in ns.
        self._ends: dict[str, int] = {}
        self._untold: dict[str, tuple[int, float]] = {}  # -> end without event, since when
        self._dirty = False
        self._saved_at = float("-inf")
        self.problem = ""  # told at every scrape until a save works again
        self._restore()

    def take(self, event: Mapping[str, Any]) -> bool:
        """Count one event. False: it was counted before, as after a reconnect."""
        happened_ns = int(event.get("timeNano") or 0)
        attributes = (event.get("Actor") or {}).get("Attributes") or {}
        action = str(event.get("Action") or "").partition(":")[0]
        name = lasting_name(str(attributes.get("name") or ""))
        with self._lock:
            if happened_ns <= self._last_ns:
                return False
            self._last_ns = happened_ns
            self._counted = None
            if action == "die":
                self._exits[name, exit_code_word(attributes.get("exitCode"))] += 1
                self._ends[str((event.get("Actor") or {}).get("ID") or "")] = happened_ns
            elif action == "oom":
                self._ooms[name] += 1
            self._dirty = self._dirty or action in {"die", "oom"}
        return True

    def settle(self, containers: Iterable[Container], now: float) -> None:
        """Count ends that no event has told. containers: all there are. now: monotonic.

        One that is new here counts from its next end on. Of one that runs again the exit code
        is no longer known.
        """
        with self._lock:
            before, ends, untold = self._ends, {}, {}
            for container in containers:
                ended = int(container.finished_at * 1e9)
                counted = ends[container.id] = before.get(container.id, ended)
                if ended <= counted + _SAME_END_NS:
                    continue
                found = self._untold.get(container.id)
                if found is None or found[0] != ended:
                    untold[container.id] = ended, now
                elif now - found[1] < UNTOLD_SECONDS:
                    untold[container.id] = found
                else:
                    started = container.state in _STARTED
                    code = OTHER_EXIT if started else exit_code_word(container.exit_code)
                    self._exits[container.name, code] += 1
                    ends[container.id] = ended
                    self._counted = None
            self._dirty = self._dirty or ends != before
            self._ends, self._untold = ends, untold

    def skip(self, event: Mapping[str, Any]) -> None:
        """An event of a container that is not watched: only its time counts."""
        with self._lock:
            self._last_ns = max(self._last_ns, int(event.get("timeNano") or 0))

    def since(self) -> str | None:
        """From when on events are wanted, as the engine wants it written."""
        with self._lock:
            last_ns = self._last_ns
        if not last_ns:
            return None
        seconds, nanoseconds = divmod(last_ns, 10**9)
        return f"{seconds}.{nanoseconds:09d}"

    def counted(self) -> tuple[dict[tuple[str, str], int], dict[str, int]]:
        """(name, exit code) -> ends, name -> kills; the same two while nothing happens."""
        with self._lock:
            if self._counted is None:
                self._counted = dict(self._exits), dict(self._ooms)
            return self._counted

    def forget(self, alive: Collection[str]) -> None:
        """Keep the names bounded. Who is alive stays, the rest goes oldest first."""
        with self._lock:
            names = dict.fromkeys([*(name for name, _ in self._exits), *self._ooms])
            gone = [name for name in names if name not in alive]
            for name in gone[: max(0, len(names) - MAX_NAMES)]:
                self._counted = None
                self._ooms.pop(name, None)
                for code in EXIT_CODES:
                    self._exits.pop((name, code), None)

    # The state file.

    def save(self, now: float, *, at_once: bool = False) -> None:
        """Write what is new, seldom enough for a crash loop. now: of a monotonic clock."""
        with self._lock:
            due = at_once or now - self._saved_at >= SAVE_SECONDS
            if self._path is None or not self._dirty or not due:
                return
            self._saved_at, self._dirty = now, False
            state = {
                "format": _FORMAT,
                "last_event_ns": self._last_ns,
                "exits": [[*key, count] for key, count in self._exits.items()],
                "ooms": dict(self._ooms),
                "ends": self._ends,
            }
        self.problem = statefile.write(self._path, state)
        if self.problem:
            self._dirty = True

    def _restore(self) -> None:
        if self._path is None:
            return
        try:
            state = json.loads(self._path.read_text(encoding="utf-8"))
            if state["format"] != _FORMAT:
                raise ValueError("another format")  # noqa: TRY301  told with the other faults below
            exits = {(str(name), str(code)): int(n) for name, code, n in state["exits"]}
            ooms = {str(name): int(n) for name, n in state["ooms"].items()}
            last_ns = int(state["last_event_ns"])
            ends = {str(key): int(at) for key, at in state.get("ends", {}).items()}
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            # Counting from here on beats not starting; counters begin at zero again.
            log.warning("%s: not used: %s", self._path, error)
            return
        self._exits.update(exits)
        self._ooms.update(ooms)
        self._last_ns, self._ends = last_ns, ends


def exit_code_word(code: object) -> str:
    """The few exit codes with a known meaning; the rest fold so that the label stays bounded."""
    word = str(code)
    return word if word in EXIT_CODES else OTHER_EXIT

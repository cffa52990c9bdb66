"""What a collector is, and what it is given.

Rule: a collector keeps its own connections, honours the deadline it is handed (a reading of
the same monotonic clock), and returns Unreachable for what a target may do to it. Only a bug
raises.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

from exporter.readings import Containers, Unreachable
from exporter.readings.logs import Recurring

R_co = TypeVar("R_co", covariant=True)
Clock = Callable[[], float]


class Collector(Protocol[R_co]):
    def collect(self, deadline: float) -> R_co | Unreachable:
        """Look once. Called by one thread at a time."""
        ...

    def cancel(self) -> None:
        """Make a collect() that is past its deadline return soon. Must not block."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Instant(Protocol):
    """A collector that can tell when it needs no thread of its own."""

    def instant(self) -> bool:
        """True: collect() would now read this machine's memory and kernel only."""
        ...


@runtime_checkable
class Punctual(Protocol):
    """A collector that never needs to be left behind."""

    def punctual(self) -> bool:
        """True: collect() would now end at its deadline, whatever its target does."""
        ...


@runtime_checkable
class Shows(Protocol):
    """A collector with something for the page for people that no metric may hold: text."""

    def recurring(self) -> Sequence[Recurring]: ...


class ContainerSet(Protocol):
    """The engine's containers as last seen, kept up to date by its event stream."""

    def live(self) -> bool:
        """True: current() would answer at once, without the engine."""
        ...

    def current(self, deadline: float) -> Containers | Unreachable:
        """The set now; asks the engine only when the event stream cannot be trusted."""
        ...

    def known(self, deadline: float) -> Containers | Unreachable:
        """As current, but the last set is good enough while the engine is away."""
        ...


@dataclass(frozen=True, slots=True)
class Clocks:
    monotonic: Clock
    wall: Clock

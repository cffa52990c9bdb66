"""The interfaces in containers' network namespaces."""

from dataclasses import dataclass

from exporter.readings.containers import Container


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface; both directions as bytes, packets, errors, drops."""

    name: str
    received: tuple[int, ...]
    sent: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Networks:
    networks: tuple[tuple[Container, tuple[Interface, ...]], ...]
    problems: tuple[str, ...] = ()

"""The interfaces in containers' network namespaces."""

from dataclasses import dataclass
from typing import NamedTuple

from exporter.readings.cgroups import PROC
from exporter.readings.containers import Container


class Interface(NamedTuple):
    """One interface; both directions as bytes, packets, errors, drops.

    A tuple, because a hundred of them are made in every scrape.
    """

    name: str
    received: tuple[int, ...]
    sent: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Networks:
    networks: tuple[tuple[Container, tuple[Interface, ...]], ...]
    source: str = PROC
    problems: tuple[str, ...] = ()

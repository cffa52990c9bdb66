"""What other programs of the host wrote into *.prom files."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TextSamples:
    """Samples of one name. Each is (label -> value, number)."""

    name: str
    help: str
    counter: bool
    samples: tuple[tuple[Mapping[str, str], float], ...]


@dataclass(frozen=True, slots=True)
class Textfile:
    """One file. error: why none of it was taken; empty when all of it was."""

    file: str
    modified_at: float = 0.0
    found: tuple[TextSamples, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Textfiles:
    files: tuple[Textfile, ...]
    problems: tuple[str, ...] = ()

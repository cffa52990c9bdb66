"""The section `logs` of exporter.yml.

Rule: a pattern says which text a message must contain, so that a regex is only tried on
messages that have a chance; and that text is the same in the engine's file as in the message.
"""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from exporter.config_schema import Name, Section, Text
from exporter.targets import Engine, LogFolder, LogPattern

_SHORTEST_TEXT = 3
_PLAIN = re.compile(r"[ !#-%'-;=?-\[\]-~]*")


def _searchable(value: str) -> str:
    if len(value) < _SHORTEST_TEXT:
        raise ValueError(f"must be at least {_SHORTEST_TEXT} characters")
    if not _PLAIN.fullmatch(value):
        raise ValueError('must be plain ASCII without ", \\, <, > or &: the log file escapes them')
    return value


def _regex(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from error
    return value


class LogPatternSection(Section):
    text: Annotated[str, AfterValidator(_searchable)]
    """Plain text that the message holds, in any case of letters."""
    regex: Annotated[str, AfterValidator(_regex)] | None = None
    """The message must match this too."""


class LogsSection(Section):
    root: Text
    """The engine's folder of containers, with their json-file logs."""
    state_file: Text
    """Keeps offsets and counters, so that no line is lost or counted twice."""
    # Through the engine's API where files cannot be read; its proxy must let /logs through.
    ask_engine: bool = False
    """Ask the engine's API for logs whose files cannot be read."""
    patterns: Annotated[dict[Name, LogPatternSection], Field(max_length=20)] = Field(
        default_factory=dict
    )
    """What to count by name, besides the levels."""

    def target(self, engine: Engine) -> LogFolder:
        patterns = tuple(LogPattern(k, p.text, p.regex) for k, p in self.patterns.items())
        return LogFolder(self.root, self.state_file, engine, patterns, self.ask_engine)

"""exporter.yml as pydantic reads it: the keys, their types and their defaults.

Rule: only what one value can say about itself. What needs two values is checked in
`exporter/config.py`.
"""

import re
from collections.abc import Callable
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from exporter.targets import POSTGRES_OPTIONAL_PARTS, POSTGRES_PARTS

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")


def _duration(value: object) -> float:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None or float(match[1]) == 0:
        raise ValueError("must be a duration such as 500ms, 2s or 5m")
    return float(match[1]) * _UNITS[match[2]]


def sequence(value: object) -> object:
    # YAML has lists only; a frozen model wants a tuple.
    return tuple(value) if isinstance(value, list) else value


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("must be a name of a-z, 0-9, '_', '.' or '-', at most 63 long")
    return value


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be a URL such as http://host:port/path")
    return value


def _engine_url(value: str) -> str:
    if not re.fullmatch(r"unix:///.+|tcp://[^/:]+:\d+", value):
        raise ValueError("must be unix:///path or tcp://host:port")
    return value


def _one_of(words: tuple[str, ...]) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    def check(values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if value not in words:
                raise ValueError(f"{value!r} is not one of {', '.join(words)}")
        return values

    return check


def _listen(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004  the last TCP port
        raise ValueError("must be host:port such as 0.0.0.0:9180")
    return value


Listen = Annotated[str, AfterValidator(_listen)]
Name = Annotated[str, AfterValidator(_name)]
Seconds = Annotated[float, BeforeValidator(_duration)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
Port = Annotated[int, Field(ge=1, le=65535)]
Names = Annotated[tuple[Name, ...], BeforeValidator(sequence)]
Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(sequence)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ServiceSection(Section):
    project: Name
    """Its compose project."""
    compose_service: Name
    """Its name in that project."""


class DockerSection(Section):
    url: Annotated[str, AfterValidator(_engine_url)]
    """unix:///path or tcp://host:port."""
    projects: Names = ()
    """Look at the containers of these compose projects only; empty means at all."""
    cgroup_root: Text | None = None
    """The host's /sys/fs/cgroup; without it there is no CPU, memory or I/O."""
    proc_root: Text | None = None
    """The host's /proc; without it there is no network."""
    # Its proxy must let /containers/<id>/stats through.
    stats_api: Literal["fallback", "always", "never"] = "fallback"
    """When the engine's API is asked instead of files, at 100 times the cost: where they show no
    container, always (an engine elsewhere), or never."""
    state_file: Text | None = None
    """Keeps the counters of exits and restarts over a restart of the exporter."""


class PostgresSection(Section):
    host: Text
    """Host name or address."""
    port: Port = 5432
    """Its TCP port."""
    database: Text
    """The database to connect to first."""
    user: Text
    """The role to connect as; pg_monitor is enough."""
    password_file: Text | None = None
    """Holds the password."""
    top_statements: Annotated[int, Field(ge=1, le=1000)] = 50
    """So many statements have series of their own; the rest is `other`."""
    statement_texts: bool = False
    """Also emit the text of these statements."""
    statement_text_length: Annotated[int, Field(ge=1, le=1000)] = 120
    """Texts are cut after so many characters."""
    application_names: Texts = ()
    """The values that the label application_name may have; others are one."""
    databases: Texts = ()
    """Read the tables of these databases only; empty means of all."""
    databases_except: Texts = ()
    """Never read the tables of these."""
    databases_limit: Annotated[int, Field(ge=1, le=100)] = 10
    """Read the tables of so many databases at most."""
    tables_limit: Annotated[int, Field(ge=1, le=10000)] = 300
    """So many tables of each database at most, the biggest."""
    slow_interval: Seconds = 60.0
    """What is expensive is read this often and kept in between."""
    with_parts: Annotated[Names, AfterValidator(_one_of(POSTGRES_OPTIONAL_PARTS))] = ()
    """Parts to read on top of the usual."""
    without_parts: Annotated[Names, AfterValidator(_one_of(POSTGRES_PARTS))] = ()
    """Parts to leave out."""


class ColourSection(Section):
    url: HttpUrl
    """Answers with the colour that is live."""
    one_of: Annotated[Names, Field(min_length=1)]
    """The colours that there are; another answer is none."""
    timeout: Seconds = 2.0
    """A slower answer is none."""


class ScrapeSection(Section):
    timeout: Seconds = 5.0
    """For a scrape that does not bring Prometheus' own timeout."""

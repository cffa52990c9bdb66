"""exporter.yml as pydantic reads it: the keys, their types and their defaults.

Rule: only what one value can say about itself. What needs two values is checked in
`exporter/config.py`.
"""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

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


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ServiceSection(Section):
    project: Name
    compose_service: Name


class DockerSection(Section):
    url: Annotated[str, AfterValidator(_engine_url)]
    projects: Names = ()
    cgroup_root: Text | None = None
    proc_root: Text | None = None


class PostgresSection(Section):
    host: Text
    port: Port = 5432
    database: Text
    user: Text
    password_file: Text | None = None
    top_statements: Annotated[int, Field(ge=1, le=1000)] = 50


class LogsSection(Section):
    root: Text
    state_file: Text


class ProbeSection(Section):
    url: HttpUrl
    service: Name
    colour: Name | None = None
    timeout: Seconds = 2.0
    health_json: bool = False


class ColourSection(Section):
    url: HttpUrl
    one_of: Annotated[Names, Field(min_length=1)]
    timeout: Seconds = 2.0


class ScrapeSection(Section):
    timeout: Seconds = 5.0

"""The sections for what is asked over the network by address: modules, probes, nginx.

Rule: as `exporter/config_schema.py`; each section also says which target it makes.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from exporter.config_schema import HttpUrl, Name, Seconds, Section, Text, sequence
from exporter.targets import Module, NginxServer, ProbeTarget

_SIZES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20}
_SIZE = re.compile(r"(\d{1,9})(B|KiB|MiB)")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_JSON_PATH = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+){0,9}")
# A default port would hide a forgotten one.
_BARE_SCHEMES = ("tcp", "tls")


def _size(value: object) -> int:
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None or not 0 < int(match[1]) * _SIZES[match[2]] <= 64 << 20:
        raise ValueError("must be a size such as 64KiB or 1MiB, at most 64MiB")
    return int(match[1]) * _SIZES[match[2]]


def _expression(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from error
    return value


def _header(value: str) -> str:
    if not _HEADER.fullmatch(value):
        raise ValueError("must be the name of a header")
    return value


def _value(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must be one line of printable text")
    return value


def _json_path(value: str) -> str:
    if not _JSON_PATH.fullmatch(value) or len(value) > 100:  # noqa: PLR2004  a label's value
        raise ValueError("must be a path such as database.pool.size, at most 10 deep")
    return value


def _probe_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        bare = parts.scheme in _BARE_SCHEMES and parts.port and parts.path in {"", "/"}
    except ValueError as error:
        raise ValueError(_URL_FORMS) from error
    if not parts.hostname or not (bare or parts.scheme in {"http", "https"}):
        raise ValueError(_URL_FORMS)
    return value


_URL_FORMS = "must be a URL such as http://host:port/path, tcp://host:port or tls://host:port"

Expression = Annotated[Text, AfterValidator(_expression)]
Header = Annotated[str, AfterValidator(_header)]
Status = Annotated[int, Field(ge=100, le=599)]
JsonPath = Annotated[str, AfterValidator(_json_path)]
JsonPaths = Annotated[tuple[JsonPath, ...], BeforeValidator(sequence), Field(max_length=20)]


class ModuleSection(Section):
    method: Literal["GET", "HEAD", "POST", "PUT", "OPTIONS"] = "GET"
    """The request's method."""
    headers: dict[Header, Annotated[str, AfterValidator(_value)]] = Field(default_factory=dict)
    """Headers to send."""
    header_files: dict[Header, Text] = Field(default_factory=dict)
    """Headers to send whose values are secrets, from files."""
    body: str = ""
    """The request's body."""
    expected_status: Annotated[tuple[Status, ...], BeforeValidator(sequence)] = ()
    """Good answers; empty means 200 to 299."""
    body_matches: Expression | None = None
    """The body must match this."""
    body_matches_not: Expression | None = None
    """The body must not match this."""
    header_matches: dict[Header, Expression] = Field(default_factory=dict)
    """The answer must have these headers, with matching values."""
    follow_redirects: bool = False
    """Follow them, or judge the first answer."""
    max_body_size: Annotated[int, BeforeValidator(_size)] = 1 << 20
    """A longer body fails the probe."""
    ca_file: Text | None = None
    """The authorities to trust instead of the system's."""
    server_name: Text | None = None
    """The name to ask for and to check in the certificate."""
    insecure_skip_verify: bool = False
    """Take any certificate."""

    def module(self, name: str) -> Module:
        told = dict(self) | {
            "headers": tuple(self.headers.items()),
            "header_files": tuple(self.header_files.items()),
            "header_matches": tuple(self.header_matches.items()),
        }
        return Module(name, max_body_bytes=told.pop("max_body_size"), **told)


class ProbeSection(Section):
    url: Annotated[str, AfterValidator(_probe_url)]
    """What is asked for."""
    service: Name
    """The service that it speaks for."""
    colour: Name | None = None
    """The colour of that service."""
    timeout: Seconds = 2.0
    """A slower answer fails the probe."""
    interval: Seconds | None = None
    """Probe this often in the background and show the last result, instead of in each scrape."""
    health_json: bool = False
    """Read the body as a health document with components."""
    json_values: Annotated[
        tuple[JsonPath, ...], BeforeValidator(sequence), Field(max_length=20)
    ] = ()
    """Numbers of the JSON body to emit, by their path."""
    module: Name | None = None
    """The way to probe, from `modules`."""

    def target(self, name: str, modules: Mapping[str, Module]) -> ProbeTarget:
        told = dict(self) | {"colour": self.colour or ""}
        module = modules[self.module] if self.module else Module()
        return ProbeTarget(name, **{**told, "module": module})


class NginxSection(Section):
    url: HttpUrl
    """Its stub_status page."""
    timeout: Seconds = 2.0
    """A slower answer counts as down."""

    def target(self, service: str) -> NginxServer:
        return NginxServer(service, **dict(self))

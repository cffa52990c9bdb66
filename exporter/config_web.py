"""The web configuration file, in the format that Prometheus' exporters share -> WebConfig.

Rule: what is not supported is refused, not ignored: whoever wrote it believes to be protected
by it.
"""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from exporter.config import read, validated
from exporter.config_schema import Section, Text
from exporter.settings import Invalid, Tls, WebSettings

_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|1\d|2\d|3[01])\$[./A-Za-z0-9]{53}")
# The headers that the format knows, and the only values that some of them may have.
Header = Literal[
    "Content-Security-Policy",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-XSS-Protection",
]
_HEADER_WORDS = {"X-Content-Type-Options": ("nosniff",), "X-Frame-Options": ("deny", "sameorigin")}
Version = Literal["TLS10", "TLS11", "TLS12", "TLS13"]


def _hash(value: str) -> str:
    if not _BCRYPT.fullmatch(value):
        raise ValueError("must be a bcrypt hash, as `htpasswd -nBC 10 NAME` makes it")
    return value


def _header_text(value: str) -> str:
    if not value.isascii() or not value.isprintable():
        raise ValueError("must be printable ASCII in one line")
    return value


def _headers(headers: dict[str, str]) -> dict[str, str]:
    for name, words in _HEADER_WORDS.items():
        if headers.get(name) not in {None, "", *words}:
            raise ValueError(f"{name} must be one of {', '.join(words)}")
    return headers


HeaderText = Annotated[str, AfterValidator(_header_text)]


class TlsSection(Section):
    cert_file: Text
    """The server's certificate; a relative path is relative to this file."""
    key_file: Text
    """Its key."""
    client_ca_file: Text | None = None
    """The authorities of clients' certificates."""
    client_auth_type: Literal[
        "NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"
    ] = "NoClientCert"
    """Whether a client must show a certificate."""
    min_version: Version = "TLS12"
    """The oldest version of TLS that is spoken."""
    max_version: Version = "TLS13"
    """The newest."""

    def tls(self, folder: Path) -> Tls:
        """Its files are named relative to the folder of the file."""
        named = (self.cert_file, self.key_file, self.client_ca_file)
        files = tuple(str(folder / name) for name in named if name is not None)
        return Tls(files, self.client_auth_type, self.min_version, self.max_version)


class HttpSection(Section):
    http2: bool = True
    """Taken for the format's sake: what answers here speaks HTTP/1.1, over TLS as well."""
    headers: Annotated[dict[Header, HeaderText], AfterValidator(_headers)] = Field(
        default_factory=dict
    )
    """Added to every answer: Content-Security-Policy, Strict-Transport-Security,
    X-Content-Type-Options, X-Frame-Options and X-XSS-Protection; an empty one is left out."""


class WebConfig(Section):
    tls_server_config: TlsSection | None = None
    """Serve HTTPS."""
    http_server_config: HttpSection = HttpSection()
    """How answers are sent."""
    basic_auth_users: dict[Text, Annotated[str, AfterValidator(_hash)]] = Field(
        default_factory=dict
    )
    """User names with bcrypt hashes of their passwords; none means no login."""


def load(path: Path) -> WebSettings:
    """Read and check one file. Errors: Invalid with every mistake found."""
    config = validated(read(path), path.name, WebConfig)
    tls = config.tls_server_config
    errors = _across(tls) if tls is not None else []
    if errors:
        raise Invalid([f"{path.name}: tls_server_config.{error}" for error in errors])
    return WebSettings(
        tls.tls(path.parent) if tls is not None else None,
        dict(config.basic_auth_users),
        {name: text for name, text in config.http_server_config.headers.items() if text},
    )


def _across(tls: TlsSection) -> list[str]:
    errors = []
    if (tls.client_auth_type == "NoClientCert") != (tls.client_ca_file is None):
        errors.append("client_ca_file: goes with a client_auth_type that verifies, and only then")
    if tls.min_version > tls.max_version:
        errors.append("min_version: is above max_version")
    return errors

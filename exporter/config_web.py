"""The web configuration file, in the format that Prometheus' exporters share -> WebConfig.

Rule: what is not supported is refused, not ignored: whoever wrote it believes to be protected
by it.
"""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from exporter.config import Invalid, read, validated
from exporter.config_schema import Section, Text

_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|1\d|2\d|3[01])\$[./A-Za-z0-9]{53}")
Version = Literal["TLS10", "TLS11", "TLS12", "TLS13"]


def _hash(value: str) -> str:
    if not _BCRYPT.fullmatch(value):
        raise ValueError("must be a bcrypt hash, as `htpasswd -nBC 10 NAME` makes it")
    return value


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

    def files(self, folder: Path) -> list[Path]:
        """Certificate, key, and the authority if there is one; relative to the file's folder."""
        named = (self.cert_file, self.key_file, self.client_ca_file)
        return [folder / name for name in named if name is not None]


class WebConfig(Section):
    tls_server_config: TlsSection | None = None
    """Serve HTTPS."""
    basic_auth_users: dict[Text, Annotated[str, AfterValidator(_hash)]] = Field(
        default_factory=dict
    )
    """User names with bcrypt hashes of their passwords; none means no login."""


def load(path: Path) -> WebConfig:
    """Read and check one file. Errors: Invalid with every mistake found."""
    config = validated(read(path), path.name, WebConfig)
    tls = config.tls_server_config
    if tls is None:
        return config
    errors = []
    if (tls.client_auth_type == "NoClientCert") != (tls.client_ca_file is None):
        errors.append("client_ca_file: goes with a client_auth_type that verifies, and only then")
    if tls.min_version > tls.max_version:
        errors.append("min_version: is above max_version")
    if errors:
        raise Invalid([f"{path.name}: tls_server_config.{error}" for error in errors])
    return config

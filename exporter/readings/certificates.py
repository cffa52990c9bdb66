"""X.509 certificates, from files and from handshakes."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is told of one certificate. Times are seconds since 1970, UTC."""

    subject_cn: str
    issuer_cn: str
    serial_number: int
    not_before: float
    not_after: float
    names: tuple[str, ...] = ()  # DNS names and IP addresses that it is made out to


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """read_at: the wall clock at the reading. errors: file path -> why it could not be read."""

    read_at: float
    found: Mapping[str, tuple[Certificate, ...]] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

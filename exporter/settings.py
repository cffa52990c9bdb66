"""What the configuration files say, as values: frozen, checked, and known to no schema library.

Rule: pure. `exporter/checked.py` makes them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.targets import Targets


class Invalid(Exception):
    """A file cannot be used. errors: one `file: path: sentence` each, in file order."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Settings:
    """exporter.yml."""

    listen: str
    host: str
    timeout_seconds: float
    targets: Targets

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


@dataclass(frozen=True, slots=True)
class Tls:
    """files: certificate, key, and the authority of clients if there is one."""

    files: tuple[str, ...]
    client_auth_type: str
    min_version: str
    max_version: str


@dataclass(frozen=True, slots=True)
class WebSettings:
    """The web configuration file. users: name -> bcrypt hash, empty: everybody may ask."""

    tls: Tls | None = None
    users: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

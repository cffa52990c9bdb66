"""One running copy of the demo: its names, its ports, its folder.

Rule: values only. Everything that a copy makes carries its `stack` prefix, so that a demo and
a test run side by side and each removes only what is its own.
"""

import os
from dataclasses import dataclass
from pathlib import Path

STATE = Path(os.environ.get("STACKMEDIC_STATE", "/var/lib/stackmedic-demo"))


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports on 127.0.0.1."""

    site: int
    exporter: int
    prometheus: int
    alertmanager: int
    remediator: int
    grafana: int
    pager: int


@dataclass(frozen=True, slots=True)
class World:
    """`stack` is the prefix of all names; `state` holds what all copies share."""

    stack: str
    ports: Ports
    state: Path = STATE

    @property
    def folder(self) -> Path:
        """What this copy alone has on disk: rendered configuration, secrets, the live colour."""
        return self.state / self.stack

    @property
    def config(self) -> Path:
        return self.folder / "config"

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets"

    @property
    def live(self) -> Path:
        """The folder with nginx's `colour.conf`; the remediator writes there."""
        return self.folder / "live"

    @property
    def ssl(self) -> Path:
        """The folder with the site's `cert.pem`."""
        return self.folder / "ssl"

    @property
    def renewed(self) -> Path:
        """Where a renewed certificate would lie."""
        return self.folder / "renewed"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def backups(self) -> Path:
        return self.folder / "backups"

    @property
    def network(self) -> str:
        return f"{self.stack}-prod"

    def url(self, port: int, path: str = "/") -> str:
        return f"http://127.0.0.1:{port}{path}"

    def container(self, key: str) -> str:
        """The engine's name of the container behind a topology key such as `backend-blue`."""
        named = {"postgres": "db-production"} | {
            key: f"{key}-production" for key in ("redis", "frontend", "nginx")
        }
        return f"{self.stack}-{named.get(key, key)}"


DEMO = World(
    "piano-tutor",
    Ports(
        site=8080,
        exporter=9180,
        prometheus=9090,
        alertmanager=9093,
        remediator=9181,
        grafana=3001,
        pager=8081,
    ),
)

"""What the containers are for: databases, caches, health endpoints, colours.

Rule: pure; by image, environment and names alone. A guess that is wrong is corrected in the
file, so a guess is never left out because it may be.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

DATABASES, CACHES = ("postgres", "postgis", "timescale"), ("redis", "valkey", "keydb")
WORKERS = ("worker", "celery", "beat", "queue", "cron", "scheduler")
EDGES = ("nginx", "traefik", "caddy", "haproxy", "frontend")


@dataclass(frozen=True, slots=True)
class Container:
    """`aliases` are its names on its networks; `health` is what its own check asks."""

    name: str
    project: str
    service: str
    image: str
    aliases: tuple[str, ...]
    ports: tuple[int, ...]
    health: tuple[int, str] | None  # port and path
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Found:
    """A service of the stack under its key. `colour` is None where it has no twin."""

    key: str
    container: Container
    colour: str | None

    @property
    def kind(self) -> str:
        """postgres, redis, edge or app."""
        image = self.container.image.lower()
        if any(word in image for word in DATABASES) or "POSTGRES_DB" in self.container.environment:
            return "postgres"
        if any(word in image for word in CACHES):
            return "redis"
        names = f"{image} {self.container.service}"
        return "edge" if any(word in names for word in EDGES) else "app"

    @property
    def host(self) -> str:
        """The name by which others reach it; the service's own may mean both of two twins."""
        container = self.container
        if self.colour is None and container.service in container.aliases:
            return container.service
        given = (a for a in container.aliases if a not in {container.service, container.name})
        return next(given, container.name)

    @property
    def tier(self) -> str:
        return "data" if self.kind in {"postgres", "redis"} else self.kind

    @property
    def url(self) -> str | None:
        """Its health endpoint, or a port that it listens on; None when neither is known."""
        if self.tier == "data" or any(word in self.container.service for word in WORKERS):
            return None  # its image may name a port of another program
        if self.container.health is not None:
            port, path = self.container.health
            return f"http://{self.host}:{port}{path}"
        if self.container.ports:
            return f"tcp://{self.host}:{self.container.ports[0]}"
        return None


def services(containers: Iterable[Container]) -> tuple[Found, ...]:
    """Keyed by the service's name; with the colour where two projects have it."""
    twins: dict[str, list[Container]] = defaultdict(list)
    for container in containers:
        twins[container.service].append(container)
    found = []
    for service, group in sorted(twins.items()):
        for container in group:
            colour = container.project.rpartition("-")[2] if len(group) > 1 else None
            key = service if colour is None else f"{service}-{colour}"
            found.append(Found(key.lower(), container, colour))
    return tuple(found)


def groups(found: Iterable[Found]) -> dict[str, list[str]]:
    """Services of several colours that can be asked whether they serve."""
    members: dict[str, list[str]] = defaultdict(list)
    for one in found:
        if one.colour is not None and one.url:
            members[one.container.service].append(one.key)
    return dict(members)

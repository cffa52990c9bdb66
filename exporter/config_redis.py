"""The sections `redis` and `celery` of exporter.yml, as pydantic reads them."""

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from exporter.config_schema import Name, Port, Seconds, Section, Text, sequence
from exporter.globs import pattern_of
from exporter.targets import CeleryBroker, CeleryWorker, KeyGroups, RedisServer, RedisTls

_LAST_DATABASE = 16383
Database = Annotated[int, Field(ge=0, le=_LAST_DATABASE)]


def _not_too_often(value: float) -> float:
    if value < 10:  # noqa: PLR2004  seconds: a walk is meant to be unnoticed
        raise ValueError("must be at least 10s")
    return value


def _steps(value: tuple[int, ...]) -> tuple[int, ...]:
    if 0 not in value or any(not 0 <= step <= 9 for step in value):  # noqa: PLR2004  Celery's priorities
        raise ValueError("must be priorities from 0 to 9, 0 among them")
    return tuple(sorted(set(value)))


def _glob(value: str) -> str:
    try:
        re.compile(pattern_of(value))
    except re.error as error:
        raise ValueError("must be a glob such as session:*") from error
    return value


class TlsSection(Section):
    ca_file: Text | None = None
    """The authorities to trust instead of the system's."""
    cert_file: Text | None = None
    """The client's certificate."""
    key_file: Text | None = None
    """The client's key."""
    server_name: Text | None = None
    """The name to check in the certificate."""
    insecure_skip_verify: bool = False
    """Take any certificate."""


class KeyGroupsSection(Section):
    groups: Annotated[
        dict[Name, Annotated[Text, AfterValidator(_glob)]], Field(min_length=1, max_length=50)
    ]
    """Each group with the glob of its keys."""
    databases: Annotated[
        tuple[Database, ...], BeforeValidator(sequence), Field(min_length=1, max_length=16)
    ] = (0,)
    """The databases to walk."""
    interval: Annotated[Seconds, AfterValidator(_not_too_often)] = 300.0
    """A walk begins this often, in the background."""
    memory_samples: Annotated[int, Field(ge=0, le=10_000)] = 0
    """So many keys of each group are asked for their size; 0 for none."""

    def target(self) -> KeyGroups:
        return KeyGroups(**{**dict(self), "groups": tuple(self.groups.items())})


class RedisSection(Section):
    host: Text
    """Host name or address."""
    port: Port = 6379
    """Its TCP port."""
    username: Text | None = None
    """The ACL user."""
    password_file: Text | None = None
    """Holds the password."""
    tls: TlsSection | None = None
    """Speak TLS."""
    modules: bool = False
    """Also read INFO of the modules."""
    latency_percentiles: bool = False
    """Also emit latency percentiles by command."""
    latency_histograms: bool = False
    """Also emit latency histograms by command."""
    key_groups: KeyGroupsSection | None = None
    """Count keys by pattern."""

    def target(self, service: str) -> RedisServer:
        parts = {
            "tls": RedisTls(**dict(self.tls)) if self.tls else None,
            "key_groups": self.key_groups.target() if self.key_groups else None,
        }
        return RedisServer(service=service, **{**dict(self), **parts})


class CelerySection(Section):
    redis: Name  # a key of the section `redis`
    """The key of its broker in `redis`."""
    db: Database = 0
    """The broker's database."""
    queues: Annotated[tuple[Text, ...], BeforeValidator(sequence), Field(max_length=100)] = ()
    """Queues to look at besides those that the broker knows."""
    # hostname of a worker that should be there -> its service
    workers: Annotated[dict[Text, Name], Field(max_length=100)] = Field(default_factory=dict)
    """Workers that should be there, each hostname with its service."""
    priority_steps: Annotated[
        tuple[int, ...], BeforeValidator(sequence), AfterValidator(_steps)
    ] = (0, 3, 6, 9)
    """The priorities that the workers use."""
    heartbeat_timeout: Seconds = 30.0
    """A worker that was not heard for this long is away."""
    key_prefix: str = ""
    """The broker's global key prefix."""

    def target(self, name: str, server: RedisServer) -> CeleryBroker:
        parts = {
            "workers": tuple(CeleryWorker(*pair) for pair in self.workers.items()),
        }
        fields = {key: value for key, value in dict(self).items() if key != "redis"}
        return CeleryBroker(name=name, server=server, **{**fields, **parts})

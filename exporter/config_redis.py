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
    cert_file: Text | None = None
    key_file: Text | None = None
    server_name: Text | None = None
    insecure_skip_verify: bool = False


class KeyGroupsSection(Section):
    groups: Annotated[
        dict[Name, Annotated[Text, AfterValidator(_glob)]], Field(min_length=1, max_length=50)
    ]
    databases: Annotated[
        tuple[Database, ...], BeforeValidator(sequence), Field(min_length=1, max_length=16)
    ] = (0,)
    interval: Annotated[Seconds, AfterValidator(_not_too_often)] = 300.0
    memory_samples: Annotated[int, Field(ge=0, le=10_000)] = 0

    def target(self) -> KeyGroups:
        return KeyGroups(**{**dict(self), "groups": tuple(self.groups.items())})


class RedisSection(Section):
    host: Text
    port: Port = 6379
    username: Text | None = None
    password_file: Text | None = None
    tls: TlsSection | None = None
    modules: bool = False
    latency_percentiles: bool = False
    latency_histograms: bool = False
    key_groups: KeyGroupsSection | None = None

    def target(self, service: str) -> RedisServer:
        parts = {
            "tls": RedisTls(**dict(self.tls)) if self.tls else None,
            "key_groups": self.key_groups.target() if self.key_groups else None,
        }
        return RedisServer(service=service, **{**dict(self), **parts})


class CelerySection(Section):
    redis: Name  # a key of the section `redis`
    db: Database = 0
    queues: Annotated[tuple[Text, ...], BeforeValidator(sequence), Field(max_length=100)] = ()
    # hostname of a worker that should be there -> its service
    workers: Annotated[dict[Text, Name], Field(max_length=100)] = Field(default_factory=dict)
    priority_steps: Annotated[
        tuple[int, ...], BeforeValidator(sequence), AfterValidator(_steps)
    ] = (0, 3, 6, 9)
    heartbeat_timeout: Seconds = 30.0
    key_prefix: str = ""

    def target(self, name: str, server: RedisServer) -> CeleryBroker:
        parts = {
            "workers": tuple(CeleryWorker(*pair) for pair in self.workers.items()),
        }
        fields = {key: value for key, value in dict(self).items() if key != "redis"}
        return CeleryBroker(name=name, server=server, **{**fields, **parts})

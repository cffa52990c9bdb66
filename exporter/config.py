"""exporter.yml -> Config.

Rule: checked whole and frozen. Unknown and doubled keys are refused, and every mistake is
reported at once as `file: path.to.key: sentence`, so nobody mends a file one error at a time.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from pydantic import Field, ValidationError

from exporter.config_edges import ModuleSection, NginxSection, ProbeSection
from exporter.config_files import (
    BackupSection,
    CertificateSection,
    DiskSection,
    TextfilesSection,
)
from exporter.config_logs import LogsSection
from exporter.config_redis import CelerySection, RedisSection
from exporter.config_schema import (
    ColourSection,
    DockerSection,
    Listen,
    Name,
    PostgresSection,
    ScrapeSection,
    Section,
    ServiceSection,
)
from exporter.settings import Invalid, Settings
from exporter.targets import (
    ColourSwitch,
    Database,
    Engine,
    Module,
    Service,
    Targets,
)

S = TypeVar("S", bound=Section)


class Config(Section):
    listen: Listen = "0.0.0.0:9180"
    """Where it listens."""
    host: Name | None = None
    """Tells the series of several hosts apart, as the label `host`."""
    services: dict[Name, ServiceSection] = Field(default_factory=dict)
    """What should exist; the keys are the label `service` everywhere."""
    docker: DockerSection | None = None
    """The engine whose containers are looked at."""
    postgres: dict[Name, PostgresSection] = Field(default_factory=dict)
    """Postgres servers by service."""
    redis: dict[Name, RedisSection] = Field(default_factory=dict)
    """Redis servers by service."""
    celery: dict[Name, CelerySection] = Field(default_factory=dict)
    """Celery brokers, read through a Redis above."""
    logs: LogsSection | None = None
    """The engine's log files, whose lines are counted by level."""
    modules: dict[Name, ModuleSection] = Field(default_factory=dict)
    """Ways to probe, by name, for probes to share."""
    probes: dict[Name, ProbeSection] = Field(default_factory=dict)
    """Health endpoints by name."""
    nginx: dict[Name, NginxSection] = Field(default_factory=dict)
    """Status pages of nginx (stub_status), by service."""
    certificates: dict[Name, CertificateSection] = Field(default_factory=dict)
    """Certificate files by name."""
    disks: dict[Name, DiskSection] = Field(default_factory=dict)
    """File systems by name."""
    backups: dict[Name, BackupSection] = Field(default_factory=dict)
    """Backup folders by name."""
    textfiles: TextfilesSection | None = None
    """A folder of *.prom files that other programs write."""
    colours: dict[Name, ColourSection] = Field(default_factory=dict)
    """Blue/green switches by service."""
    scrape: ScrapeSection = ScrapeSection()
    """Limits of one scrape."""

    def settings(self) -> Settings:
        return Settings(self.listen, self.host or "", self.scrape.timeout, self.targets())

    def targets(self) -> Targets:
        engine = self._engine()
        modules = {"http_2xx": Module()} | {k: m.module(k) for k, m in self.modules.items()}
        return Targets(
            engine=engine,
            databases=tuple(
                Database(service=key, **dict(section)) for key, section in self.postgres.items()
            ),
            redis_servers=tuple(section.target(key) for key, section in self.redis.items()),
            celery_brokers=tuple(
                section.target(key, self.redis[section.redis].target(section.redis))
                for key, section in self.celery.items()
            ),
            logs=self.logs.target(engine) if self.logs and engine else None,
            probes=tuple(section.target(key, modules) for key, section in self.probes.items()),
            modules=tuple(modules.values()),
            nginx_servers=tuple(section.target(key) for key, section in self.nginx.items()),
            certificates=tuple(section.target() for section in self.certificates.values()),
            disks=tuple(section.target() for section in self.disks.values()),
            backups=tuple(section.target(key) for key, section in self.backups.items()),
            textfiles=self.textfiles.target() if self.textfiles else None,
            colours=tuple(
                ColourSwitch(service=key, **dict(section)) for key, section in self.colours.items()
            ),
        )

    def _engine(self) -> Engine | None:
        if self.docker is None:
            return None
        services = tuple(Service(key, **dict(s)) for key, s in self.services.items())
        return Engine(services=services, **dict(self.docker))


def load(path: Path) -> Config:
    """Read and check one file.

    Errors: Invalid with every mistake found, also for a file that cannot be read.
    """
    return parse(read(path), path.name)


def read(path: Path) -> str:
    """Errors: Invalid."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid([f"{path.name}: cannot be read: {error}"]) from error


def parse(text: str, file: str) -> Config:
    """Check the text of a configuration. Pure; errors as in load."""
    config = validated(text, file, Config)
    errors = [f"{file}: {sentence}" for sentence in _across(config)]
    if errors:
        raise Invalid(errors)
    return config


def validated(text: str, file: str, model: type[S]) -> S:
    """Each value by itself. Pure; errors as in load."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Invalid([f"{file}: {_yaml_sentence(error)}"]) from error
    errors = [
        f"{file}: {path}: is written twice, again in line {line}" for path, line in _doubled(node)
    ]
    if not isinstance(data, dict):
        raise Invalid([f"{file}: must be a mapping of sections"])
    try:
        found = model.model_validate(data)
    except ValidationError as error:
        errors += [f"{file}: {sentence}" for sentence in _sentences(error)]
        raise Invalid(errors) from error
    if errors:
        raise Invalid(errors)
    return found


def _across(config: Config) -> Iterator[str]:
    """Mistakes that only show when sections are read together."""
    yield from _modules(config)
    yield from _brokers(config)
    if config.docker is None:
        if config.services:
            yield "services: need the docker section, which says where to look for them"
        if config.logs is not None:
            yield "logs: need the docker section, which names the containers"
        return
    for key, service in config.services.items():
        if config.docker.projects and service.project not in config.docker.projects:
            yield f"services.{key}.project: {service.project!r} is not one of docker.projects"


def _brokers(config: Config) -> Iterator[str]:
    for key, broker in config.celery.items():
        if broker.redis not in config.redis:
            yield f"celery.{key}.redis: {broker.redis!r} is not one of redis"


def _modules(config: Config) -> Iterator[str]:
    for key, probe in config.probes.items():
        if probe.module is not None and probe.module not in {"http_2xx", *config.modules}:
            yield f"probes.{key}.module: {probe.module!r} is not one of modules"
        if not probe.url.startswith("http") and (probe.health_json or probe.json_values):
            yield f"probes.{key}: a tcp or tls probe has no body to look into"
        if probe.interval is not None and probe.interval < probe.timeout:
            yield f"probes.{key}.interval: must not be shorter than timeout"


def _doubled(node: yaml.Node | None, path: str = "") -> Iterator[tuple[str, int]]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            here = f"{path}.{key.value}" if path else str(key.value)
            if str(key.value) in seen:
                yield here, key.start_mark.line + 1
            seen.add(str(key.value))
            yield from _doubled(value, here)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _doubled(value, f"{path}.{index}")


def _yaml_sentence(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return f"line {mark.line + 1}: is not YAML: {problem}" if mark else f"is not YAML: {problem}"


_SENTENCES = {
    "missing": "is required",
    "extra_forbidden": "is not a known key",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "tuple_type": "must be a list",
    "too_short": "must not be empty",
    "too_long": "is too long",
}


def _sentences(error: ValidationError) -> Iterator[str]:
    for item in error.errors(include_url=False):
        path = ".".join(str(part) for part in item["loc"] if part != "[key]")
        context = cast("Mapping[str, Any]", item.get("ctx") or {})
        if item["type"] == "value_error":
            sentence = str(context["error"])
        elif item["type"] == "literal_error":
            sentence = f"must be one of {context['expected']}"
        elif item["type"] in {"greater_than_equal", "less_than_equal"}:
            sentence = "must be at " + (
                f"least {context['ge']}" if "ge" in context else f"most {context['le']}"
            )
        else:
            sentence = _SENTENCES.get(item["type"], item["msg"])
        yield f"{path}: {sentence}"

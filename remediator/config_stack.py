"""The parts of a target that only some actions need: warmer, certificate, maintenance, logs.

Rule: the sections, what they become, and what they must agree with, for these parts only;
`config_schema.py` and `config.py` have the rest.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Protocol

from pydantic import AfterValidator, Field

from remediator.config_values import HttpUrl, Listen, Name, Path, Positive, Section
from remediator.topology import (
    CacheWarmer,
    CertificatePlace,
    MaintenancePage,
    RotatedLogs,
    Target,
)


class CacheWarmerSection(Section):
    url: HttpUrl
    """Gets a POST; a status of 2xx means that the cache is warm."""
    token_file: Path | None = None
    """Holds a bearer token for it."""


class PairSection(Section):
    cert: Path
    """The certificate with its chain, PEM."""
    key: Path
    """The private key, PEM, without a passphrase."""


class CertificateSection(Section):
    source: PairSection
    """Where whatever renews certificates leaves the renewed pair."""
    cert: Path
    """The certificate that nginx reads; its folder must be mounted, not the file."""
    key: Path
    """The key that nginx reads."""
    names: Annotated[list[str], Field(min_length=1)]
    """The host names that a new certificate must cover."""
    nginx: Name
    """The topology key of the nginx that serves it."""
    served: Listen
    """Where nginx serves it, to see that it does."""


class MaintenanceSection(Section):
    file: Path
    """The include of nginx that turns the page on; it is there only while it is on."""
    nginx: Name
    """The topology key of the nginx that reads it."""
    url: HttpUrl
    """Answers 503 with the header `X-Maintenance: on` while the page is on; best without asking
    another service."""


def _narrow(pattern: str) -> str:
    if "/" in pattern or not any(c.isalnum() for c in pattern) or pattern in {".", ".."}:
        raise ValueError("must be a pattern of file names, with some plain text, without /")
    return pattern


class RotatedLogsSection(Section):
    folder: Path
    """Only files right in this folder are looked at; links are never followed."""
    pattern: Annotated[str, AfterValidator(_narrow)]
    """The names of rotated files, such as `*.log.*.gz`; never those still written."""
    min_age: Annotated[Positive, Field(ge=3600)] = 7 * 86400.0
    """A file must be unchanged for this long."""
    keep: Annotated[int, Field(ge=1)] = 3
    """The newest files that stay, whatever their age."""


class StackSection(Section):
    """What only the actions on the stack need."""

    cache_warmer: CacheWarmerSection | None = None
    """For the action that warms the cache."""
    certificate: CertificateSection | None = None
    """For the action that installs a renewed certificate."""
    maintenance: MaintenanceSection | None = None
    """For the actions that turn the maintenance page on and off."""
    rotated_logs: RotatedLogsSection | None = None
    """For the action that deletes old log files."""


def with_stack(
    target: Target, section: StackSection, containers: Mapping[str, str | None]
) -> Target:
    """`target` with these parts; `containers` are those of the topology by key."""
    warmer, pair = section.cache_warmer, section.certificate
    page, logs = section.maintenance, section.rotated_logs
    return replace(
        target,
        cache_warmer=CacheWarmer(warmer.url, warmer.token_file) if warmer else None,
        certificate=_certificate(pair, containers) if pair else None,
        maintenance=MaintenancePage(
            page.file, containers.get(page.nginx) or page.nginx, page.url
        ) if page else None,
        rotated_logs=RotatedLogs(
            logs.folder, logs.pattern, logs.min_age, logs.keep
        ) if logs else None,
    )  # fmt: skip


def _certificate(
    section: CertificateSection, containers: Mapping[str, str | None]
) -> CertificatePlace:
    host, _, port = section.served.rpartition(":")
    return CertificatePlace(
        source_cert=section.source.cert,
        source_key=section.source.key,
        cert=section.cert,
        key=section.key,
        names=tuple(section.names),
        nginx_container=containers.get(section.nginx) or section.nginx,
        served_host=host,
        served_port=int(port),
    )


# -- what must agree ----------------------------------------------------------------------

NEEDS: Mapping[str, str] = {
    "warm_cache": "cache_warmer",
    "install_certificate": "certificate",
    "maintenance_on": "maintenance",
    "maintenance_off": "maintenance",
    "prune_logs": "rotated_logs",
}


class Place(Protocol):
    """What is asked of a target's section; `config_schema.TargetSection` is the real one."""

    @property
    def tier(self) -> str: ...
    @property
    def container(self) -> str | None: ...
    @property
    def switch(self) -> object: ...
    @property
    def certificate(self) -> CertificateSection | None: ...
    @property
    def maintenance(self) -> MaintenanceSection | None: ...


class Doing(Protocol):
    """What is asked of a step's section."""

    @property
    def action(self) -> str: ...
    @property
    def with_(self) -> Mapping[str, object]: ...


Found = Iterator[tuple[str, str]]
"""Mistakes: the path in the file and the problem."""


def unknown_nginx(targets: Mapping[str, Place], keys: set[str]) -> Found:
    for key, target in targets.items():
        for part in ("certificate", "maintenance"):
            section = getattr(target, part)
            if section is not None and section.nginx not in keys:
                problem = f"{section.nginx!r} is not a key of the topology"
                yield f"topology.{key}.{part}.nginx", problem


def unfit_step(
    step: Doing, where: str, key: str | None, targets: Mapping[str, Place], keys: set[str]
) -> Found:
    """A step whose target lacks what it needs, or that restarts what it may not."""
    part, target = NEEDS.get(step.action), targets.get(key or "")
    if part and target is not None and getattr(target, part) is None:
        yield f"{where}.action", f"{step.action} needs topology.{key}.{part}"
    if step.action != "restart_services":
        return
    for index, name in enumerate(listed_services(step)):
        path = f"{where}.with.services[{index}]"
        if name not in keys:
            yield path, f"{name!r} is not a key of the topology"
        elif name in targets:
            yield from ((path, problem) for problem in _not_to_restart(name, targets[name]))


def _not_to_restart(name: str, target: Place) -> Iterator[str]:
    if target.tier == "data":
        yield f"{name!r} is of tier data, which is never restarted together with others"
    elif target.container is None and target.switch is None:
        yield f"{name!r} has neither a container nor colours"


def listed_services(step: Doing) -> list[str]:
    """The topology keys that a restart of several names, well formed or not."""
    services = step.with_.get("services") if step.action == "restart_services" else None
    return (
        [name for name in services if isinstance(name, str)] if isinstance(services, list) else []
    )

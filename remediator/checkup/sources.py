"""Which files are looked at: those that are given, or those that stand where they are shipped.

Rule: a file that nobody named and that is not there is unchecked; one that was named must be.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import httpx

from remediator.checkup.documents import Marked, Unreadable, read

_ROW = re.compile(r"^\| `([a-zA-Z_:][\w:]*)` \| (counter|gauge|histogram|summary) \|", re.MULTILINE)
_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{| )", re.MULTILINE)
_TIMEOUT_SECONDS = 10.0

# Beside the configuration, then as in the repository.
SHIPPED = {
    "exporter": ("exporter.yml", "../exporter/exporter.yml"),
    "rules": ("rules", "../alert_rules/rules"),
    "prometheus": ("prometheus.yml", "../alert_rules/prometheus.yml"),
    "alertmanager": ("alertmanager.yml", "../alert_rules/alertmanager.yml"),
    "dashboards": ("dashboards", "../grafana/dashboards"),
    "pages": ("runbooks", "../docs/runbooks"),
    "metrics": ("metrics.md", "../docs/metrics.md"),
    "oncall": ("oncall.yml", "../alert_rules/oncall.yml"),
    "accounts": ("accounts.yml", "console/accounts.yml", "../console/accounts.yml"),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of Prometheus; `alert` is empty for a recording rule."""

    at: Marked
    alert: str
    record: str
    expr: str

    @property
    def remediation(self) -> str:
        """The entry that it names, empty when it is left to humans."""
        named = self.at.get("labels", "remediation").text
        return "" if named == "manual" else named


@dataclass(frozen=True, slots=True)
class Sources:
    """The documents; None, or empty, where there is nothing to look at."""

    now: datetime
    config: Marked
    profile: Marked | None = None
    exporter: Marked | None = None
    prometheus: Marked | None = None
    alertmanager: Marked | None = None
    rules: tuple[Rule, ...] = ()
    dashboards: tuple[Marked, ...] = ()
    pages: frozenset[str] | None = None
    metrics: frozenset[str] | None = None
    oncall: Marked | None = None
    accounts: Path | None = None  # its text may hold a password, and is shown to nobody
    unchecked: tuple[str, ...] = field(default=())

    def of(self, key: str, *deeper: str) -> Marked:
        """A top-level key of the configuration, or what the profile has in its place."""
        if self.profile is not None and key in self.profile.keys:
            return self.profile.get(key, *deeper)
        return self.config.get(key, *deeper)

    @property
    def alerts(self) -> tuple[Rule, ...]:
        return tuple(rule for rule in self.rules if rule.alert)

    @property
    def entries(self) -> dict[str, Marked]:
        """The runbook by id."""
        return {entry.get("id").text: entry for entry in self.of("runbooks").each}


def gather(config: Path, profile: Path | None, given: dict[str, str], now: datetime) -> Sources:
    """`given`: by the keys of SHIPPED, what the caller names. Errors: Unreadable."""
    document = read(config)
    if not isinstance(document.value, dict):
        raise Unreadable(f"{config} must be a mapping of keys to values")
    own = Sources(now, document, read(profile) if profile else None)
    configured = {"oncall": own.of("oncall_file"), "accounts": own.of("console", "accounts_file")}
    wanted = [key for key in SHIPPED if key != "accounts" or key in given or configured[key].text]
    found = {
        key: given[key]
        if key in given
        else _place(config, key, configured[key].text if key in configured else "")
        for key in wanted
    }
    files = {key: Path(place) for key, place in found.items() if place is not None}
    return replace(
        own,
        exporter=_one(files.get("exporter")),
        prometheus=_one(files.get("prometheus")),
        alertmanager=_one(files.get("alertmanager")),
        rules=tuple(_rules(files.get("rules"))),
        dashboards=tuple(read(path) for path in _all(files.get("dashboards"), "*.json")),
        pages=_pages(files.get("pages")),
        metrics=_metrics(found["metrics"]),
        oncall=_one(files.get("oncall")),
        accounts=_kept(files.get("accounts")),
        unchecked=tuple(key for key, place in found.items() if place is None),
    )


def _place(config: Path, key: str, configured: str) -> str | None:
    """`configured`: where it lies for the remediator, which may be in a container."""
    places = [Path(configured)] if configured else []
    places += [Path(os.path.normpath(config.parent / other)) for other in SHIPPED[key]]
    return next((str(place) for place in places if place.exists()), None)


def _kept(path: Path | None) -> Path | None:
    if path is not None and not path.is_file():
        raise Unreadable(f"{path} is not a file")
    return path


def _one(path: Path | None) -> Marked | None:
    return None if path is None else read(path)


def _all(path: Path | None, pattern: str) -> list[Path]:
    if path is None:
        return []
    found = sorted(path.glob(pattern)) if path.is_dir() else [path]
    if not found:
        raise Unreadable(f"{path} holds no {pattern}")
    return found


def _rules(path: Path | None) -> Iterator[Rule]:
    for file in _all(path, "*.yml"):
        for group in read(file).get("groups").each:
            for rule in group.get("rules").each:
                yield Rule(
                    rule, rule.get("alert").text, rule.get("record").text, rule.get("expr").text
                )


def _pages(path: Path | None) -> frozenset[str] | None:
    if path is None:
        return None
    if not path.is_dir():
        raise Unreadable(f"{path} is not a folder of runbook pages")
    return frozenset(page.stem for page in path.glob("*.md"))


def _metrics(place: str | None) -> frozenset[str] | None:
    """From docs/metrics.md, or what a /metrics page exposes now."""
    if place is None:
        return None
    if place.startswith(("http://", "https://")):
        try:
            answer = httpx.get(place, timeout=_TIMEOUT_SECONDS, trust_env=False).raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unreadable(f"{place} cannot be asked: {error!r}") from error
        return frozenset(_SAMPLE.findall(answer.text))
    try:
        rows = _ROW.findall(Path(place).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise Unreadable(f"{place} cannot be read: {error}") from error
    parts = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}
    return frozenset(name + part for name, kind in rows for part in parts.get(kind, ("",)))

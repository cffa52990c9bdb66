"""The runbook's two numbers, from the file that comes with the program or alert_rules' own.

Rule: all that are judged by, each with both numbers; nothing is judged by half a threshold.
"""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from remediator.reports.rows import Bounds, Thresholds

RULES: Mapping[str, str] = {
    "cpu": "HighCpu",
    "memory": "HighMemory",
    "disk": "DiskAlmostFull",
    "errors_24h": "Errors24hHigh",
    "redis_memory": "RedisMemoryHigh",
    "cache_hits": "CacheHitRateLow",
}
"""What is judged, by the alert whose numbers are taken."""


class BadThresholds(Exception):
    """The sentence says which file and what is wrong."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="ignore")

    rule: str
    expected: float | None = None
    alert: float | None = None


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore")

    thresholds: list[_Entry]


def load_thresholds(path: Path | None) -> Thresholds:
    """None: those that come with the program. Errors: BadThresholds."""
    try:
        source = files("remediator.reports").joinpath("thresholds.yml") if path is None else path
        document = yaml.safe_load(source.read_text(encoding="utf-8"))
        entries = _File.model_validate(document).thresholds
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        raise BadThresholds(f"{path}: {' '.join(str(error).split())[:500]}") from error
    bounds = {
        entry.rule: Bounds(entry.expected, entry.alert)
        for entry in entries
        if entry.expected is not None and entry.alert is not None
    }
    missing = sorted(set(RULES.values()) - set(bounds))
    if missing:
        raise BadThresholds(f"{path}: expected and alert are missing of {', '.join(missing)}")
    return {name: bounds[rule] for name, rule in RULES.items()}

"""The runbook's two numbers, from the file that comes with the program or another of its shape.

Rule: all of them, each with both numbers; nothing is judged by half a threshold.
"""

from importlib.resources import files
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from remediator.reports.rows import Bounds, Thresholds


class BadThresholds(Exception):
    """The sentence says which file and what is wrong."""


class _Pair(BaseModel):
    model_config = ConfigDict(extra="ignore")

    expected: float
    alert: float


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore")

    cpu: _Pair
    memory: _Pair
    disk: _Pair
    errors_24h: _Pair
    redis_memory: _Pair
    cache_hits: _Pair


def load_thresholds(path: Path | None) -> Thresholds:
    """None: those that come with the program. Errors: BadThresholds."""
    try:
        source = files("remediator.reports").joinpath("thresholds.yml") if path is None else path
        document = yaml.safe_load(source.read_text(encoding="utf-8"))
        found = _File.model_validate(document)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        raise BadThresholds(f"{path}: {' '.join(str(error).split())[:500]}") from error
    return {name: Bounds(**pair) for name, pair in found.model_dump().items()}

"""pg_settings_<name>: every number and switch of the server's configuration, in base units.

Rule: pure; the name carries the unit, as postgres_exporter has it. What cannot be understood
is absent.
"""

import re
from functools import lru_cache

from exporter.families.metric import Metric, Row, gauge
from exporter.families.postgres.shape import SERVICE
from exporter.readings import Setting

_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}
_UNIT = re.compile(r"(\d*)([A-Za-z]+)")
_NOT_A_NAME = re.compile(r"[^a-zA-Z0-9_]")


@lru_cache(maxsize=64)
def families(service: str, settings: tuple[Setting, ...]) -> list[Row]:
    found = [pair for pair in map(metric_of, settings) if pair is not None]
    metrics, numbers = zip(*found, strict=True) if found else ((), ())
    return [Row(metrics, (service,), numbers)]


def metric_of(setting: Setting) -> tuple[Metric, float] | None:
    number = _number(setting)
    if number is None:
        return None
    unit, factor = _unit(setting.unit)
    if unit is None:
        return None
    # -1 is a word for off or any, not an amount.
    value = number if number == -1 else number * factor
    name = _NOT_A_NAME.sub("_", setting.name) + (f"_{unit}" if unit else "")
    converted = f", in {unit}" if unit else ""
    return gauge(
        f"pg_settings_{name}", f"Server parameter {setting.name}{converted}.", SERVICE
    ), value


def _number(setting: Setting) -> float | None:
    if setting.kind == "bool":
        return 1.0 if setting.text == "on" else 0.0
    try:
        number = float(setting.text)
    except ValueError:
        return None
    return int(number) if number.is_integer() else number


def _unit(unit: str) -> tuple[str | None, float]:
    """The base unit, "" for none, and the factor to it; None for a unit that is not known."""
    if not unit:
        return "", 1
    match = _UNIT.fullmatch(unit)
    if match and match[2] in _SECONDS:
        return "seconds", _SECONDS[match[2]] * int(match[1] or 1)
    if match and match[2] in _BYTES:
        return "bytes", _BYTES[match[2]] * int(match[1] or 1)
    return None, 1

"""Which series and services a PromQL expression asks for, without a parser.

Rule: pure; strings, selectors and keywords are cut away, and what is left is a name.
"""

import re
from collections.abc import Iterator

_STRING = r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`'
_NOT_NAMES = (
    re.compile(_STRING),
    re.compile(r"#[^\n]*"),
    re.compile(r"\{[^}]*\}"),
    re.compile(r"\[[^\]]*\]"),
    re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)"),
    re.compile(r"\b[0-9][0-9.]*(?:e[+-]?[0-9]+)?[a-z]*\b"),
    re.compile(r"\$[\w{}:]+"),
)
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?![a-zA-Z0-9_:]|\s*\()")
_SELECTED = re.compile(r'\b(\w+)\s*(=~|=)\s*"((?:[^"\\]|\\.)*)"')
_KEYWORDS = frozenset(
    {
        *("and", "or", "unless", "bool", "offset", "inf", "nan"),
        *("by", "without", "on", "ignoring", "group_left", "group_right"),
    }
)
_VARIABLE = re.compile(r"\$")
_ALWAYS = frozenset({"ALERTS", "ALERTS_FOR_STATE", "up"})
_OF_OTHERS = (
    *(
        "alertmanager_",
        "go_",
        "grafana_",
        "http_request",
        "net_",
        "pg_settings_",
        "process_",
        "prometheus_",
    ),
    *("promhttp_", "python_", "scrape_"),
)
"""What Prometheus, Alertmanager, client libraries and web applications say of themselves."""


def names(expr: str) -> frozenset[str]:
    for pattern in _NOT_NAMES:
        expr = pattern.sub(" ", expr)
    return frozenset(name for name in _NAME.findall(expr) if name.lower() not in _KEYWORDS)


def is_of_others(name: str) -> bool:
    return name in _ALWAYS or name.startswith(_OF_OTHERS)


def selected(expr: str, label: str) -> Iterator[re.Pattern[str]]:
    """What is selected by a label, each alternative by itself; not what a variable stands for."""
    for name, operator, value in _SELECTED.findall(expr):
        if name != label or _VARIABLE.search(value) or not value:
            continue
        for part in value.split("|") if operator == "=~" else [re.escape(value)]:
            try:
                yield re.compile(part)
            except re.error:
                continue  # a group with alternatives in it; Prometheus checks its own syntax

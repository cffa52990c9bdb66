"""A configuration file -> its mapping of keys, before anybody knows what they mean.

Rule: what YAML alone would take silently, a key written twice, is a mistake here.
"""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml
from typing_extensions import override

from remediator.config_mistakes import ConfigError, Mistake


def read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [Mistake("", f"cannot be read: {error}")]) from error
    return mapping(text, str(path))


def mapping(text: str, source: str) -> dict[str, Any]:
    try:
        raw = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - it is a SafeLoader
    except (yaml.YAMLError, ValueError) as error:  # the second for a date like 2026-02-30
        problem = " ".join(str(error).split())
        raise ConfigError(source, [Mistake("", f"is not YAML: {problem}")]) from error
    if not isinstance(raw, dict):
        raise ConfigError(source, [Mistake("", "must be a mapping of keys to values")])
    return raw


class _StrictLoader(yaml.SafeLoader):
    """A SafeLoader that refuses a key written twice; PyYAML alone keeps the last silently."""

    @override
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is written twice", key.start_mark
                )
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        return super().construct_mapping(node, deep)

"""YAML and JSON with the line of each value.

Rule: a value that is missing is Nothing, with the line where it would stand; so a check reads
on in a document of any shape.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

_PART = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Finding(NamedTuple):
    """Something that is wrong, and where. `line` 0: it is of no line."""

    file: str
    line: int
    sentence: str


class Unreadable(Exception):
    """A file that cannot be looked at: the sentence says which and why."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A value and its line. `value` is a dict or list of Marked, a scalar, or None."""

    file: str
    line: int
    value: Any

    def get(self, *keys: str) -> "Marked":
        """Nothing where a key is missing."""
        found = self
        for key in keys:
            value = found.value.get(key) if isinstance(found.value, dict) else None
            found = value if value is not None else Marked(self.file, found.line, None)
        return found

    @property
    def entries(self) -> Iterator[tuple[str, "Marked"]]:
        if isinstance(self.value, dict):
            yield from self.value.items()

    @property
    def each(self) -> Iterator["Marked"]:
        if isinstance(self.value, list):
            yield from self.value

    @property
    def text(self) -> str:
        """Empty for whatever is no text."""
        return self.value if isinstance(self.value, str) else ""

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(self.value) if isinstance(self.value, dict) else frozenset()

    def line_of(self, path: str) -> int:
        """Of a path as in `runbooks[0].steps[1].action`, or of what of it there is."""
        found = self
        for name, number in _PART.findall(path):
            if number and isinstance(found.value, list) and int(number) < len(found.value):
                found = found.value[int(number)]
            elif name and isinstance(found.value, dict) and name in found.value:
                found = found.value[name]
            elif name.isdigit() and isinstance(found.value, list) and int(name) < len(found.value):
                found = found.value[int(name)]
            else:
                break
        return found.line

    def finding(self, sentence: str) -> Finding:
        return Finding(self.file, self.line, sentence)


def read(path: Path) -> Marked:
    """Errors: Unreadable."""
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise Unreadable(f"{path} cannot be read: {error}") from error


def parse(text: str, file: str) -> Marked:
    """Errors: Unreadable."""
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return Marked(file, 1, None)
            return _marked(loader, node, file)
        finally:
            loader.dispose()
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # a date like 2026-02-30
        raise Unreadable(f"{file} is not YAML: {' '.join(str(error).split())}") from error


def _marked(loader: Any, node: yaml.Node, file: str) -> Marked:  # noqa: ANN401 - C or Python
    line = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        loader.flatten_mapping(node)
        values = ((key, _marked(loader, value, file)) for key, value in node.value)
        return Marked(file, line, {str(key.value): _at_key(key, value) for key, value in values})
    if isinstance(node, yaml.SequenceNode):
        return Marked(file, line, [_marked(loader, item, file) for item in node.value])
    return Marked(file, line, loader.construct_object(node))


def _at_key(key: yaml.Node, value: Marked) -> Marked:
    """A value stands where its key does: that is where people look for it."""
    return Marked(value.file, key.start_mark.line + 1, value.value)

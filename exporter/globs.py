"""Globs as Redis reads them, matched here and not by the server.

Rule: pure. One walk over the keys serves all groups, where MATCH would need one for each.
"""

import re
from collections.abc import Callable, Sequence

_LONGEST_KEY = 4096  # a longer one fits nothing: a glob must not cost more than a walk


def classifier(globs: Sequence[str]) -> Callable[[bytes], int]:
    """What tells a key's group: 1 for the first glob that fits, and so on; 0 for none."""
    # One alternation with one group a glob: lastindex says which it was.
    fits = re.compile(b"|".join(b"(%b)" % pattern_of(glob) for glob in globs), re.DOTALL).fullmatch

    def fit(key: bytes) -> int:
        match = fits(key) if len(key) <= _LONGEST_KEY else None
        return (match.lastindex or 0) if match else 0

    return fit


def pattern_of(glob: str) -> bytes:
    r"""A glob as Redis reads it (* ? [a-z] [^a] \x) as a regular expression. Pure."""
    found: list[str] = []
    rest = re.sub(r"\*+", "*", glob)
    while rest:
        bracket = re.match(r"\[(\^?)((?:\\.|[^\]\\])+)\]", rest, re.DOTALL)
        if bracket:
            inside = re.sub(r"\\(.)|([\[&~|^])", lambda m: re.escape(m[1] or m[2]), bracket[2])
            found.append(f"[{bracket[1]}{inside}]")
            rest = rest[bracket.end() :]
            continue
        if rest[0] == "\\" and len(rest) > 1:
            found.append(re.escape(rest[1]))
            rest = rest[2:]
            continue
        found.append({"*": ".*", "?": "."}.get(rest[0], re.escape(rest[0])))
        rest = rest[1:]
    return "".join(found).encode()


def escaped(text: str) -> str:
    """A glob that fits the text alone."""
    return re.sub(r"([*?\[\]\\])", r"\\\1", text)

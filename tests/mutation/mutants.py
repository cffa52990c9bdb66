"""Rules with one thing changed, and whether their promtool tests notice.

A mutant is a rule file in which one number, range, wait, operator, matcher, aggregation, label of
a grouping or severity of one rule is another, or left out. It is killed when a test that names the
rule fails; the shortest is asked first. The rules that have no part in a test are left out of it,
which makes a run fifty times as fast.
"""

import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Rule = dict[str, Any]
Document = dict[str, Any]

_TEXT = r'"(?:[^"\\]|\\.)*"'
_WORD = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABELS = r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)"
TOKEN = re.compile(
    rf"(?P<skip>{_TEXT}|{_LABELS}|\{{[^}}]*\}})"
    rf"|(?P<range>\[[^\]]*\])|(?P<offset>offset\s+\w+)"
    rf"|(?P<set>\b(?:and|or|unless)\b)|(?P<skip2>{_WORD})"
    rf"|(?P<number>\b[0-9][0-9.e]*\b)|(?P<compare>==|!=|>=|<=|>|<)|(?P<sign>[-+*/])"
)
MATCHER = re.compile(rf"(?P<label>\w+)\s*(?P<how>=~|!~|!=|=)\s*(?P<value>{_TEXT})(?P<next>,?)\s*")
MATCHED: Mapping[str, str] = {"=": "!=", "!=": "=", "=~": "!~", "!~": "=~"}
AGGREGATION = re.compile(r"\b(?:sum|avg|count|max|min)\b(?=\s*(?:by|without|\())")
AGGREGATED: Mapping[str, str] = {
    "sum": "max",
    "avg": "max",
    "count": "sum",
    "max": "min",
    "min": "max",
}
GROUPING = re.compile(r"\b(?:by|without|on|ignoring)\s*\((?P<labels>[^)]*)\)")
COMPARED: Mapping[str, tuple[str, ...]] = {
    "==": ("!=",),
    "!=": ("==",),
    ">": ("<",),
    "<": (">",),
    ">=": ("<",),
    "<=": (">",),
}
COMBINED: Mapping[str, tuple[str, ...]] = {
    "and": ("unless", "or"),
    "or": ("and",),
    "unless": ("and", "or"),
}
REVERSED: Mapping[str, str] = {"-": "+", "+": "-", "*": "/", "/": "*"}
UNITS: Mapping[str, int] = {"s": 1, "m": 60, "h": 3600, "d": 86400}
SEVERITIES = ("P0", "P1", "P2", "P3", "none")
TIMES, WAIT_WITHOUT = 4, "10m"


class Loader(yaml.SafeLoader):
    """`0x10` is eleven samples of 0 here, not 16."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:int"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"-?(?:0|[1-9][0-9]*)$"), list("-0123456789")
)


@dataclass(frozen=True)
class Mutant:
    file: str
    rule: str
    change: str  # as a human reads it
    whole: Document  # the rule file with the change

    def __str__(self) -> str:
        return f"{self.file}: {self.rule}: {self.change}"


def seconds(duration: str) -> int:
    return sum(int(n) * UNITS[unit] for n, unit in re.findall(r"(\d+)([smhd])", duration))


def name_of(rule: Rule) -> str:
    return str(rule.get("alert") or rule["record"])


def read(path: Path) -> Document:
    document: Document = yaml.load(path.read_text(), Loader)  # noqa: S506 - a SafeLoader
    return document


def rules_of(document: Document) -> Iterator[Rule]:
    for group in document["groups"]:
        yield from group["rules"]


# -- what is changed --------------------------------------------------------------------------


def mutants_of(file: str, document: Document) -> Iterator[Mutant]:
    for index, rule in enumerate(rules_of(document)):
        for change, changed in _changes(rule):
            whole = deepcopy(document)
            list(rules_of(whole))[index].update(changed)
            yield Mutant(file, name_of(rule), change, whole)


def _changes(rule: Rule) -> Iterator[tuple[str, Rule]]:
    expr = rule["expr"]
    for pattern, instead_of in (
        (TOKEN, _instead_of),
        (MATCHER, _matchers),
        (AGGREGATION, lambda found: [AGGREGATED[found[0]]]),
        (GROUPING, _groupings),
    ):
        for found in pattern.finditer(expr):
            for new in instead_of(found):
                changed = expr[: found.start()] + new + expr[found.end() :]
                line = expr.count("\n", 0, found.start()) + 1
                yield f"line {line}: {found[0].strip()} is {new or 'left out'}", {"expr": changed}
    if "alert" not in rule:
        return
    wait = seconds(rule["for"]) if "for" in rule else 0
    for new in ("0s", f"{3 * wait}s") if wait else (WAIT_WITHOUT,):
        yield f"for is {new}", {"for": new}
    if "keep_firing_for" in rule:
        for new in ("0s", f"{TIMES * seconds(rule['keep_firing_for'])}s"):
            yield f"keep_firing_for is {new}", {"keep_firing_for": new}
    severity = rule["labels"]["severity"]
    other = SEVERITIES[(SEVERITIES.index(severity) + 1) % len(SEVERITIES)]
    yield f"severity is {other}", {"labels": rule["labels"] | {"severity": other}}


def _instead_of(found: re.Match[str]) -> Iterable[str]:
    text = found[0]
    length = seconds(text)
    new: Iterable[str] = ()
    match found.lastgroup:
        case "number":
            new = _numbers(float(text))
        case "range":
            new = (f"[{length * TIMES}s]", f"[{length // TIMES}s]")
        case "offset":
            new = (f"offset {length * TIMES}s", f"offset {length // TIMES}s")
        case "compare":
            new = COMPARED[text]
        case "set":
            new = COMBINED[text]
        case "sign":
            new = (REVERSED[text],)
    return new


def _numbers(value: float) -> list[str]:
    return ["1", "-1"] if value == 0 else [f"{value * 2:g}", f"{value / 2:g}"]


def _matchers(found: re.Match[str]) -> Iterator[str]:
    """The other way round, left out, and without each of its alternatives."""
    label, how, value, rest = found.group("label", "how", "value", "next")
    yield f"{label}{MATCHED[how]}{value}{rest}"
    yield ""
    parts = value[1:-1].split("|")
    if "~" in how and len(parts) > 1 and "(" not in value:
        for part in parts:
            yield f'{label}{how}"{"|".join(other for other in parts if other != part)}"{rest}'


def _groupings(found: re.Match[str]) -> Iterator[str]:
    """Without each of its labels."""
    labels = [label.strip() for label in found["labels"].split(",") if label.strip()]
    for label in labels:
        yield found[0].replace(found["labels"], ", ".join(x for x in labels if x != label))


# -- who notices ------------------------------------------------------------------------------


class Suite:
    """The promtool tests of one file of rules."""

    def __init__(self, promtool: str, folder: Path, rules: Document, tests: Document) -> None:
        self._promtool = promtool
        self._folder = folder
        self._rules = rules
        self._tests = tests

    def notice(self, mutant: Mutant) -> bool:
        """False: every test passes as if nothing were changed."""
        concerned = self._needed_by(mutant.rule)
        asked = [(test, self._asked(test)) for test in self._tests["tests"]]
        tests = [(test, names) for test, names in asked if names & concerned]
        return any(
            not self._pass(_only(mutant.whole, self._used_by(names)), test)
            for test, names in sorted(tests, key=lambda pair: length(pair[0]))
        )

    def _asked(self, test: Document) -> set[str]:
        """The rules that a test asks for."""
        asked = [case["alertname"] for case in test.get("alert_rule_test", ())]
        asked += [case["expr"] for case in test.get("promql_expr_test", ())]
        text = " ".join(asked)
        patterns = re.findall(r'alertname=~"([^"]+)"', text)
        words = _words(text)
        names = {name_of(rule) for rule in rules_of(self._rules)}
        if re.search(r"\bALERTS\b(?!\{[^}]*alertname)", text):
            return names
        return {
            name for name in names if name in words or any(re.fullmatch(p, name) for p in patterns)
        }

    def _needed_by(self, rule: str) -> set[str]:
        """The rule, and every rule that uses what it records."""
        found = {rule}
        while (
            more := {name_of(r) for r in rules_of(self._rules) if _words(r["expr"]) & found} - found
        ):
            found |= more
        return found

    def _used_by(self, names: set[str]) -> set[str]:
        """The rules, and every rule whose record or alert they read."""
        found, todo = set[str](), names
        while todo:
            found |= todo
            used = [_words(r["expr"]) for r in rules_of(self._rules) if name_of(r) in todo]
            todo = set().union(*used) - found
        return found

    def _pass(self, rules: Document, test: Document) -> bool:
        (self._folder / "rules.yml").write_text(yaml.safe_dump(rules))
        path = self._folder / "tests.yml"
        path.write_text(
            yaml.safe_dump(self._tests | {"rule_files": ["rules.yml"], "tests": [test]})
        )
        done = subprocess.run(
            [self._promtool, "test", "rules", path], check=False, capture_output=True, timeout=120
        )
        return done.returncode == 0


def length(test: Document) -> int:
    """The seconds that it plays through; short tests are asked first."""
    cases = [*test.get("alert_rule_test", ()), *test.get("promql_expr_test", ())]
    return max(seconds(str(case["eval_time"])) for case in cases)


def _only(rules: Document, names: set[str]) -> Document:
    groups = [
        group | {"rules": [rule for rule in group["rules"] if name_of(rule) in names]}
        for group in rules["groups"]
    ]
    return {"groups": [group for group in groups if group["rules"]]}


def _words(text: str) -> set[str]:
    return set(re.findall(_WORD, text))

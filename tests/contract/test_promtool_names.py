"""`promtool check metrics` is content, apart from legacy names that are kept on purpose."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.exposition import Encoder
from exporter.families.metric import Kind, Metric

TESTS = Path(__file__).resolve().parents[1]
LEGACY: list[dict[str, str]] = yaml.safe_load(
    (TESTS / "contract" / "compatibility" / "legacy.yml").read_text()
)["legacy"]
READ, READ_WITH_COMPLAINTS = 0, 3
Complaint = tuple[str, str]


def complaints(promtool: str, body: bytes) -> set[Complaint]:
    """(metric, what promtool says of it). It must have read the whole body."""
    done = subprocess.run(
        [promtool, "check", "metrics"], input=body, capture_output=True, check=False
    )
    assert done.returncode in {READ, READ_WITH_COMPLAINTS}, done.stderr.decode()
    lines = (done.stdout + done.stderr).decode().splitlines()
    return {(name, said) for name, _, said in (line.partition(" ") for line in lines)}


def covers(entry: dict[str, str], complaint: Complaint) -> bool:
    name, said = complaint
    return bool(re.fullmatch(entry["names"], name)) and entry["says"] in said


@pytest.fixture(scope="module")
def found(tool: Callable[[str], str], exporter_declarations: list[Metric]) -> set[Complaint]:
    """One sample of every declared metric, as the encoder writes it, put to promtool."""
    parts: dict[Kind, tuple[str, ...]] = {
        Kind.HISTOGRAM: ("_sum", "_count"),
        Kind.SUMMARY: ("_sum", "_count"),
    }
    families: list[Any] = [
        metric.family([(("1",) * len(metric.labels), 1)], part)
        for metric in exporter_declarations
        for part in parts.get(metric.kind, ("",))
    ]
    done = Encoder().encode(families)
    assert done.dropped == 0
    return complaints(tool("promtool"), done.body)


def test_it_complains_of_the_documented_names_only(found: set[Complaint]) -> None:
    assert {c for c in found if not any(covers(entry, c) for entry in LEGACY)} == set()


def test_every_documented_exception_is_still_needed(found: set[Complaint]) -> None:
    unused = [e["names"] for e in LEGACY if not any(covers(e, complaint) for complaint in found)]

    assert unused == []


def test_it_says_nothing_else_of_the_golden_file(tool: Callable[[str], str]) -> None:
    golden = (TESTS / "golden" / "exporter" / "metrics.prom").read_bytes()
    said = complaints(tool("promtool"), golden)

    assert {c for c in said if not any(covers(entry, c) for entry in LEGACY)} == set()

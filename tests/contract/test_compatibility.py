"""What public rules and dashboards ask for is emitted, or refused with a reason.

The names in compatibility/sources/ are facts read from those projects at the commit given.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration import server_versions

FOLDER = Path(__file__).resolve().parent / "compatibility"
SOURCES = {path.stem: yaml.safe_load(path.read_text()) for path in FOLDER.glob("sources/*.yml")}
UNSUPPORTED = yaml.safe_load((FOLDER / "unsupported.yml").read_text())
REFUSED: dict[str, dict[str, str]] = UNSUPPORTED["names"]


@pytest.mark.parametrize("source", SOURCES.values(), ids=list(SOURCES))
def test_every_name_is_emitted_or_refused_with_a_reason(
    source: dict[str, Any], emitted: frozenset[str]
) -> None:
    assert set(source["names"]) - emitted - set(REFUSED) == set()


def test_nothing_is_refused_that_is_emitted_or_that_nobody_asks_for(
    emitted: frozenset[str],
) -> None:
    asked = {name for source in SOURCES.values() for name in source["names"]}

    assert set(REFUSED) & emitted == set()
    assert set(REFUSED) - asked == set()


def test_every_reason_is_from_the_list_and_every_reason_is_used() -> None:
    used = {entry["reason"] for entry in REFUSED.values()} | set(UNSUPPORTED["labels"].values())

    assert used == set(UNSUPPORTED["reasons"])


def test_what_is_offered_instead_is_emitted(emitted: frozenset[str]) -> None:
    assert {e["instead"] for e in REFUSED.values() if "instead" in e} - emitted == set()


@pytest.mark.parametrize("source", SOURCES.values(), ids=list(SOURCES))
def test_a_source_says_where_its_names_are_from(source: dict[str, Any]) -> None:
    assert source.keys() == {"title", "repository", "commit", "paths", "names"}
    assert source["names"] == sorted(set(source["names"]))


def test_the_servers_that_are_told_are_those_that_the_tests_start() -> None:
    told = yaml.safe_load((FOLDER / "servers.yml").read_text())["always"]
    started = [*server_versions.POSTGRES, *server_versions.REDIS]

    versions = {version for found in told.values() for version in found if "Debian" not in version}
    assert versions == {packed.version for packed in started}

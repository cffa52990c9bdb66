"""What is generated from the code is what is committed, and leaves no key without a sentence."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
GENERATED = ("metrics.md", "configuration.md", "compatibility.md")


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("docs")
    subprocess.run([sys.executable, REPO / "docs" / "generate.py", folder], check=True, cwd=REPO)
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize("name", GENERATED)
def test_the_committed_document_is_generated(name: str, generated: dict[str, str]) -> None:
    assert generated[name] == (REPO / "docs" / name).read_text(), "run `make docs`"


def test_every_key_has_a_sentence(generated: dict[str, str]) -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", generated["configuration.md"], re.MULTILINE)

    assert len(rows) > 50
    assert [key for key, sentence in rows if not sentence.endswith(".")] == []


def test_every_metric_says_what_it_is(generated: dict[str, str]) -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", generated["metrics.md"], re.MULTILINE)

    assert len(rows) > 200
    assert [name for name, text in rows if not text.strip()] == []

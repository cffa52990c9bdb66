"""The sizes and the layers that CONTRIBUTING.md promises."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
PROGRAMS = ("exporter", "remediator")
SOURCES = sorted(p for top in (*PROGRAMS, "demo") for p in (REPO / top).rglob("*.py"))
LONGEST_FILE = 400
LONGEST_FUNCTION = 50
BROAD_HANDLERS_PER_PROGRAM = 3


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text())
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(REPO)))
def test_files_and_functions_fit_on_a_screen(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    too_long = {
        f.name: f.end_lineno - f.lineno + 1
        for f in functions(path)
        if f.end_lineno is not None and f.end_lineno - f.lineno >= LONGEST_FUNCTION
    }

    assert lines <= LONGEST_FILE
    assert too_long == {}


def catches_everything(node: ast.AST) -> bool:
    return isinstance(node, ast.ExceptHandler) and (
        node.type is None
        or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"})
    )


@pytest.mark.parametrize("program", PROGRAMS)
def test_broad_handlers_stand_only_at_a_few_named_edges(program: str) -> None:
    found = [
        str(path.relative_to(REPO))
        for path in (REPO / program).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if catches_everything(node)
    ]

    assert len(found) <= BROAD_HANDLERS_PER_PROGRAM, found


def test_every_module_opens_with_its_job() -> None:
    silent = [
        str(path.relative_to(REPO))
        for path in SOURCES
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]

    assert silent == []


def test_a_wheel_holds_the_two_programs_and_nothing_else(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, REPO],
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", wheel], check=True, capture_output=True, text=True
    ).stdout.splitlines()[1:]

    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.split(" ")[0].endswith(".dist-info")} == set(PROGRAMS)

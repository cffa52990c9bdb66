"""What every tier shares: the tier's marker comes from its folder, tools from the PATH."""

import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
SERVER_TIERS = ("integration", "e2e")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden-update", action="store_true", help="rewrite the golden files")
    parser.addoption("--screenshots", help="the folder to keep pictures of the console in")
    parser.addoption("--histories", type=int, default=300, help="random histories to simulate")
    parser.addoption("--first-seed", type=int, default=0, help="the seed of the first of them")
    parser.addoption("--one-mutant-in", type=int, default=25, help="of the changed alert rules")
    parser.addoption(
        "--kills", type=int, default=25, help="how often the remediator is killed at random"
    )
    parser.addoption("--slow", action="store_true", help="also the tests that take minutes each")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        tier = item.path.relative_to(TESTS).parts[0]
        if tier in SERVER_TIERS:
            item.add_marker(tier)
    if not config.getoption("--slow"):
        config.hook.pytest_deselected(items=[i for i in items if i.get_closest_marker("slow")])
        items[:] = [item for item in items if not item.get_closest_marker("slow")]
    # The e2e stack loads both cores: it comes last, when nothing else measures or waits.
    items.sort(key=lambda item: item.path.relative_to(TESTS).parts[0] == "e2e")


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """A program that a test starts in this process may log as it does; the next test does not."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def golden_update(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--golden-update"))


@pytest.fixture
def screenshots(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    kept = request.config.getoption("--screenshots")
    return Path(kept) if kept else tmp_path


@pytest.fixture
def histories(request: pytest.FixtureRequest) -> range:
    first = request.config.getoption("--first-seed")
    return range(first, first + request.config.getoption("--histories"))


@pytest.fixture(scope="session")
def one_mutant_in(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--one-mutant-in"))


@pytest.fixture(scope="session")
def tool() -> Iterator[object]:
    """Find a program such as promtool, or say how to get it. Missing in CI is a failure."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            message = f"{name} is not on the PATH: run `make tools`, then use make to run tests"
            if os.environ.get("CI"):
                pytest.fail(message)
            pytest.skip(message)
        return path

    return find  # type: ignore[return-value]

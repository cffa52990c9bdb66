"""What holds for a journal in a file holds for one on a server: the same tests, on a real one."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from remediator.journal.postgres import PostgresDatabase
from remediator.topology import Target
from tests.builders import Loop
from tests.integration.edge_containers import needs_docker
from tests.integration.edge_journal import emptied, journal_server
from tests.unit.remediator import (
    test_approval,
    test_breaker,
    test_hold,
    test_intake,
    test_journal,
    test_killswitch,
    test_notices,
    test_pipeline,
    test_postmortem,
    test_pruning,
    test_run_orders,
    test_storm,
)

pytestmark = [pytest.mark.integration, needs_docker]

MODULES = (
    test_approval, test_breaker, test_hold, test_intake, test_journal, test_killswitch,
    test_notices, test_pipeline, test_postmortem, test_pruning, test_run_orders, test_storm,
)  # fmt: skip
OF_A_FILE = "_connection"
"""Whoever names it looks into a file, or breaks one."""


def of_any_journal(module: ModuleType) -> Iterator[tuple[str, object]]:
    prefix = module.__name__.rpartition(".")[2]
    for name, test in vars(module).items():
        if name.startswith("test_") and inspect.isfunction(test):
            parameters = inspect.signature(test).parameters
            if "loop" in parameters and OF_A_FILE not in inspect.getsource(test):
                yield f"{prefix}_{name.removeprefix('test_')}", test


globals().update({name: test for module in MODULES for name, test in of_any_journal(module)})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with journal_server(tmp_path_factory.mktemp("journal")) as server:
        yield server


@pytest.fixture
def loop(server: Target, tmp_path: Path) -> Iterator[Loop]:
    url = emptied(server)
    loop = Loop(tmp_path / "state", name="a", connect=lambda _: PostgresDatabase(url, "a"))
    yield loop
    loop.close()

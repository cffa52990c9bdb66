"""Every query of every dashboard, asked of the Prometheus of the running stack.

What only says something in trouble stands in tests/boards.py with its reason; the proof that it
does is tests/integration/test_dashboards_in_trouble.py.
"""

import time

import httpx
import pytest

from demo.faults import FAULTS, run_fault
from demo.world import World
from tests.boards import BOARDS, Asker, Board, marks, variables, wrong_with

# More calls of one statement than the table of slow ones asks for.
PRACTICES = 130
LIMIT_SECONDS = 180  # of a busy machine; a quiet one needs less than a rate's window
A_PRACTICE = {"user_id": 1, "lesson_id": 1, "notes_played": 100, "mistakes": 7}

each_board = pytest.mark.parametrize("board", BOARDS.values(), ids=list(BOARDS))


@pytest.fixture(scope="module")
def asker(world: World) -> Asker:
    """1. users; 2. a fault that is mended."""
    with httpx.Client(base_url=world.url(world.ports.site, ""), trust_env=False) as users:
        for _ in range(PRACTICES):
            users.get("/api/lessons")
            users.post("/api/practice", json=A_PRACTICE)
    run_fault(world, FAULTS[0])
    return Asker(
        world.url(world.ports.prometheus, ""),
        seconds=900,
        step=5,
        until=None,
        rate_interval="30s",
    )


@each_board
def test_every_panel_has_data_with_its_labels_in_its_unit(board: Board, asker: Asker) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while wrong := wrong_with(board, asker, in_trouble=False):
        assert time.monotonic() < deadline, "\n".join(wrong)
        time.sleep(1)


@each_board
def test_every_variable_has_values(board: Board, asker: Asker) -> None:
    for name, variable in variables(board).items():
        if variable["type"] == "query":
            assert asker.values_of(variable["query"]), name


@each_board
def test_what_was_done_and_what_paged_is_marked(board: Board, asker: Asker) -> None:
    for name, expr, labels in marks(board):
        found = asker.over_time(expr)
        assert found, name
        assert labels <= set().union(*(series["metric"] for series in found)), name

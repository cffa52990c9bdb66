"""Every query of every dashboard, asked of the Prometheus of the running stack.

What only says something in trouble stands in tests/boards.py with its reason; the proof that it
does is tests/integration/test_dashboards_in_trouble.py.
"""

import httpx
import pytest

from demo.faults import FAULTS, run_fault, until
from demo.world import World
from tests.boards import BOARDS, IN_TROUBLE, Asker, Board, faults, marks, queries, variables

# More calls of one statement than the table of slow ones asks for.
PRACTICES = 130
A_PRACTICE = {"user_id": 1, "lesson_id": 1, "notes_played": 100, "mistakes": 7}

each_board = pytest.mark.parametrize("board", BOARDS.values(), ids=list(BOARDS))


@pytest.fixture(scope="module")
def asker(world: World) -> Asker:
    """1. users; 2. a fault that is mended; 3. time for the slowest rate to have two samples."""
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


def wrong_with(board: Board, asker: Asker) -> list[str]:
    found: list[str] = []
    for asked in queries(board):
        if (asked.uid, asked.panel, asked.ref) not in IN_TROUBLE:
            answer = asker.now(asked.expr) if asked.at_once else asker.over_time(asked.expr)
            found += faults(asked, answer)
    return found


@each_board
def test_every_panel_has_data_with_its_labels_in_its_unit(board: Board, asker: Asker) -> None:
    last: list[str] = []

    def all_good() -> bool:
        last[:] = wrong_with(board, asker)
        return not last

    until_told(all_good, last)


def until_told(met: "Callable[[], bool]", last: list[str]) -> None:
    try:
        until(met, "every panel to have data", 60)
    except Exception as error:
        raise AssertionError("\n".join(last)) from error


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

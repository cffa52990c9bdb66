"""Which statements keep a series, and that `other` only grows."""

from hypothesis import given
from hypothesis import strategies as st

from exporter.collectors.statements import (
    HALF_LIFE_SECONDS,
    STAY_SECONDS,
    Chosen,
    TopStatements,
)
from exporter.readings import Counts


def rows(**seconds: float) -> dict[str, Counts]:
    return {name: (s, s, s) for name, s in seconds.items()}


def chosen(result: Chosen[str]) -> set[str]:
    return set(result.top)


def test_the_dearest_are_admitted_and_the_rest_is_other() -> None:
    top = TopStatements[str](limit=2)
    top.update(rows(a=10, b=5, c=1), now=0)
    result = top.update(rows(a=11, b=6, c=3), now=10)

    assert chosen(result) == {"a", "b"}
    assert result.other[1] == 2


def test_other_begins_at_zero_so_a_restart_makes_no_spike() -> None:
    assert TopStatements[str](limit=1).update(rows(a=10, b=5), now=0).other[1] == 0


def test_a_statement_that_turns_slow_waits_until_a_place_may_be_taken() -> None:
    top = TopStatements[str](limit=1)
    top.update(rows(a=100, b=0), now=0)
    assert chosen(top.update(rows(a=100, b=500), now=60)) == {"a"}

    assert chosen(top.update(rows(a=100, b=5000), now=STAY_SECONDS)) == {"b"}


def test_a_reset_counts_what_came_after_it() -> None:
    top = TopStatements[str](limit=1)
    top.update(rows(a=100, b=50), now=0)

    assert top.update(rows(a=100, b=3), now=10).other[1] == 3


def test_an_evicted_statement_gives_its_place_back() -> None:
    top = TopStatements[str](limit=1)
    top.update(rows(a=100, b=1), now=0)

    assert chosen(top.update(rows(b=2), now=1)) == {"b"}


def test_only_what_changed_is_as_good_as_all() -> None:
    top = TopStatements[str](limit=1)
    top.update(rows(a=100, b=5, c=1), now=0)

    result = top.update(rows(b=6), now=10, whole=False)
    assert result.top == rows(a=100)
    assert result.other == (1, 1, 1)
    assert chosen(top.update(rows(b=900), now=STAY_SECONDS, whole=False)) == {"b"}


def test_scores_stay_numbers_through_years() -> None:
    top = TopStatements[str](limit=1)
    top.update(rows(a=1, b=0), now=0)
    for year in range(1, 4):
        now = year * HALF_LIFE_SECONDS * 1e5
        top.update(rows(a=year, b=year * 1000), now=now)

    assert chosen(top.update(rows(a=4, b=4000), now=now + STAY_SECONDS)) == {"b"}


COUNTS = st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 1e6), max_size=6)


@given(st.lists(st.tuples(COUNTS, st.floats(0, 4000)), max_size=12), st.integers(1, 4))
def test_other_never_falls_and_the_limit_holds(
    steps: list[tuple[dict[str, float], float]], limit: int
) -> None:
    top = TopStatements[str](limit)
    now, before = 0.0, 0.0
    for counts, passed in steps:
        now += passed
        result = top.update(rows(**counts), now)

        assert result.other[1] >= before
        assert len(result.top) <= limit
        before = result.other[1]

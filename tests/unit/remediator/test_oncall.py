"""Turns, swaps and summer time: who is on call at an instant."""

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from remediator.config_mistakes import ConfigError
from remediator.config_oncall import load_oncall, parse_oncall
from remediator.oncall import BusinessHours, Rota, Stretch, Turn, instants, swapped, weekly
from remediator.oncall_intervals import Piece, pieces

REPO = Path(__file__).resolve().parents[3]
GOLDEN = REPO / "tests" / "golden" / "oncall"
ROME = ZoneInfo("Europe/Rome")


def rome(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ROME).astimezone(UTC)


def a_rota(*swaps: Turn, stretches: tuple[Stretch, ...] | None = None) -> Rota:
    stretches = stretches or (Stretch(date(2026, 1, 5), ("a", "b", "c")),)
    turns = weekly(stretches, date(2026, 4, 27), time(9), ROME)
    hours = BusinessHours((0, 1, 2, 3, 4), time(9), time(18), (date(2026, 1, 6),))
    names = {"a": "Team A", "b": "Team B", "c": "Team C"}
    return Rota(names, ROME, swapped(turns, swaps), hours)


def team(rota: Rota, text: str) -> str | None:
    turn = rota.turn(rome(text))
    return turn.team if turn else None


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("invalid-*.yml")), ids=lambda p: p.stem)
def test_each_mistake_is_named_with_its_path(path: Path, *, golden_update: bool) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_oncall(path.read_text(), "oncall.yml")

    message, expected = f"{caught.value}\n", path.with_suffix(".txt")
    if golden_update:
        expected.write_text(message)
    assert message == expected.read_text()


def test_a_good_file_is_a_rota() -> None:
    found = load_oncall(GOLDEN / "valid.yml")

    assert found.zone_name == "Europe/Rome"
    assert [turn.team for turn in found.rota.turns[:5]] == ["a", "b", "a", "b", "c"]
    assert found.rota.turns[1] == Turn(
        "b", rome("2026-01-06 18:00"), rome("2026-01-07 08:30"), "Epiphany"
    )
    assert found.rota.hours.holidays == (date(2026, 1, 6),)


def test_teams_take_turns_of_a_week() -> None:
    rota = a_rota()

    assert team(rota, "2026-01-05 08:59") is None
    assert team(rota, "2026-01-05 09:00") == "a"
    assert team(rota, "2026-01-12 08:59") == "a"
    assert team(rota, "2026-01-12 09:00") == "b"
    assert team(rota, "2026-01-19 09:00") == "c"
    assert team(rota, "2026-01-26 09:00") == "a"
    assert team(rota, "2026-04-27 09:00") is None
    assert (rota.starts, rota.ends) == (rome("2026-01-05 09:00"), rome("2026-04-27 09:00"))


def test_a_new_order_begins_on_its_day_and_changes_nothing_before() -> None:
    rota = a_rota(
        stretches=(
            Stretch(date(2026, 1, 5), ("a", "b")),
            Stretch(date(2026, 1, 26), ("c", "a")),
        )
    )
    teams = [team(rota, f"2026-{day} 12:00") for day in ("01-19", "01-26", "02-02", "02-09")]

    assert teams == ["a", "c", "a", "c"]


def test_a_swap_stands_in_for_part_of_turns_and_no_minute_is_lost() -> None:
    swap = Turn("c", rome("2026-01-11 20:00"), rome("2026-01-13 20:00"), "swap")
    rota = a_rota(swap)

    assert team(rota, "2026-01-11 19:59") == "a"
    assert team(rota, "2026-01-12 09:00") == "c"
    assert team(rota, "2026-01-13 20:00") == "b"
    for earlier, later in zip(rota.turns, rota.turns[1:], strict=False):
        assert earlier.end == later.start
    assert rota.after(rome("2026-01-11 19:59"))[0] == swap


def test_a_swap_of_a_whole_turn_leaves_nothing_of_it() -> None:
    rota = a_rota(Turn("c", rome("2026-01-12 09:00"), rome("2026-01-19 09:00"), "swap"))

    assert [turn.team for turn in rota.turns[:4]] == ["a", "c", "c", "a"]


def test_a_hand_over_keeps_its_clock_time_when_summer_time_begins() -> None:
    rota = a_rota()
    turn = rota.turn(rome("2026-03-29 12:00"))

    assert turn is not None
    assert turn.end - turn.start == timedelta(days=7) - timedelta(hours=1)
    assert turn.end.astimezone(ROME).hour == 9


def test_clocks_show_a_time_never_once_or_twice() -> None:
    assert instants(datetime(2026, 3, 29, 2, 30), ROME) == ()  # noqa: DTZ001 - local times
    assert len(instants(datetime(2026, 3, 29, 3, 30), ROME)) == 1  # noqa: DTZ001
    early, late = instants(datetime(2026, 10, 25, 2, 30), ROME)  # noqa: DTZ001
    assert late - early == timedelta(hours=1)


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        ("2026-01-05 08:59", False),
        ("2026-01-05 09:00", True),
        ("2026-01-05 17:59", True),
        ("2026-01-05 18:00", False),
        ("2026-01-06 12:00", False),
        ("2026-01-10 12:00", False),
    ],
)
def test_business_hours_are_on_their_days_and_never_on_holidays(
    moment: str, *, inside: bool
) -> None:
    assert a_rota().in_business_hours(rome(moment)) is inside


def test_time_is_cut_at_midnights_and_ends_of_months() -> None:
    start, end = datetime.fromisoformat("2027-12-30 09:00"), datetime.fromisoformat("2028-03-02")

    assert list(pieces(start, end)) == [
        Piece(date(2027, 12, 30), date(2027, 12, 30), start="09:00"),
        Piece(date(2027, 12, 31), date(2027, 12, 31)),
        Piece(date(2028, 1, 1), date(2028, 1, 31)),
        Piece(date(2028, 2, 1), date(2028, 2, 29)),
        Piece(date(2028, 3, 1), date(2028, 3, 1)),
    ]


def test_a_few_hours_of_one_day_are_one_piece() -> None:
    start, end = (
        datetime.fromisoformat("2027-12-30 09:00"),
        datetime.fromisoformat("2027-12-30 10:30"),
    )

    assert list(pieces(start, end)) == [
        Piece(date(2027, 12, 30), date(2027, 12, 30), "09:00", "10:30")
    ]

"""Who is on call, as the console says it."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from remediator.config_console import ConsoleSection
from remediator.oncall import Rota
from remediator.web.console.duty import Duty, duty
from tests.builders import a_rota
from tests.fakes import START
from tests.site import Site
from tests.unit.remediator_console.conftest import ACCOUNTS, Browser, words

WEEK = timedelta(weeks=1)


def test_the_team_its_end_and_the_next_one_are_told() -> None:
    told = duty(a_rota(), START)
    assert told == Duty("off", "Team A", "on call until 12 Jan 08:00:00", "then Team B (a swap)")
    told = duty(a_rota(), START + 2 * WEEK - timedelta(hours=6))
    assert told.word == "Team B (a swap)"
    assert told.then == "then nobody: the rota ends"


@pytest.mark.parametrize(
    ("rota", "moment", "word", "detail"),
    [
        (None, START, "On call: not known", "the log says why"),
        (a_rota(), START - WEEK, "Nobody is on call", "it begins at 2026-01-05 08:00"),
        (a_rota(), START + 2 * WEEK, "Nobody is on call", "it has ended"),
    ],
)
def test_nobody_looks_bad(rota: Rota | None, moment: datetime, word: str, detail: str) -> None:
    told = duty(rota, moment)
    assert (told.kind, told.word) == ("bad", word)
    assert detail in told.detail


@pytest.fixture
def with_rota(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "accounts.yml").write_text(ACCOUNTS)
    section = ConsoleSection(accounts_file=str(tmp_path / "accounts.yml"))
    made = Site(tmp_path / "state.sqlite", console=section, has_rota=True)
    yield made
    made.loop.close()


def test_home_says_it_and_when_it_cannot(with_rota: Site) -> None:
    person = Browser(with_rota.client)
    person.log_in("vic")
    assert "▲ On call: not known" in words(person.get())
    with_rota.rota = a_rota()
    assert "Team A on call until 12 Jan 08:00:00; then Team B (a swap)" in words(person.get())

"""The page for people shows samples of recurring errors, and nothing they say is markup."""

from exporter.families.configuration import State
from exporter.readings.logs import Recurring
from exporter.web.pages import landing_page

STATE = State(loaded_at=1700000000.0)


def test_recurring_errors_are_shown_escaped_and_capped() -> None:
    errors = [Recurring(f"web{n}", "0a1b", 60 - n, 1700000000.0, "<b>no</b>") for n in range(60)]

    page = landing_page("0", STATE, [], errors).decode()

    assert "web0: 60 times" in page
    assert "&lt;b&gt;no&lt;/b&gt;" in page
    assert "<b>no</b>" not in page
    assert page.count("0a1b") == 50


def test_without_errors_there_is_no_such_part() -> None:
    assert "Recurring" not in landing_page("0", STATE, []).decode()

"""Reports ask for what is emitted, judge by the rules' numbers, and read the exporter's page."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from exporter.families.configuration import State
from exporter.readings.logs import Recurring
from exporter.web.pages import landing_page
from remediator.reports import morning, weekly
from remediator.reports.outside import error_texts_of
from remediator.reports.thresholds import load_thresholds

REPO = Path(__file__).resolve().parents[2]
QUERIES = [
    value
    for module in (morning, weekly)
    for name, value in vars(module).items()
    if name.isupper() and not name.startswith("_") and isinstance(value, str)
]


def test_every_series_of_a_report_is_emitted(
    rules: list[dict[str, Any]], emitted: frozenset[str], names_in: Callable[[str], set[str]]
) -> None:
    recorded = {rule["record"] for rule in rules if "record" in rule}

    assert len(QUERIES) > 15
    assert {name for query in QUERIES for name in names_in(query)} - emitted - recorded == set()


def test_the_thresholds_that_come_with_the_program_are_those_of_the_alerts() -> None:
    assert load_thresholds(None) == load_thresholds(REPO / "alert_rules" / "thresholds.yml")


def test_texts_of_errors_are_read_from_the_exporters_page() -> None:
    error = Recurring("web", "ab12cd", 3, 1767600000.0, "<b>it</b> fails & fails")
    page = landing_page("0", State(loaded_at=1767600000.0), [], [error]).decode()

    assert error_texts_of(page) == {"ab12cd": "<b>it</b> fails & fails"}

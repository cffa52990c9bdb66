"""The pager against a real Alertmanager."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from remediator.notify import AlertmanagerPager
from remediator.ports import Notice
from tests.integration.edge_containers import now, until
from tests.integration.edge_monitoring import real_alertmanager

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with real_alertmanager(tmp_path_factory.mktemp("alertmanager")) as url:
        yield url


@pytest.fixture
def pager(url: str) -> Iterator[AlertmanagerPager]:
    with closing(AlertmanagerPager(url, clock=now)) as pager:
        yield pager


def notice(incident: int, words: str = "words") -> Notice:
    labels = {"alertname": "RemediationEscalated", "severity": "P1", "incident": str(incident)}
    page = f"http://remediator:9181/api/v1/incidents/{incident}"
    return Notice(labels, {"description": words}, page)


def alerts(url: str, incident: int) -> list[dict[str, Any]]:
    response = httpx.get(
        f"{url}/api/v2/alerts", params={"filter": f'incident="{incident}"'}, trust_env=False
    )
    found: list[dict[str, Any]] = response.json()
    return found


def test_a_notice_is_an_alert_that_lives_five_minutes(url: str, pager: AlertmanagerPager) -> None:
    pager.fire(notice(1, "memory is still at 91 %"))
    (alert,) = alerts(url, 1)
    assert alert["labels"] == notice(1).labels
    assert alert["annotations"] == {"description": "memory is still at 91 %"}
    assert alert["generatorURL"] == "http://remediator:9181/api/v1/incidents/1"
    assert abs(datetime.fromisoformat(alert["startsAt"]) - now()) < timedelta(minutes=1)
    left = datetime.fromisoformat(alert["endsAt"]) - now()
    assert timedelta(minutes=4) < left <= timedelta(minutes=5)


def test_a_notice_again_is_the_same_alert_for_longer_with_the_newest_words(
    url: str, pager: AlertmanagerPager
) -> None:
    pager.fire(notice(2, "first words"))
    (first,) = alerts(url, 2)
    until(lambda: now() > datetime.fromisoformat(first["updatedAt"]))
    pager.fire(notice(2, "other words"))
    (second,) = alerts(url, 2)
    assert second["fingerprint"] == first["fingerprint"]
    assert second["startsAt"] == first["startsAt"]
    assert second["endsAt"] > first["endsAt"]
    assert second["annotations"] == {"description": "other words"}


def test_an_ended_notice_is_gone(url: str, pager: AlertmanagerPager) -> None:
    pager.fire(notice(3))
    assert len(alerts(url, 3)) == 1
    pager.end(notice(3))
    until(lambda: alerts(url, 3) == [], within_seconds=10)


def test_an_end_long_after_the_first_is_one_too(url: str) -> None:
    # Three pages of the last eight minutes, told by the clock that the pager is given.
    moments = [now() - timedelta(minutes=minutes) for minutes in (8, 4, 0)]
    clock = iter([*moments, now()])
    with closing(AlertmanagerPager(url, clock=lambda: next(clock))) as pager:
        for _ in moments:
            pager.fire(notice(6))
        (alert,) = alerts(url, 6)
        assert abs(datetime.fromisoformat(alert["startsAt"]) - moments[0]) < timedelta(seconds=1)
        pager.end(notice(6))
    until(lambda: alerts(url, 6) == [], within_seconds=10)


def test_ending_what_was_never_fired_does_no_harm(url: str, pager: AlertmanagerPager) -> None:
    pager.end(notice(4))
    until(lambda: alerts(url, 4) == [], within_seconds=10)

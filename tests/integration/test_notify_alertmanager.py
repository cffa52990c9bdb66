"""The pager against a real Alertmanager."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from remediator.notify import AlertmanagerPager
from remediator.outcomes import Reason
from tests.integration.edge_containers import now, until
from tests.integration.edge_monitoring import real_alertmanager

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with real_alertmanager(tmp_path_factory.mktemp("alertmanager")) as url:
        yield url


@pytest.fixture
def pager(url: str) -> Iterator[AlertmanagerPager]:
    with closing(
        AlertmanagerPager(
            url, clock=now, external_url="http://remediator:9181/", urgent=frozenset({"postgres"})
        )
    ) as pager:
        yield pager


def alerts(url: str, incident: int) -> list[dict[str, Any]]:
    response = httpx.get(
        f"{url}/api/v2/alerts", params={"filter": f'incident="{incident}"'}, trust_env=False
    )
    found: list[dict[str, Any]] = response.json()
    return found


def test_a_page_is_an_alert_that_lives_five_minutes(url: str, pager: AlertmanagerPager) -> None:
    pager.page(1, "redis", "flush-temp-keys", Reason.NOT_VERIFIED, "memory is still at 91 %")
    (alert,) = alerts(url, 1)
    assert alert["labels"] == {
        "alertname": "RemediationEscalated",
        "service": "redis",
        "severity": "P1",
        "category": "remediation",
        "remediation": "manual",
        "runbook": "flush-temp-keys",
        "reason": "not_verified",
        "incident": "1",
    }
    assert alert["annotations"]["description"] == "memory is still at 91 %"
    assert set(alert["annotations"]) == {"summary", "description", "action"}
    assert alert["generatorURL"] == "http://remediator:9181/api/v1/incidents/1"
    assert abs(datetime.fromisoformat(alert["startsAt"]) - now()) < timedelta(minutes=1)
    left = datetime.fromisoformat(alert["endsAt"]) - now()
    assert timedelta(minutes=4) < left <= timedelta(minutes=5)


def test_a_page_again_is_the_same_alert_for_longer(url: str, pager: AlertmanagerPager) -> None:
    pager.page(2, "redis", "flush-cache", Reason.NO_DATA, "first words")
    (first,) = alerts(url, 2)
    until(lambda: now() > datetime.fromisoformat(first["updatedAt"]))
    pager.page(2, "redis", "flush-cache", Reason.NO_DATA, "other words")
    (second,) = alerts(url, 2)
    assert second["fingerprint"] == first["fingerprint"]
    assert second["startsAt"] == first["startsAt"]
    assert second["endsAt"] > first["endsAt"]


def test_a_cleared_page_is_gone(url: str, pager: AlertmanagerPager) -> None:
    pager.page(3, "redis", "flush-cache", Reason.NO_DATA, "words")
    assert len(alerts(url, 3)) == 1
    pager.clear(3, "redis", "flush-cache", Reason.NO_DATA, "words")
    until(lambda: alerts(url, 3) == [], within_seconds=10)


def test_a_page_long_after_the_first_is_cleared_too(url: str) -> None:
    # Three pages of the last eight minutes, told by the clock that the pager is given.
    moments = [now() - timedelta(minutes=minutes) for minutes in (8, 4, 0)]
    clock = iter([*moments, now()])
    with closing(
        AlertmanagerPager(url, clock=lambda: next(clock), external_url="http://r")
    ) as pager:
        for _ in moments:
            pager.page(6, "redis", "flush-cache", Reason.NO_DATA, "words")
        (alert,) = alerts(url, 6)
        assert abs(datetime.fromisoformat(alert["startsAt"]) - moments[0]) < timedelta(seconds=1)
        pager.clear(6, "redis", "flush-cache", Reason.NO_DATA, "words")
    until(lambda: alerts(url, 6) == [], within_seconds=10)


def test_clearing_what_was_never_paged_does_no_harm(url: str, pager: AlertmanagerPager) -> None:
    pager.clear(4, "redis", "flush-cache", Reason.NO_DATA, "words")
    until(lambda: alerts(url, 4) == [], within_seconds=10)


def test_an_urgent_target_is_p0(url: str, pager: AlertmanagerPager) -> None:
    pager.page(5, "postgres", "restart-database", Reason.ACTION_FAILED, "words")
    (alert,) = alerts(url, 5)
    assert alert["labels"]["severity"] == "P0"

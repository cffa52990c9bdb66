"""What the remediator sees of silences and inhibitions in a real Alertmanager."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import httpx
import pytest

from remediator.outcomes import Reason
from remediator.ports import Transient
from remediator.watch import AlertmanagerAlerts
from tests.integration.edge_containers import now, until
from tests.integration.edge_monitoring import real_alertmanager

pytestmark = pytest.mark.integration

DOWN = {"alertname": "ServiceDown", "service": "web"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with real_alertmanager(tmp_path_factory.mktemp("alertmanager")) as url:
        yield url


def mute_of(url: str, labels: dict[str, str]) -> list[Reason | None]:
    with closing(AlertmanagerAlerts(url)) as alertmanager:
        return [alert.muted for alert in alertmanager.alerts() if alert.labels == labels]


def test_a_silence_is_seen_from_its_start_to_its_end(url: str) -> None:
    assert mute_of(url, DOWN) == []
    httpx.post(f"{url}/api/v2/alerts", json=[{"labels": DOWN}], trust_env=False)
    until(lambda: mute_of(url, DOWN) == [None])

    matcher = {"name": "service", "value": "w.b", "isRegex": True, "isEqual": True}
    silence = httpx.post(
        f"{url}/api/v2/silences",
        json={
            "matchers": [matcher],
            "startsAt": now().isoformat(),
            "endsAt": (now() + timedelta(hours=1)).isoformat(),
            "createdBy": "on-call",
            "comment": "working on it",
        },
        trust_env=False,
    ).json()["silenceID"]
    until(lambda: mute_of(url, DOWN) == [Reason.SILENCED])

    httpx.delete(f"{url}/api/v2/silence/{silence}", trust_env=False)
    until(lambda: mute_of(url, DOWN) == [None])


def test_an_alertmanager_that_cannot_be_asked_is_no_answer() -> None:
    with (
        closing(AlertmanagerAlerts("http://127.0.0.1:9")) as alertmanager,
        pytest.raises(Transient, match="cannot ask Alertmanager"),
    ):
        alertmanager.alerts()

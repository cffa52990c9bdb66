"""What in Alertmanager keeps the remediator's hands off an alert, and what does not."""

import json
from contextlib import closing

import pytest

from remediator.outcomes import Reason
from remediator.watch import AlertmanagerAlerts
from tests.http_fakes import Answer, fake_server


def alert(name: str, *, silenced: list[str], inhibited: list[str]) -> dict[str, object]:
    status = {"state": "active", "silencedBy": silenced, "inhibitedBy": inhibited}
    return {"fingerprint": f"of-{name}", "labels": {"alertname": name}, "status": status}


@pytest.mark.parametrize(
    ("silenced", "inhibited", "muted"),
    [
        ([], [], None),
        ([], ["of-PostgresDown"], Reason.INHIBITED),
        ([], ["of-RemediationInProgress"], None),
        ([], ["of-RemediationInProgress", "of-PostgresDown"], Reason.INHIBITED),
        (["a silence"], ["of-RemediationInProgress"], Reason.SILENCED),
    ],
)
def test_that_we_are_at_work_keeps_a_human_asleep_and_does_not_stop_us(
    silenced: list[str], inhibited: list[str], muted: Reason | None
) -> None:
    told = [
        alert("ServiceDown", silenced=silenced, inhibited=inhibited),
        alert("RemediationInProgress", silenced=[], inhibited=[]),
        alert("PostgresDown", silenced=[], inhibited=[]),
    ]
    answers = {"alerts": Answer(json.dumps(told))}
    with fake_server(answers) as server, closing(AlertmanagerAlerts(server.url)) as alertmanager:
        found = {one.labels["alertname"]: one.muted for one in alertmanager.alerts()}

    assert found == {"ServiceDown": muted, "RemediationInProgress": None, "PostgresDown": None}

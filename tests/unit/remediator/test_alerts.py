"""The webhook body as Alertmanager sends it, and as an enemy would."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.alerts import (
    MAX_LABEL_CHARS,
    MAX_LABELS,
    AlertStatus,
    Delivery,
    Malformed,
    is_same_alert,
    read_webhook,
)
from tests.builders import DOWN, a_body

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
KEYS = ("version", "alerts", "truncatedAlerts", "status", "labels", "startsAt", "fingerprint")


def refusal(body: object) -> str:
    refused = read_webhook(body)
    assert isinstance(refused, Malformed)
    return refused.sentence


def one(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    body = a_body(DOWN)
    body["alerts"][0].update(changes)
    return body


def test_a_body_gives_its_alerts_with_their_own_status() -> None:
    body = a_body(DOWN, DOWN | {"service": "edge"})
    body["alerts"][1]["status"] = "resolved"

    delivery = read_webhook(body)

    assert isinstance(delivery, Delivery)
    first, second = delivery.alerts
    assert (first.name, first.status, second.status) == (
        "ServiceDown",
        AlertStatus.FIRING,
        AlertStatus.RESOLVED,
    )
    assert first.starts_at == datetime(2026, 1, 5, 11, 59, 0, 123456, tzinfo=UTC)
    assert first.fingerprint == "a1b2c3d4e5f60718"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ([], "The body must be a JSON object, as Alertmanager's webhook sends it."),
        ({}, '"version" must be "4"; a custom payload is not understood.'),
        ({"version": 4}, '"version" must be "4"; a custom payload is not understood.'),
        ({"version": "4"}, '"alerts" must be a list.'),
        ({"version": "4", "alerts": [7]}, "alerts[0] must be an object."),
        (one(status="up"), 'alerts[0].status must be "firing" or "resolved".'),
        (one(status=["firing"]), 'alerts[0].status must be "firing" or "resolved".'),
        (one(labels=None), "alerts[0].labels must be an object of strings."),
        (one(labels={"alertname": 1}), "alerts[0].labels must be an object of strings."),
        (one(labels={"service": "web"}), "alerts[0].labels.alertname is missing."),
        (one(startsAt="yesterday"), "alerts[0].startsAt must be an RFC 3339 time."),
        (one(startsAt="2026-01-05T12:00:00"), "alerts[0].startsAt must be an RFC 3339 time."),
        (one(startsAt=5), "alerts[0].startsAt must be an RFC 3339 time."),
        (
            one(startsAt="0001-01-01T00:00:00+23:59"),
            "alerts[0].startsAt must be an RFC 3339 time.",
        ),
    ],
)
def test_a_wrong_body_is_refused_with_the_place_and_a_sentence(body: object, sentence: str) -> None:
    assert refusal(body) == sentence


def test_unknown_keys_and_go_zero_times_are_accepted() -> None:
    body = one(startsAt="0001-01-01T00:00:00Z", routeLabels={}, fingerprint="not hex; DROP")
    delivery = read_webhook(body | {"somethingNew": [1]})
    assert isinstance(delivery, Delivery)
    assert delivery.alerts[0].starts_at is None
    assert delivery.alerts[0].fingerprint == ""


@pytest.mark.parametrize(
    "labels",
    [
        {f"l{i}": "x" for i in range(MAX_LABELS)},
        {"long": "x" * MAX_LABEL_CHARS},
    ],
)
def test_an_oversized_alert_is_left_out_and_the_others_are_kept(labels: dict[str, str]) -> None:
    delivery = read_webhook(a_body(DOWN | labels, DOWN))
    assert isinstance(delivery, Delivery)
    assert (len(delivery.alerts), delivery.oversized) == (1, 1)


@given(JSON)
def test_any_json_is_read_or_refused_with_a_sentence(body: object) -> None:
    assert isinstance(read_webhook(body), Delivery | Malformed)


@given(st.dictionaries(st.sampled_from(KEYS), JSON), st.dictionaries(st.sampled_from(KEYS), JSON))
def test_a_body_with_hostile_values_is_read_or_refused(
    outer: dict[str, object], inner: dict[str, object]
) -> None:
    body = {**a_body(DOWN), **outer}
    if isinstance(body["alerts"], list):
        body["alerts"] = [*body["alerts"], {**a_body(DOWN)["alerts"][0], **inner}]
    delivery = read_webhook(json.loads(json.dumps(body)))
    if isinstance(delivery, Delivery):
        for alert in delivery.alerts:
            assert all(isinstance(v, str) for v in alert.labels.values())


def test_external_labels_do_not_make_another_alert() -> None:
    assert is_same_alert(DOWN, DOWN | {"cluster": "a"})
    assert is_same_alert(DOWN | {"cluster": "a"}, DOWN)
    assert not is_same_alert(DOWN | {"colour": "blue"}, DOWN | {"colour": "green"})

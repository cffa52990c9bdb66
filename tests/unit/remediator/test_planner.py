"""Which runbook, on which target; and when there is none."""

from dataclasses import replace

import pytest

from remediator.alerts import Delivery, read_webhook
from remediator.checks import AlertCleared, ProbesCheck
from remediator.outcomes import Reason
from remediator.planner import NoPlan, Plan, plan_for, triage
from tests.builders import DOWN, a_body, a_policy, a_runbook

POLICY = a_policy()


def test_the_target_comes_from_the_label() -> None:
    plan = plan_for(DOWN, POLICY)
    assert isinstance(plan, Plan)
    assert (plan.runbook.id, plan.target.key) == ("restart", "web")


def test_a_constant_target_ignores_the_labels() -> None:
    plan = plan_for({"alertname": "DatabaseDown", "service": "web"}, POLICY)
    assert isinstance(plan, Plan)
    assert plan.target.key == "db"


@pytest.mark.parametrize(
    "label", [None, "", " ", "*", "web ", "WEB", "../web", "web;reboot", "c-web", "x" * 9999]
)
def test_a_label_that_is_no_key_of_the_topology_has_no_plan(label: str | None) -> None:
    labels = {"alertname": "ServiceDown"} | ({} if label is None else {"service": label})
    refused = plan_for(labels, POLICY)
    assert isinstance(refused, NoPlan)
    assert refused.reason is Reason.UNKNOWN_TARGET
    assert len(refused.detail) < 200


@pytest.mark.parametrize("name", ["", "servicedown", "Watchdog"])
def test_an_alert_without_a_runbook_has_no_plan(name: str) -> None:
    refused = plan_for({"alertname": name, "service": "web"}, POLICY)
    assert isinstance(refused, NoPlan)
    assert refused.reason is Reason.UNKNOWN_ALERT


def test_a_target_without_probes_is_not_asked_for_them() -> None:
    with_probes = plan_for(DOWN, POLICY)
    without = plan_for(DOWN | {"service": "worker"}, POLICY)
    assert isinstance(with_probes, Plan)
    assert isinstance(without, Plan)
    assert with_probes.checks == (ProbesCheck(), AlertCleared())
    assert without.checks == (AlertCleared(),)


def test_triage_counts_every_alert_once() -> None:
    body = a_body(DOWN, DOWN | {"service": "?"}, {"alertname": "Nope"}, DOWN | {"service": "edge"})
    body["alerts"][3]["status"] = "resolved"
    delivery = read_webhook(body)
    assert isinstance(delivery, Delivery)
    told, counts = triage(delivery.alerts, POLICY)
    assert len(told) == 2
    assert counts == {"accepted": 1, "resolved": 1, "unknown_alert": 1, "unknown_target": 1}


def test_the_rungs_are_the_ladder_with_each_rungs_own_ladder_after_it() -> None:
    books = {
        "a": a_runbook("a", ladder=("b", "d")),
        "b": a_runbook("b", ladder=("c",)),
        "c": a_runbook("c"),
        "d": a_runbook("d", ladder=("c",)),
    }
    assert replace(POLICY, runbooks=books).rungs("a") == ("a", "b", "c", "d")

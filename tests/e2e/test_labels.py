"""What the promtool tests feed the rules is what this Prometheus has, label by label."""

from collections import defaultdict

import httpx

from demo.world import World
from tests.fed import TESTS, Fed, fed

NEVER_HERE = {
    "pg_replication_slots_slot_is_active": "there is no replication slot",
    "celery_unacked_oldest_timestamp_seconds": "no task is in flight most of the time",
    "prometheus_notifications_errors_total": "every notification arrives",
}


def test_the_series_of_the_promtool_tests_have_the_labels_of_the_running_stack(
    world: World,
) -> None:
    asked: defaultdict[str, list[Fed]] = defaultdict(list)
    for path in TESTS:
        for one in fed(path):
            asked[one.name].append(one)
    with httpx.Client(base_url=world.url(world.ports.prometheus, "/api/v1"), trust_env=False) as it:
        found = {name: label_sets(it, name) for name in asked if ":" not in name}
    wrong = [
        f"{one.test}: {one.series}: here {sorted(map(sorted, sets))}"
        for name, sets in found.items()
        for one in asked[name]
        if name != "ALERTS" and sets and not any(fits(one, labels) for labels in sets)
    ]

    assert not wrong, "\n".join(wrong)
    assert {name for name, sets in found.items() if not sets} <= NEVER_HERE.keys() | {"ALERTS"}


def label_sets(prometheus: httpx.Client, name: str) -> set[frozenset[str]]:
    answer = prometheus.get("/series", params={"match[]": name}).raise_for_status()
    return {frozenset(series) - {"__name__"} for series in answer.json()["data"]}


def fits(one: Fed, labels: frozenset[str]) -> bool:
    given = one.labels.keys()
    return given - labels <= one.may_lack and labels - given <= one.may_lack

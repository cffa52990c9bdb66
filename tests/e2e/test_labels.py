"""What the promtool tests feed the rules is what this Prometheus has, label by label."""

from collections import defaultdict

import httpx

from demo.faults import until
from demo.world import World
from tests.fed import TESTS, Fed, fed

# Also ALERTS, which is there only while something is wrong, and what rules record.
NOT_HERE = {
    "celery_unacked_oldest_timestamp_seconds": "there while a task is in flight",
    "pg_replication_slots_slot_is_active": "there is no replication slot",
    "pg_stat_database_checksum_failures": "the server was made without checksums",
}


def test_the_series_of_the_promtool_tests_have_the_labels_of_the_running_stack(
    world: World,
) -> None:
    asked: defaultdict[str, list[Fed]] = defaultdict(list)
    for path in TESTS:
        for one in fed(path):
            if ":" not in one.name and one.name != "ALERTS":
                asked[one.name].append(one)
    with httpx.Client(base_url=world.url(world.ports.prometheus, "/api/v1"), trust_env=False) as it:
        for name in asked.keys() - NOT_HERE.keys():
            until(lambda name=name: bool(label_sets(it, name)), f"Prometheus to have {name}")
        found = {name: label_sets(it, name) for name in asked}
    wrong = [
        f"{one.test}: {one.series}: here {sorted(map(sorted, sets))}"
        for name, sets in found.items()
        for one in asked[name]
        if sets and not any(fits(one, labels) for labels in sets)
    ]

    assert not wrong, "\n".join(wrong)


def label_sets(prometheus: httpx.Client, name: str) -> set[frozenset[str]]:
    answer = prometheus.get("/series", params={"match[]": name}).raise_for_status()
    return {frozenset(series) - {"__name__"} for series in answer.json()["data"]}


def fits(one: Fed, labels: frozenset[str]) -> bool:
    given = one.labels.keys()
    return given - labels <= one.may_lack and labels - given <= one.may_lack

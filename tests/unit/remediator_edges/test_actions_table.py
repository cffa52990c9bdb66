from datetime import UTC, datetime

import pydantic
import pytest

from remediator.actions import ACTIONS, Clients
from remediator.actions.redis import FlushDbParams
from remediator.outcomes import Reason
from remediator.ports import Permanent, Refused
from remediator.topology import ColourSwitch, PostgresAddress, RedisAddress, Target

CLIENTS = Clients(
    docker_url="tcp://127.0.0.1:9",
    exporter_url="http://127.0.0.1:9",
    clock=lambda: datetime.now(UTC),
    wait=lambda seconds: None,
)
SMALLEST: dict[str, dict[str, object]] = {
    "flush_keys": {"pattern": "temp:*"},
    "restart_services": {"services": ["backend"]},
    "maintenance_on": {"reason": "a restore"},
}


def test_the_table_holds_the_actions_of_the_runbook() -> None:
    assert set(ACTIONS) == {
        "restart_service",
        "restart_database",
        "flush_keys",
        "flush_db",
        "start_colour",
        "compose_up",
        "switch_colour",
        "check_database",
        "vacuum_analyze",
        "reindex_concurrently",
        "verify_backup",
        "restore_backup",
        "find_hog",
        "restart_services",
        "warm_cache",
        "reload_nginx",
        "install_certificate",
        "maintenance_on",
        "maintenance_off",
        "prune_images",
        "prune_logs",
    }


@pytest.mark.parametrize("name", ACTIONS)
def test_every_action_is_made_of_its_smallest_parameters(name: str) -> None:
    kind = ACTIONS[name]
    made = kind.make(kind.params.model_validate(SMALLEST.get(name, {})), CLIENTS)
    assert callable(made.precheck)
    assert callable(made.run)
    assert callable(made.probe)


@pytest.mark.parametrize("name", ACTIONS)
def test_an_unknown_parameter_is_a_mistake(name: str) -> None:
    with pytest.raises(pydantic.ValidationError, match="Extra inputs are not permitted"):
        ACTIONS[name].params.model_validate({**SMALLEST.get(name, {}), "surprise": 1})


@pytest.mark.parametrize(
    ("name", "with_"),
    [
        ("restart_service", {"stop_timeout": 10}),
        ("restart_service", {"stop_timeout": "0s"}),
        ("restart_database", {"stop_timeout": "5s"}),
        ("flush_keys", {}),
        ("flush_keys", {"pattern": "temp:*", "batch": "500"}),
        ("flush_keys", {"pattern": "temp:*", "batch": 0}),
        ("vacuum_analyze", {"tables": "full"}),
        ("vacuum_analyze", {"lock_timeout": "2m"}),
        ("reindex_concurrently", {"min_bloat": 1.0}),
        ("reindex_concurrently", {"max_indexes": 0}),
        ("check_database", {"max_disk": 0.0}),
        ("verify_backup", {"min_tables": 0}),
        ("verify_backup", {"min_rows": {"public.t": "1"}}),
        ("restore_backup", {"force": "yes"}),
        ("switch_colour", {"healthy_for": "-1s"}),
        ("find_hog", {"top": 21}),
        ("restart_services", {"services": []}),
        ("restart_services", {"services": ["a", "a"]}),
        ("maintenance_on", {}),
        ("maintenance_on", {"reason": "x", "ttl": "5h"}),
        ("maintenance_off", {"before_end": "yes"}),
        ("prune_logs", {"max_files": 0}),
    ],
)
def test_a_parameter_of_the_wrong_form_is_a_mistake(name: str, with_: dict[str, object]) -> None:
    with pytest.raises(pydantic.ValidationError):
        ACTIONS[name].params.model_validate(with_)


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_takes_no_parameters_of_another(name: str) -> None:
    if name != "flush_db":
        with pytest.raises(TypeError):
            ACTIONS[name].make(FlushDbParams(), CLIENTS)


UNSAFE = ["", "*", "?*", "[ab]*", "**", "c*", "celery*", "celery-task-meta-*", "cel?ry", "_*"]
UNSAFE += ["_kombu.binding.*", "un*", "unacked", "\\temp:*", "temp:*.pidbox", "chord-unlock-*"]


@pytest.mark.parametrize("pattern", UNSAFE)
def test_a_pattern_that_could_match_celerys_keys_is_a_mistake(pattern: str) -> None:
    with pytest.raises(pydantic.ValidationError, match="pattern"):
        ACTIONS["flush_keys"].params.model_validate({"pattern": pattern})


@pytest.mark.parametrize("pattern", UNSAFE)
def test_such_a_pattern_is_refused_again_before_acting(pattern: str) -> None:
    kind = ACTIONS["flush_keys"]
    params = kind.params.model_construct(pattern=pattern, batch=500, max_keys=10)
    refused = kind.make(params, CLIENTS).precheck(Target("redis", "data"))
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.PRECHECK_REFUSED


@pytest.mark.parametrize("pattern", ["temp:*", "session:[0-9]*", "cache:lesson:?", "tmp:exact"])
def test_a_pattern_with_a_prefix_of_its_own_is_good(pattern: str) -> None:
    params = ACTIONS["flush_keys"].params.model_validate({"pattern": pattern})
    assert params.model_dump()["pattern"] == pattern


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("restart_service", "has no container"),
        ("restart_database", "has no postgres address"),
        ("flush_keys", "has no redis address"),
        ("flush_db", "has no redis address"),
        ("switch_colour", "has no colours to switch"),
        ("check_database", "has no postgres address"),
        ("vacuum_analyze", "has no postgres address"),
        ("reindex_concurrently", "has no postgres address"),
        ("verify_backup", "has no backup"),
        ("restore_backup", "has no postgres address"),
        ("warm_cache", "has no cache_warmer"),
        ("reload_nginx", "has no container"),
        ("install_certificate", "has no certificate"),
        ("maintenance_on", "has no maintenance page"),
        ("maintenance_off", "has no maintenance page"),
        ("prune_logs", "has no rotated_logs"),
    ],
)
def test_a_target_that_lacks_what_the_action_needs_is_permanent(name: str, words: str) -> None:
    kind = ACTIONS[name]
    made = kind.make(kind.params.model_validate(SMALLEST.get(name, {})), CLIENTS)
    with pytest.raises(Permanent, match=words):
        made.precheck(Target("thing", "app"))
    with pytest.raises(Permanent):
        made.run(Target("thing", "app"), timeout_seconds=100)


def test_no_password_is_ever_in_a_message() -> None:
    address = RedisAddress("127.0.0.1", 9, 0, password_file="/nowhere/redis_password")
    target = Target("redis", "data", redis=address)
    kind = ACTIONS["flush_db"]
    with pytest.raises(Permanent, match="cannot read the password of redis"):
        kind.make(kind.params(), CLIENTS).precheck(target)


def test_the_addresses_of_all_systems_fit_one_target() -> None:
    target = Target(
        "all",
        "data",
        postgres=PostgresAddress("127.0.0.1", 9, "app", "app"),
        redis=RedisAddress("127.0.0.1", 9, 0),
        switch=ColourSwitch("/nowhere", "nginx", "http://127.0.0.1:9", {}, {}),
    )
    assert target.container is None

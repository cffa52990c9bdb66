"""remediator.yml: every mistake by its path; the shipped file is good."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from remediator.actions import ACTIONS
from remediator.checks import AlertCleared, ProbesCheck, RunningCheck
from remediator.config import load_config, parse_config
from remediator.config_mistakes import ConfigError
from remediator.main import main
from remediator.policy import Mode, Repeat

REPO = Path(__file__).resolve().parents[3]
GOLDEN = REPO / "tests" / "golden" / "remediator"
SHIPPED = REPO / "remediator" / "remediator.yml"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("invalid-*.yml")), ids=lambda p: p.stem)
def test_each_mistake_is_named_with_its_path(path: Path, *, golden_update: bool) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(path.read_text(), "remediator.yml", ACTIONS)

    message, expected = f"{caught.value}\n", path.with_suffix(".txt")
    if golden_update:
        expected.write_text(message)
    assert message == expected.read_text()


def test_a_good_file_becomes_a_policy() -> None:
    config = load_config(GOLDEN / "valid.yml", ACTIONS)
    policy, restart = config.policy, config.policy.runbooks["restart"]

    assert (config.host, config.port, policy.mode) == ("127.0.0.1", 9181, Mode.OBSERVE)
    assert policy.runbook_of_alert == {"ServiceDown": "restart"}
    assert policy.topology["web"].depends_on == ("db",)
    assert restart.limits.cooldown_seconds == 600
    assert restart.steps[0].repeat is Repeat.IF_NOT_DONE
    assert restart.verify.checks == (RunningCheck(), ProbesCheck(None))
    assert policy.runbooks["again"].verify.checks == (AlertCleared(),)
    assert policy.rungs("restart") == ("restart", "again")


def test_what_tells_humans_is_off_until_it_is_configured() -> None:
    text = (GOLDEN / "valid.yml").read_text()
    plain = parse_config(text, "x", ACTIONS)
    assert (plain.watchdog, plain.heartbeat, plain.github) == (None, None, None)
    assert plain.retention_seconds == 400 * 86400
    more = """
retention: 30d
watchdog: {missing_after: 2m}
heartbeat: {url: "https://hc.example.com/x"}
github: {repository: o/n, token_file: secrets/github}
"""
    full = parse_config(text + more, "x", ACTIONS)
    assert full.retention_seconds == 30 * 86400
    assert full.watchdog is not None
    assert (full.watchdog.alert, full.watchdog.missing_after) == ("Watchdog", 120)
    assert full.heartbeat is not None
    assert full.heartbeat.interval == 60
    assert full.github is not None
    assert full.github.api_url == "https://api.github.com"


def test_the_shipped_file_is_good_and_touches_nothing_until_told() -> None:
    policy = load_config(SHIPPED, ACTIONS).policy

    assert policy.mode is Mode.OBSERVE
    assert policy.runbook_of_alert == {
        "ServiceDown": "restart-service",
        "BackendNotReady": "restart-service",
        "PostgresDown": "restart-database",
        "RedisMemoryHigh": "flush-temp-keys",
        "LiveColourUnhealthy": "rollback-colour",
        "VacuumDue": "maintain-database",
        "BackupVerificationDue": "verify-backup",
        "PostgresDataCorrupt": "restore-backup",
        "LiveColourCrashLoop": "rollback-colour",
        "SiteDown": "restart-live-services",
        "HighCpu": "restart-hog",
        "HighMemory": "restart-hog",
        "DatabaseCpuHigh": "find-hog",
        "CeleryWorkerSilent": "restart-worker",
        "CeleryQueueStuck": "restart-worker",
        "CacheHitRateLow": "warm-cache",
        "CertificateExpiring": "install-certificate",
        "MaintenanceOverdue": "end-maintenance",
        "DiskAlmostFull": "prune-images",
        "ServiceUnhealthy": "restart-service",
        "RedisDown": "restart-redis",
        "DatabaseMemoryHigh": "find-hog",
        "CertificateCritical": "install-certificate",
        "CertificateExpired": "install-certificate",
        "DiskWillFill": "prune-images",
    }
    own = {"backend-blue", "backend-green", "nginx"}
    assert policy.topology["backend"].excludes == own | {"frontend"}
    assert "backend" in policy.topology["backend-blue"].excludes
    for book in policy.runbooks.values():
        if book.risk == "data":
            assert book.limits.attempts == 1
            assert book.steps[-1].repeat is Repeat.NEVER


def test_the_parts_of_the_stack_reach_the_target() -> None:
    topology = load_config(SHIPPED, ACTIONS).policy.topology
    place, page = topology["nginx"].certificate, topology["backend"].maintenance
    warmer, logs = topology["redis"].cache_warmer, topology["host"].rotated_logs

    assert place is not None
    assert (place.nginx_container, place.served_host, place.served_port) == (
        *("piano-tutor-nginx-production", "nginx"),
        443,
    )
    assert place.names == ("piano-tutor.com",)
    assert page is not None
    assert page.nginx_container == "piano-tutor-nginx-production"
    assert warmer is not None
    assert warmer.url == "http://nginx/admin/cache/warm"
    assert logs is not None
    assert (logs.min_age_seconds, logs.keep) == (14 * 86400, 5)


def test_the_command_checks_a_file_and_lists_mistakes() -> None:
    good = CliRunner().invoke(main, ["--config.check", "--config.file", str(SHIPPED)])
    assert (good.exit_code, good.output) == (0, f"{SHIPPED}: good\n")

    path = GOLDEN / "invalid-every-mistake-at-once.yml"
    bad = CliRunner().invoke(main, ["--config.check", "--config.file", str(path)])
    assert bad.exit_code == 2
    assert bad.output.replace(str(path), "remediator.yml") == path.with_suffix(".txt").read_text()


def test_a_missing_file_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(GOLDEN / "none.yml", ACTIONS)

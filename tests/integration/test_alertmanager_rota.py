"""Whose night it is: hand-over, the end of the rota, hours, escalation and a restart, for real."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.edge_containers import until
from tests.integration.edge_monitoring import SLOW
from tests.integration.humans import DAYS, Humans, a_rota, an_alertmanager, humans

SLACK, HOOK = "/incidents", "/webhook/alertmanager"
POSTGRES_DOWN = {
    "alertname": "PostgresDown",
    "severity": "P0",
    "service": "postgres",
    "category": "database",
    "remediation": "restart-database",
}
ENOUGH = timedelta(seconds=25)  # to start, and to be told the first time


@pytest.fixture
def people() -> Iterator[Humans]:
    with humans() as found:
        yield found


def next_minute() -> datetime:
    """A whole minute, as intervals have them, that is not too near."""
    soon = datetime.now(UTC) + ENOUGH
    return soon.replace(second=0, microsecond=0) + timedelta(minutes=1)


@pytest.mark.timeout(240)
def test_the_next_team_hears_at_its_hand_over_of_what_still_fires(
    tmp_path: Path, people: Humans
) -> None:
    at = next_minute()
    with an_alertmanager(tmp_path, people, rota=a_rota(at)) as running:
        running.fire(POSTGRES_DOWN)
        people.await_("/team-a", "PostgresDown")
        told_at = datetime.now(UTC)
        assert people.by("/team-b") == []
        people.await_("/team-b", "PostgresDown", seconds=150)
        assert told_at < at <= datetime.now(UTC), "neither before its time nor after it alone"

        # From now on it is theirs alone.
        running.fire(POSTGRES_DOWN | {"service": "postgres-2"})
        people.await_("/team-b", "postgres-2")
    assert people.by("/team-a", "postgres-2") == []
    assert people.by("/fallback") == []


def test_who_swaps_in_hears_of_what_fires_as_soon_as_the_swap_is_in_force(
    tmp_path: Path, people: Humans
) -> None:
    now = datetime.now(UTC)
    begin, end = (f"{now + timedelta(hours=h):%Y-%m-%d %H:%M}" for h in (-1, 1))
    swap = {"from": begin, "to": end, "team": "team-c", "why": "ill"}
    at = now + timedelta(days=3)
    with an_alertmanager(tmp_path, people, rota=a_rota(at)) as running:
        running.fire(POSTGRES_DOWN)
        people.await_("/team-a", "PostgresDown")
        running.compile(a_rota(at, overrides=[swap]))
        running.reload()
        people.await_("/team-c", "PostgresDown")
        people.await_("mail team-c@piano-tutor.com", "PostgresDown")

        running.fire(POSTGRES_DOWN | {"service": "postgres-2"})
        people.await_("/team-c", "postgres-2")
    assert people.by("/team-a", "postgres-2") == []
    assert people.by("/team-b") == []


def test_after_the_end_of_the_rota_somebody_is_paged_all_the_same(
    tmp_path: Path, people: Humans
) -> None:
    ended = a_rota(datetime.now(UTC) - timedelta(weeks=8))
    with an_alertmanager(tmp_path, people, rota=ended) as running:
        running.fire(POSTGRES_DOWN)
        people.await_("/fallback", "PostgresDown")
        people.await_("mail lead@piano-tutor.com", "PostgresDown")
        people.await_(SLACK, "PostgresDown")
    assert not {"/team-a", "/team-b", "/team-c"} & people.ways("PostgresDown")


def test_what_can_wait_is_told_in_business_hours_and_not_on_a_holiday(
    tmp_path: Path, people: Humans
) -> None:
    """In hours now; the others have theirs on other days, or a holiday today."""
    today = datetime.now(UTC)
    others = [
        day for day in DAYS if day not in {f"{today:%a}".lower(), f"{tomorrow(today):%a}".lower()}
    ]
    never = {"days": others, "from": "00:00", "to": "23:59"}
    free = [today.date(), tomorrow(today).date()]
    wear = {"alertname": "CacheHitRateLow", "severity": "P3", "service": "redis"}
    last = {"alertname": "BackupTooOld", "severity": "P2", "service": "database"}
    rotas = {"in": a_rota(), "out": a_rota(business_hours=never), "free": a_rota(holidays=free)}
    for name, rota in rotas.items():
        with an_alertmanager(tmp_path / name, people, rota=rota) as running:
            running.fire(wear | {"service": name})
            running.fire(last | {"service": name})  # with the same wait
            people.await_(SLACK, f"BackupTooOld {name} (1)")
            if name == "in":
                people.await_("mail ops@piano-tutor.com", f"CacheHitRateLow {name}")
    told = [mail.text for mail in people.by("mail ops@piano-tutor.com")]
    assert [name for name in rotas if any(f"CacheHitRateLow {name}" in text for text in told)] == [
        "in"
    ]


def tomorrow(day: datetime) -> datetime:
    """A test may begin before midnight and end after it."""
    return day + timedelta(days=1)


@pytest.mark.parametrize(
    ("name", "who"), [("P0UnacknowledgedLead", "lead"), ("P0UnacknowledgedCto", "cto")]
)
def test_what_nobody_acknowledged_goes_one_up(
    tmp_path: Path, people: Humans, name: str, who: str
) -> None:
    alert = POSTGRES_DOWN | {"alertname": name, "escalation": who, "category": "meta"}
    with an_alertmanager(tmp_path, people) as running:
        running.fire(alert | {"remediation": "manual"})
        ways = {f"/{who}", f"mail {who}@piano-tutor.com", SLACK}
        for way in ways:
            people.await_(way, name)
        running.resolve(alert | {"remediation": "manual"})
        people.await_(f"/{who}", name, '"status": "resolved"')
    assert people.ways(name) == ways, "the team was paged for the alert itself"


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_an_end_repeats_nothing_and_forgets_no_silence(
    tmp_path: Path, people: Humans, end: str
) -> None:
    """Of what it has written down: a stop writes at once, a kill leaves the last snapshot."""
    silenced = POSTGRES_DOWN | {"service": "postgres-2"}
    new = POSTGRES_DOWN | {"service": "postgres-3"}
    ways = {"/team-a", "mail team-a@piano-tutor.com", SLACK, HOOK}
    with an_alertmanager(tmp_path, people, snapshots="1s") as running:
        running.fire(POSTGRES_DOWN)
        for way in ways:
            people.await_(way, "PostgresDown")
        until(lambda: running.written("nflog", "PostgresDown") == len(ways), within_seconds=SLOW)
        running.silence(service="postgres-2")
        if end == "kill":
            until(lambda: running.written("silences", "postgres-2"), within_seconds=SLOW)
            running.kill()
        else:
            running.stop()
        before = len(people.told)
        running.start()
        assert len(running.silences()) == 1
        # As Prometheus tells them again.
        running.fire(POSTGRES_DOWN, silenced, new)
        for way in ways:
            people.await_(way, "postgres-3")
        again = [one for one in people.told[before:] if "postgres-3" not in one.text]
        assert [(one.way, one.text) for one in again] == []
        running.resolve(POSTGRES_DOWN)
        people.await_("/team-a", '"service": "postgres"', '"status": "resolved"')


def test_what_a_kill_leaves_unwritten_is_told_again_rather_than_never(
    tmp_path: Path, people: Humans
) -> None:
    with an_alertmanager(tmp_path, people) as running:
        running.silence(service="postgres-2")
        running.fire(POSTGRES_DOWN)
        people.await_("/team-a", "PostgresDown")
        running.kill()
        running.start()
        running.fire(POSTGRES_DOWN)
        people.await_("/team-a", "PostgresDown", times=2)
        assert running.silences() == [], "docs/howto/oncall.md says so"

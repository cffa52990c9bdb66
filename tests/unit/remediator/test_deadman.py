"""Both switches: who is silent is noticed, and only what works gives a sign of life."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from remediator.deadman import DeadMan, Heartbeat
from remediator.journal import JournalUnavailable
from remediator.ports import Transient
from remediator.watchdog import Watchdog
from tests.fakes import START, FakeClock, FakePager
from tests.http_fakes import Answer, FakeServer, fake_server


@dataclass
class Chain:
    """What must work for a heartbeat."""

    journal: bool = True
    prometheus: bool = True
    counted: list[str] = field(default_factory=list)

    def prove_journal(self, now: datetime) -> None:
        if not self.journal:
            raise JournalUnavailable("the journal cannot be written")

    def prove_prometheus(self) -> None:
        if not self.prometheus:
            raise Transient("cannot ask Prometheus")


@pytest.fixture
def outside() -> Iterator[FakeServer]:
    with fake_server({"uuid": Answer("OK")}) as server:
        yield server


@pytest.fixture
def chain() -> Chain:
    return Chain()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def pager() -> FakePager:
    return FakePager()


@pytest.fixture
def watchdog() -> Watchdog:
    return Watchdog("Watchdog", timedelta(minutes=5), START)


@pytest.fixture
def dead_man(
    watchdog: Watchdog, chain: Chain, clock: FakeClock, pager: FakePager, outside: FakeServer
) -> DeadMan:
    return DeadMan(
        watchdog=watchdog,
        heartbeat=Heartbeat(f"{outside.url}/ping/uuid", timedelta(minutes=1)),
        pager=pager,
        prove_journal=chain.prove_journal,
        prove_prometheus=chain.prove_prometheus,
        count=chain.counted.append,
        external_url="http://remediator",
        clock=clock,
    )


def test_a_silent_watchdog_is_told_each_minute_until_it_is_heard_again(
    dead_man: DeadMan, watchdog: Watchdog, clock: FakeClock, pager: FakePager
) -> None:
    dead_man.turn()
    clock.wait(300)
    dead_man.turn()
    assert pager.said == []
    clock.wait(1)
    for _ in range(4):  # every 30 s
        dead_man.turn()
        clock.wait(30)
    assert [notice.labels["alertname"] for notice in pager.said] == ["WatchdogMissing"] * 2
    assert pager.said[0].labels == {
        "alertname": "WatchdogMissing",
        "severity": "P1",
        "service": "remediator",
        "category": "meta",
        "remediation": "manual",
    }
    watchdog.seen(clock())
    dead_man.turn()
    dead_man.turn()
    assert pager.over == [pager.said[0]]


def test_a_start_waits_for_the_first_one(watchdog: Watchdog) -> None:
    assert not watchdog.missing(START + timedelta(minutes=5))
    assert watchdog.missing(START + timedelta(minutes=6))
    watchdog.seen(START + timedelta(minutes=6))
    assert not watchdog.missing(START + timedelta(minutes=11))


def test_a_heartbeat_goes_out_in_its_interval(
    dead_man: DeadMan, chain: Chain, clock: FakeClock, outside: FakeServer
) -> None:
    for _ in range(5):  # in 80 s
        dead_man.turn()
        clock.wait(20)
    assert outside.requests == [("GET", "/ping/uuid")] * 2
    assert chain.counted == ["sent", "sent"]


@pytest.mark.parametrize("broken", ["journal", "prometheus"])
def test_no_heartbeat_while_something_is_broken(
    dead_man: DeadMan, chain: Chain, clock: FakeClock, outside: FakeServer, broken: str
) -> None:
    setattr(chain, broken, False)
    dead_man.turn()
    assert (outside.requests, chain.counted) == ([], ["withheld"])
    setattr(chain, broken, True)
    clock.wait(60)
    dead_man.turn()
    assert chain.counted == ["withheld", "sent"]


def test_no_heartbeat_while_nobody_can_be_told_that_alerts_stay_away(
    dead_man: DeadMan, chain: Chain, clock: FakeClock, pager: FakePager
) -> None:
    pager.down = True
    clock.wait(301)
    dead_man.turn()
    assert chain.counted == ["withheld"]
    pager.down = False
    clock.wait(60)
    dead_man.turn()
    assert chain.counted == ["withheld", "sent"], "somebody has been told: it lives"


@pytest.mark.parametrize("answer", [Answer("", 500), Answer("", 404), Answer("", 302)])
def test_a_ping_that_is_not_taken_is_counted_and_its_address_is_not_logged(
    dead_man: DeadMan, chain: Chain, caplog: pytest.LogCaptureFixture, answer: Answer
) -> None:
    caplog.set_level(logging.WARNING, "httpx")  # as main.py does
    with fake_server({"uuid": answer}) as refusing:
        dead_man.heartbeat = Heartbeat(f"{refusing.url}/ping/uuid", timedelta(minutes=1))
        dead_man.turn()
    assert chain.counted == ["failed"]
    assert "uuid" not in caplog.text


def test_an_outside_that_is_away_is_counted(dead_man: DeadMan, chain: Chain) -> None:
    dead_man.heartbeat = Heartbeat("http://127.0.0.1:9/x", timedelta(minutes=1))
    dead_man.turn()
    assert chain.counted == ["failed"]


def test_each_switch_works_without_the_other(
    dead_man: DeadMan, chain: Chain, clock: FakeClock, pager: FakePager
) -> None:
    dead_man.watchdog = None
    clock.wait(3600)
    dead_man.turn()
    assert (pager.said, chain.counted) == ([], ["sent"])
    dead_man.heartbeat = None
    clock.wait(3600)
    dead_man.turn()
    assert chain.counted == ["sent"]

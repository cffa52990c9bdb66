"""The call for a human that needs no journal."""

import json
from datetime import timedelta

from remediator.alarm import JournalAlarm
from remediator.notify import AlertmanagerPager
from tests.fakes import FakeClock
from tests.http_fakes import Answer, FakeServer, fake_server

ALERTS = {"alerts": Answer("{}")}


def alarm_at(url: str, clock: FakeClock) -> JournalAlarm:
    pager = AlertmanagerPager(url, clock=clock)
    return JournalAlarm(pager, external_url="http://r/", after_seconds=30, clock=clock)


def posted(server: FakeServer) -> list[dict[str, str]]:
    return [json.loads(body)[0] for body in server.bodies]


def test_a_moment_of_trouble_is_not_told_and_lasting_trouble_is() -> None:
    clock = FakeClock()
    with fake_server(ALERTS) as server:
        alarm = alarm_at(server.url, clock)
        alarm.failed("full")
        alarm.works()
        clock.wait(40)
        alarm.failed("full")
        clock.wait(29)
        alarm.failed("full")
        assert server.bodies == []
        assert alarm.trouble == "full"
        clock.wait(1)
        alarm.failed("full")
        assert len(server.bodies) == 1


def test_it_is_told_again_before_it_would_end_and_ended_when_the_journal_works() -> None:
    clock = FakeClock()
    with fake_server(ALERTS) as server:
        alarm = alarm_at(server.url, clock)
        for _ in range(7):
            alarm.failed("full")
            clock.wait(15)
        alarm.works()
        alarm.works()
        assert alarm.trouble is None
        first, again, end = posted(server)
    assert again["startsAt"] > first["startsAt"]
    assert end["endsAt"] == (clock() - timedelta(seconds=1)).isoformat(
        timespec="milliseconds"
    ).replace("+00:00", "Z")
    assert first["labels"] == again["labels"] == end["labels"]


def test_an_alertmanager_that_is_away_is_tried_again_at_each_turn() -> None:
    clock = FakeClock()
    with fake_server({}) as server:  # 404
        alarm = alarm_at(server.url, clock)
        alarm.tell("full")
        alarm.tell("full")
        assert len(server.bodies) == 2
    alarm.tell("full")  # nobody is there: logged, and no more
    alarm.works()

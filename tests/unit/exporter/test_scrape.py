"""One scrape under one deadline: failing, slow and raising collectors, overlapping scrapes."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from typing_extensions import override

from exporter.collectors import Opened
from exporter.families.metric import Family, families_of, gauge
from exporter.readings import Cause, LiveColour, Unreachable
from exporter.scrape import Scrape, Scraper

UP = gauge("up_of_fake", "Whether the fake was read.", ("target",))
Reading = LiveColour | Unreachable


def up_families(target: str, reading: Reading) -> list[Family]:
    return [UP.family([((target,), not isinstance(reading, Unreachable))])]


@dataclass
class Fake:
    """A collector that does what it is told."""

    act: Callable[[], Reading] = lambda: LiveColour("blue")
    calls: int = 0
    cancelled: threading.Event = field(default_factory=threading.Event)

    def collect(self, deadline: float) -> Reading:
        self.calls += 1
        return self.act()

    def cancel(self) -> None:
        self.cancelled.set()

    def close(self) -> None:
        pass


def opened(name: str, fake: Fake) -> Opened:
    return Opened(name, name, fake, up_families)


@contextmanager
def held() -> Iterator[tuple[threading.Event, Callable[[], Reading]]]:
    """A gate and an act that waits behind it."""
    gate = threading.Event()

    def wait() -> Reading:
        gate.wait(10)
        return LiveColour("blue")

    try:
        yield gate, wait
    finally:
        gate.set()


def samples(scrape: Scrape, name: str) -> dict[str, float]:
    return {
        values[0]: number
        for family in families_of(scrape.families)
        if family.metric.name == name
        for values, number in family.samples
    }


def success(scrape: Scrape) -> dict[str, float]:
    return samples(scrape, "stackmedic_scrape_collector_success")


def raising() -> Reading:
    raise RuntimeError("a bug")


def test_one_collector_failing_in_any_way_leaves_the_others_whole() -> None:
    with held() as (_, wait):
        scraper = Scraper(
            [
                opened("good", Fake()),
                opened("away", Fake(lambda: Unreachable(Cause.CONNECT, "nobody"))),
                opened("buggy", Fake(raising)),
                opened("slow", Fake(wait)),
            ],
            time.monotonic,
        )
        began_at = time.monotonic()
        scrape = scraper.scrape(0.2)

        assert time.monotonic() - began_at < 5
        assert success(scrape) == {"good": 1, "away": 0, "buggy": 0, "slow": 0}
        assert samples(scrape, "up_of_fake") == {"good": 1, "away": 0, "buggy": 0, "slow": 0}
        assert samples(scrape, "stackmedic_scrape_collector_timeouts_total") == {
            "good": 0,
            "away": 0,
            "buggy": 0,
            "slow": 1,
        }
        assert set(samples(scrape, "stackmedic_scrape_collector_duration_seconds")) == {
            "good",
            "away",
            "buggy",
            "slow",
        }


def test_a_late_collector_is_cancelled_and_not_started_again_while_it_runs() -> None:
    with held() as (gate, wait):
        slow = Fake(wait)
        scraper = Scraper([opened("slow", slow)], time.monotonic)

        scraper.scrape(0.05)
        scrape = scraper.scrape(0.05)

        assert slow.calls == 1
        assert slow.cancelled.is_set()
        assert samples(scrape, "stackmedic_scrape_collector_timeouts_total") == {"slow": 1}
        gate.set()

    while not success(scraper.scrape(1.0))["slow"]:
        pass  # the first run is just ending
    assert slow.calls >= 2


def test_overlapping_scrapes_share_one_run() -> None:
    with held() as (gate, wait):
        slow = Fake(wait)
        scraper = Scraper([opened("slow", slow)], time.monotonic)
        results: list[Scrape] = []
        threads = [
            threading.Thread(target=lambda: results.append(scraper.scrape(10))) for _ in range(5)
        ]
        for thread in threads:
            thread.start()
        while not slow.calls:
            time.sleep(0.001)
        gate.set()
        for thread in threads:
            thread.join(10)

    assert [success(result) for result in results] == [{"slow": 1}] * 5
    assert slow.calls <= 2  # a scrape that came after the gate opened may run afresh


def test_only_the_collectors_asked_for_are_run() -> None:
    one, other = Fake(), Fake()
    scraper = Scraper([opened("one", one), opened("other", other)], time.monotonic)

    scrape = scraper.scrape(1, ["one"])

    assert success(scrape) == {"one": 1}
    assert (one.calls, other.calls) == (1, 0)


def test_a_collector_is_as_good_as_its_worst_target() -> None:
    bad = Fake(lambda: Unreachable(Cause.DNS))
    scraper = Scraper([opened("probes", Fake()), opened("probes", bad)], time.monotonic)

    assert success(scraper.scrape(1)) == {"probes": 0}


def test_problems_in_part_of_a_reading_are_no_success_but_keep_the_reading() -> None:
    fake = Fake(lambda: LiveColour("blue", problems=("something",)))

    scrape = Scraper([opened("partial", fake)], time.monotonic).scrape(1)

    assert success(scrape) == {"partial": 0}
    assert samples(scrape, "up_of_fake") == {"partial": 1}


def test_families_that_raise_do_not_end_the_scrape() -> None:
    def families(target: str, reading: Reading) -> list[Family]:
        raise KeyError("a bug in families")

    scraper = Scraper(
        [Opened("bad", "bad", Fake(), families), opened("good", Fake())], time.monotonic
    )

    assert success(scraper.scrape(1)) == {"bad": 0, "good": 1}


@dataclass
class Near(Fake):
    """A collector that says itself whether it has to wait for anybody."""

    near: bool = True

    def instant(self) -> bool:
        return self.near


def test_what_waits_for_nobody_needs_no_thread_and_comes_last() -> None:
    threads: dict[str, str] = {}

    def told(name: str) -> Callable[[], Reading]:
        def act() -> Reading:
            threads[name] = threading.current_thread().name
            return LiveColour("blue")

        return act

    scraper = Scraper(
        [
            opened("near", Near(told("near"))),
            opened("waiting", Near(told("waiting"), near=False)),
            opened("far", Fake(told("far"))),
        ],
        time.monotonic,
    )

    assert success(scraper.scrape(5)) == {"near": 1, "waiting": 1, "far": 1}
    scraper.close()
    assert threads["near"] == threading.current_thread().name
    assert threads["waiting"] == threads["far"] == "collect"


def test_a_near_collector_that_raises_fails_alone() -> None:
    scraper = Scraper([opened("bug", Near(raising)), opened("good", Fake())], time.monotonic)

    assert success(scraper.scrape(5)) == {"bug": 0, "good": 1}


@dataclass
class PunctualFake(Fake):
    """One that is sure to be back in time."""

    thread: str = ""

    def punctual(self) -> bool:
        return True

    @override
    def collect(self, deadline: float) -> Reading:
        self.thread = threading.current_thread().name
        return super().collect(deadline)


def test_one_punctual_collector_runs_in_the_scrapes_own_thread_while_the_others_wait() -> None:
    with held() as (gate, wait):
        slow = Fake(wait)

        def let_go() -> Reading:
            gate.set()  # it began only when the slow one was under way
            return LiveColour("blue")

        first, second = PunctualFake(let_go), PunctualFake()
        scraper = Scraper(
            [opened("first", first), opened("slow", slow), opened("second", second)],
            time.monotonic,
        )

        done = scraper.scrape(10)

    here = threading.current_thread().name
    assert first.thread == here
    assert second.thread != here
    assert success(done) == {"first": 1, "slow": 1, "second": 1}
    assert [o.collector for o in done.outcomes] == ["first", "slow", "second"]

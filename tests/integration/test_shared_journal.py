"""Two real remediators on one journal: one of them acts, and dies, and the other goes on.

The clock of the second one's machine is an hour ahead throughout.
"""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.builders import a_body
from tests.integration.edge_containers import docker_logs, needs_docker, until
from tests.integration.edge_journal import JournalServer, journal_server
from tests.integration.edge_monitoring import SLOW
from tests.integration.live_remediator import (
    PROGRAM,
    RESTART,
    RESTART_DB,
    Remediator,
    Stage,
    a_remediator,
    a_stage,
)

pytestmark = [pytest.mark.integration, needs_docker]

MORTAL = str(Path(__file__).with_name("mortal.py"))
AHEAD = (sys.executable, str(Path(__file__).with_name("skewed.py")))
ALARM = "RemediatorJournalUnavailable"
STUBBORN = 'echo started; trap "echo told" TERM; while :; do sleep 600 & wait; done'
"""Its restart takes as long as it is given to stop."""
SLOWLY = RESTART_DB["steps"][0] | {"with": {"stop_timeout": "4s"}}
CUTS = 80
PATIENT = RESTART_DB["verify"] | {"within": "30s"}
RUNBOOKS = (RESTART, RESTART_DB | {"steps": [SLOWLY], "verify": PATIENT})


@dataclass
class Pair:
    """`second` looks only when it is woken, so that `first` takes whatever it is told."""

    first: Remediator
    second: Remediator
    server: JournalServer
    stage: Stage

    def start(self, first: Sequence[str] = PROGRAM) -> None:
        self.first.start(first)
        self.second.start(AHEAD)

    def tell_second(self) -> None:
        self.stage.wire.to |= dict.fromkeys(self.second.services, self.second.url)

    def tell_first(self) -> None:
        self.stage.wire.to |= dict.fromkeys(self.first.services, self.first.url)

    def states(self, target: str) -> list[str]:
        query = f"SELECT state FROM runs WHERE target = '{target}' ORDER BY id"  # noqa: S608
        return [state for (state,) in self.server.rows(query)]

    def said(self) -> str:
        return self.first.said() + self.second.said()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with a_stage(tmp_path_factory.mktemp("stage")) as stage:
        yield stage


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JournalServer]:
    with journal_server(tmp_path_factory.mktemp("journal")) as server:
        yield server


@pytest.fixture
def server(shared: JournalServer) -> JournalServer:
    shared.empty()
    return shared


@pytest.fixture
def web(stage: Stage) -> Iterator[str]:
    with stage.world.service() as name:
        yield name


@pytest.fixture
def db(stage: Stage) -> Iterator[str]:
    with stage.world.service("db", STUBBORN) as name:
        yield name


@contextmanager
def a_pair(
    stage: Stage, server: JournalServer, folder: Path, services: Sequence[str], second_looks: str
) -> Iterator[Pair]:
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(
                a_remediator(
                    stage, folder / name, services, runbooks=RUNBOOKS,
                    state_file=None, journal=server.section(name), reconcile_interval=looks,
                )
            )
            for name, looks in (("first", "300ms"), ("second", second_looks))
        )  # fmt: skip
        pair = Pair(first, second, server, stage)
        pair.tell_first()
        yield pair


@pytest.fixture
def pair(stage: Stage, server: JournalServer, web: str, db: str, tmp_path: Path) -> Iterator[Pair]:
    with a_pair(stage, server, tmp_path, [web, db], "1h") as pair:
        yield pair


def test_of_two_that_see_the_same_faults_one_acts_on_each(
    stage: Stage, server: JournalServer, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        services = [stack.enter_context(stage.world.service()) for _ in range(4)]
        pair = stack.enter_context(a_pair(stage, server, tmp_path, services, "300ms"))
        pair.start()
        for service in services:
            stage.world.break_(service)
        for service in services:
            pair.first.until(lambda s=service: pair.first.rests(s), f"{service} is mended")  # type: ignore[misc]
        assert [pair.states(service) for service in services] == [["effective"]] * 4
        assert [stage.world.starts(service) for service in services] == [2] * 4
        assert pair.second.incidents(services[0]) == pair.first.incidents(services[0])
        assert "Traceback" not in pair.said()


@dataclass(frozen=True)
class Death:
    """At which write the first dies, before or after its commit; what is found afterwards."""

    kind: str
    when: str
    states: list[str]
    restarts: int

    def __str__(self) -> str:
        return f"{self.when}-{self.kind}"


@pytest.mark.parametrize(
    "death",
    [
        Death("run_executing", "before", ["cancelled", "effective"], 1),
        Death("run_executing", "after", ["ineffective"], 0),
        Death("step_ended", "before", ["effective"], 1),
        Death("run_verifying", "after", ["effective"], 1),
    ],
    ids=str,
)
def test_the_other_takes_over_from_one_that_was_killed_and_repeats_nothing(
    pair: Pair, db: str, death: Death
) -> None:
    pair.start((sys.executable, MORTAL, death.kind, death.when, db))
    pair.stage.world.break_(db)
    assert pair.first.processes[-1].wait(SLOW) == -signal.SIGKILL
    pair.tell_second()
    pair.second.until(lambda: pair.states(db) == death.states, "the other has gone on")
    assert pair.second.sharers() == {"first": "lost", "second": "works"}
    assert pair.stage.world.starts(db) == 1 + death.restarts
    if not death.restarts:
        pair.second.until(lambda: pair.second.is_paged(db), "a human is called")
    else:
        pair.second.until(lambda: pair.second.rests(db), "it is over")

    pair.first.start()  # as if nothing had been
    pair.first.goes_round()
    assert pair.states(db) == death.states
    assert "Traceback" not in pair.said()


def test_one_that_was_frozen_while_it_acted_writes_nothing_over_the_other(
    pair: Pair, db: str
) -> None:
    pair.start()
    pair.stage.world.break_(db)
    until(lambda: "told" in docker_logs(pair.stage.world.containers[db]), within_seconds=SLOW)
    frozen = pair.first.processes[-1]
    frozen.send_signal(signal.SIGSTOP)
    pair.tell_second()
    pair.second.until(lambda: pair.states(db) == ["effective"], "the other has gone on")
    frozen.send_signal(signal.SIGCONT)
    pair.first.until(lambda: "silent for too long" in pair.first.said(), "it hears of it")
    pair.second.until(lambda: pair.second.rests(db), "it is over")
    pair.first.goes_round()
    assert pair.states(db) == ["effective"]
    assert pair.stage.world.starts(db) == 2
    assert "Traceback" not in pair.said()


def test_one_that_is_told_to_stop_leaves_its_work_to_the_other_at_once(
    pair: Pair, web: str
) -> None:
    pair.start()
    assert pair.second.sharers() == {"first": "works", "second": "works"}
    assert (pair.first.metric("remediator_leads"), pair.second.metric("remediator_leads")) == (1, 0)
    pair.first.processes[-1].terminate()
    assert pair.first.processes[-1].wait(40) == 0
    at_work = "SELECT name FROM remediators WHERE ended_at IS NULL"
    assert pair.server.rows(at_work) == [("second",)]
    assert pair.second.sharers() == {"first": "stopped", "second": "works"}
    assert pair.second.metric("remediator_leads") == 1
    pair.tell_second()
    pair.stage.world.break_(web)
    pair.second.until(lambda: pair.second.rests(web), "it is mended")
    assert pair.stage.world.starts(web) == 2


@pytest.mark.parametrize(
    ("begin", "end", "said"),
    [
        (JournalServer.stop, JournalServer.start, "it goes on by itself then"),
        (JournalServer.freeze, JournalServer.thaw, "it goes on by itself then"),
        (JournalServer.refuse_writes, JournalServer.take_writes, "read-only"),
    ],
    ids=["stopped", "frozen", "read-only"],
)
def test_a_server_in_trouble_pages_nothing_is_done_and_it_goes_on_by_itself(
    pair: Pair,
    web: str,
    begin: Callable[[JournalServer], None],
    end: Callable[[JournalServer], None],
    said: str,
) -> None:
    pair.start()
    pair.first.goes_round()
    begin(pair.server)
    try:
        pair.stage.world.break_(web)
        until(
            lambda: [p.status for p in pair.stage.wire.of(web)][:2] == [503, 503],
            within_seconds=2 * SLOW,
        )
        pair.first.until(lambda: pair.stage.alertmanager.alerts(ALARM), "a human is called", 90)
        (alarm,) = pair.stage.alertmanager.alerts(ALARM)
        assert said in alarm["annotations"]["description"]
        assert pair.first.answers("/-/ready") == 503
        assert pair.stage.world.starts(web) == 1
    finally:
        end(pair.server)
    pair.first.until(lambda: pair.first.rests(web), "it is mended when the server is back", 90)
    assert pair.stage.world.starts(web) == 2
    pair.first.until(lambda: pair.first.answers("/-/ready") == 200, "it is ready again")
    pair.first.until(lambda: not pair.stage.alertmanager.alerts(ALARM), "the call is over")
    assert "Traceback" not in pair.said()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[JournalServer]:
    """A server on a disk that can be filled."""
    with journal_server(tmp_path, "-c", "checkpoint_timeout=1h", disk="160m") as server:
        yield server


def test_a_full_disk_pages_nothing_is_done_and_it_goes_on_by_itself(
    stage: Stage, small: JournalServer, web: str, tmp_path: Path
) -> None:
    with a_remediator(
        stage, tmp_path, [web], state_file=None, journal=small.section("first")
    ) as remediator:
        remediator.start()
        small.fill_disk()
        try:
            # What a table has left in its last page is used up first.
            until(
                lambda: 503 in {remediator.told(a_body()) for _ in range(50)}, within_seconds=SLOW
            )
            stage.world.break_(web)
            remediator.until(lambda: stage.alertmanager.alerts(ALARM), "a human is called", 90)
            (alarm,) = stage.alertmanager.alerts(ALARM)
            assert "make room on the server's disk" in alarm["annotations"]["description"]
            assert remediator.answers("/-/ready") == 503
            assert stage.world.starts(web) == 1
        finally:
            small.free_disk()
        remediator.until(lambda: remediator.rests(web), "it is mended when there is room", 90)
        assert stage.world.starts(web) == 2
        remediator.until(lambda: not stage.alertmanager.alerts(ALARM), "the call is over")
        assert "Traceback" not in remediator.said()


def test_connections_that_are_cut_again_and_again_lose_nothing_and_double_nothing(
    pair: Pair, web: str, db: str
) -> None:
    pair.start()
    for service in (web, db):
        pair.stage.world.break_(service)

    def is_over(service: str) -> bool:
        """A step whose intent was cut off is left to a human, as after a death."""
        return pair.states(service)[-1:] == ["effective"] or pair.first.is_paged(service)

    cuts = iter(range(CUTS))

    def over() -> bool:
        if next(cuts, None) is not None:
            pair.server.cut()
        return is_over(web) and is_over(db)

    pair.first.until(over, "both are over")
    for service in (web, db):
        is_mended = pair.states(service)[-1] == "effective"
        assert pair.stage.world.starts(service) in ({2} if is_mended else {1, 2}), pair.said()
    assert "Traceback" not in pair.said()


def test_two_of_one_name_are_refused(pair: Pair, tmp_path: Path, stage: Stage, web: str) -> None:
    pair.start()
    with a_remediator(
        stage, tmp_path / "third", [web], state_file=None, journal=pair.server.section("first")
    ) as third:
        assert third.begin().wait(SLOW) == 1
        assert "another remediator named first works on this journal" in third.said()


def test_one_that_starts_without_the_server_pages_and_ends_with_a_sentence(
    pair: Pair, web: str
) -> None:
    pair.server.stop()
    try:
        assert pair.first.begin().wait(SLOW) == 1
        assert "cannot start: the journal cannot be used" in pair.first.said()
        assert "Traceback" not in pair.first.said()
        assert "not a secret" not in pair.first.said()
        assert pair.stage.alertmanager.alerts(ALARM)
    finally:
        pair.server.start()
    pair.first.start()
    assert pair.first.http.post("/webhook/alertmanager", json=a_body()).status_code == 200

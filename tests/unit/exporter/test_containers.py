"""What the engine says of containers and services, and how the set is kept by its events."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from exporter.collectors.docker import EventedContainers
from exporter.collectors.engine import NotFound
from exporter.collectors.event_counts import exit_code_word
from exporter.collectors.inspection import container_of, lasting_name, unix_time
from exporter.collectors.port import Clocks
from exporter.families.containers import families
from exporter.readings import (
    Cause,
    Container,
    Containers,
    ContainerState,
    Health,
    Unreachable,
)
from exporter.targets import Engine, Service

CLOCKS = Clocks(time.monotonic, time.time)
ENGINE = Engine("unix:///fake", projects=("core",), services=(Service("web", "core", "web"),))


def made(state: ContainerState, **changes: object) -> Container:
    parts = {"id": "1", "name": "web-1", "image": "i", "project": "core", "compose_service": "web"}
    return replace(Container(state=state, **parts), **changes)


def service_state(*containers: Container) -> str:
    (family,) = (
        f
        for f in families(ENGINE, Containers(0, containers))
        if f.metric.name == "compose_service_state"
    )
    (word,) = (values[1] for values, number in family.samples if number)
    return word


def test_a_service_without_a_container_is_missing() -> None:
    assert service_state() == "missing"
    assert service_state(made(ContainerState.RUNNING, project="other")) == "missing"
    assert service_state(made(ContainerState.RUNNING, one_off=True)) == "missing"


def test_a_container_made_but_not_started_is_not_down() -> None:
    assert service_state(made(ContainerState.EXITED), made(ContainerState.CREATED)) == "created"


def test_one_running_replica_makes_the_service_run() -> None:
    assert service_state(made(ContainerState.DEAD), made(ContainerState.RUNNING)) == "running"


def test_two_containers_of_one_name_are_one_series() -> None:
    found = families(
        ENGINE,
        Containers(0, (made(ContainerState.EXITED, id="1"), made(ContainerState.RUNNING, id="2"))),
    )

    (state,) = (f for f in found if f.metric.name == "container_state")
    assert [values[-1] for values, number in state.samples if number] == ["running"]


DOCUMENT = {
    "Id": "abc",
    "Name": "/0123456789ab_web-1",
    "Created": "2026-11-24T10:00:00.123456789Z",
    "RestartCount": 3,
    "State": {
        "Status": "exited",
        "ExitCode": 137,
        "OOMKilled": True,
        "Pid": 0,
        "StartedAt": "2026-11-24T10:00:01Z",
        "FinishedAt": "0001-01-01T00:00:00Z",
        "Health": {"Status": "unhealthy", "FailingStreak": 4},
    },
    "Config": {
        "Image": "web:1",
        "Labels": {
            "com.docker.compose.project": "core",
            "com.docker.compose.service": "web",
            "com.docker.compose.oneoff": "True",
        },
    },
    "Image": "sha256:12",
    "HostConfig": {
        "Memory": 1024,
        "MemoryReservation": 512,
        "MemorySwap": 2048,
        "NanoCpus": 500000000,
        "CgroupParent": "/demo",
        "RestartPolicy": {"Name": "unless-stopped"},
    },
}


def test_an_inspect_document_becomes_a_container() -> None:
    container = container_of(DOCUMENT)

    assert container == Container(
        id="abc",
        name="web-1",
        image="web:1",
        state=ContainerState.EXITED,
        project="core",
        compose_service="web",
        one_off=True,
        image_id="sha256:12",
        restart_policy="unless-stopped",
        health=Health.NONE,
        failing_streak=4,
        restarts=3,
        exit_code=137,
        oom_killed=True,
        created_at=1795514400.123456,
        started_at=1795514401.0,
        cgroup_parent="/demo",
        memory_limit_bytes=1024,
        memory_reservation_bytes=512,
        memory_swap_limit_bytes=2048,
        cpu_quota=50000,
        cpu_period=100000,
    )


@pytest.mark.parametrize("document", [{}, {"State": None, "Config": None, "HostConfig": None}])
def test_a_document_with_holes_does_not_raise(document: dict[str, Any]) -> None:
    assert container_of(document).state is ContainerState.DEAD


def test_the_name_compose_gives_while_replacing_is_not_a_new_name() -> None:
    assert lasting_name("0123456789ab_web-1") == "web-1"
    assert lasting_name("my_web-1") == "my_web-1"


def test_nonsense_times_are_never() -> None:
    assert [unix_time(t) for t in (None, "", "soon", "0001-01-01T00:00:00Z")] == [0.0] * 4


def test_unknown_exit_codes_fold() -> None:
    assert [exit_code_word(code) for code in ("0", 137, "42", None)] == [
        "0",
        "137",
        "other",
        "other",
    ]


class FakeEngine:
    """Containers, an event stream, and a switch for being away. Stands for docker's client."""

    def __init__(self) -> None:
        self.containers: dict[str, str] = {}  # id -> status
        self.away = threading.Event()
        self.streams: list[queue.Queue[Any]] = []
        self.lists = 0
        self.clock = 1

    def connect(self, url: str, timeout: float) -> "FakeClient":
        if self.away.is_set():
            raise ConnectionRefusedError("away")
        return FakeClient(self)

    def tell(self, action: str, container_id: str, **attributes: str) -> None:
        self.clock += 1
        event = {
            "Action": action,
            "timeNano": self.clock,
            "Actor": {
                "ID": container_id,
                "Attributes": {
                    "com.docker.compose.project": "core",
                    "name": f"name-{container_id}",
                    **attributes,
                },
            },
        }
        for stream in self.streams:
            stream.put(event)

    def end_streams(self) -> None:
        for stream in self.streams:
            stream.put(None)
        self.streams.clear()


class FakeStream:
    def __init__(self, events: "queue.Queue[Any]") -> None:
        self.events = events

    def __iter__(self) -> Iterator[Any]:
        while (event := self.events.get()) is not None:
            yield event

    def close(self) -> None:
        self.events.put(None)

    def release(self) -> None:
        pass


class FakeClient:
    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine
        self.timeout = 0.0

    def _answer(self) -> None:
        if self.engine.away.is_set():
            raise ConnectionRefusedError("away")

    def containers(self) -> list[Mapping[str, Any]]:
        self._answer()
        self.engine.lists += 1
        labels = {"com.docker.compose.project": "core"}
        return [{"Id": key, "Labels": labels} for key in self.engine.containers]

    def inspect(self, container_id: str) -> dict[str, Any]:
        self._answer()
        if container_id not in self.engine.containers:
            raise NotFound("gone")
        return {
            "Id": container_id,
            "Name": f"/name-{container_id}",
            "State": {"Status": self.engine.containers[container_id]},
            "Config": {"Labels": {"com.docker.compose.project": "core"}},
        }

    def info(self) -> dict[str, int]:
        self._answer()
        return {"NCPU": 2, "MemTotal": 1 << 30}

    def events(self, since: str | None, filters: object) -> FakeStream:
        self._answer()
        stream: queue.Queue[Any] = queue.Queue()
        self.engine.streams.append(stream)
        return FakeStream(stream)

    def close(self) -> None:
        pass


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def kept(engine: FakeEngine) -> Iterator[EventedContainers]:
    containers = EventedContainers(ENGINE, CLOCKS, engine.connect)
    yield containers
    containers.close()


def states(kept: EventedContainers) -> dict[str, str] | Cause:
    reading = kept.current(time.monotonic() + 1)
    if isinstance(reading, Unreachable):
        return reading.cause
    return {c.name: str(c.state) for c in reading.containers}


def eventually(check: Callable[[], object], expected: object) -> None:
    end = time.monotonic() + 5
    while (found := check()) != expected:
        assert time.monotonic() < end, found
        time.sleep(0.01)


def test_an_event_changes_the_set_without_a_new_list(
    engine: FakeEngine, kept: EventedContainers
) -> None:
    engine.containers["a"] = "running"
    kept.start()
    eventually(lambda: kept._live, expected=True)
    lists = engine.lists
    engine.containers["a"] = "exited"
    engine.tell("die", "a", exitCode="137")

    eventually(lambda: states(kept), {"name-a": "exited"})
    reading = kept.current(time.monotonic() + 1)
    assert isinstance(reading, Containers)
    assert reading.exits == {("name-a", "137"): 1}
    del engine.containers["a"]
    engine.tell("destroy", "a")
    eventually(lambda: states(kept), {})
    assert engine.lists == lists


def test_an_event_told_twice_counts_once(engine: FakeEngine, kept: EventedContainers) -> None:
    engine.containers["a"] = "running"
    kept.start()
    eventually(lambda: kept._live, expected=True)
    engine.tell("oom", "a")
    engine.clock -= 1
    engine.tell("oom", "a")
    engine.containers["a"] = "exited"
    engine.tell("die", "a", exitCode="1")
    eventually(lambda: states(kept), {"name-a": "exited"})

    reading = kept.current(time.monotonic() + 1)
    assert isinstance(reading, Containers)
    assert reading.oom_events == {"name-a": 1}


def test_an_engine_away_at_the_start_is_told_and_then_followed(
    engine: FakeEngine, kept: EventedContainers
) -> None:
    engine.away.set()
    kept.start()
    assert states(kept) is Cause.CONNECT
    assert isinstance(kept.known(time.monotonic() + 1), Unreachable)
    engine.containers["a"] = "running"
    engine.away.clear()

    assert states(kept) == {"name-a": "running"}
    eventually(lambda: kept._live, expected=True)


def test_an_engine_going_away_is_unreachable_but_the_last_set_is_known(
    engine: FakeEngine, kept: EventedContainers
) -> None:
    engine.containers["a"] = "running"
    kept.start()
    eventually(lambda: kept._live, expected=True)
    engine.away.set()
    engine.end_streams()

    eventually(lambda: states(kept), Cause.CONNECT)
    known = kept.known(time.monotonic() + 1)
    assert isinstance(known, Containers)
    assert [c.name for c in known.containers] == ["name-a"]
    del engine.containers["a"]
    engine.away.clear()
    eventually(lambda: states(kept), {})


def test_an_earlier_inspection_never_overwrites_a_later_one(
    engine: FakeEngine, kept: EventedContainers
) -> None:
    engine.containers["a"] = "running"

    class Slow(FakeClient):
        def inspect(self, container_id: str) -> dict[str, Any]:
            document = super().inspect(container_id)
            engine.containers["a"] = "exited"
            kept._inspect(FakeClient(engine), container_id)  # what an event would do meanwhile
            return document

    kept._inspect(Slow(engine), "a")

    assert [c.state for _, c in kept._containers.values() if c] == [ContainerState.EXITED]

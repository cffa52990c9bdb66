"""restart_services against a real engine: one at a time, and the first that stays down ends it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler

import pytest
from typing_extensions import override

from remediator.ports import Action, Effect, Permanent, Ready, Refused, Transient
from remediator.topology import ColourSwitch, Target
from tests.http_fakes import served
from tests.integration.edge_containers import (
    REDIS_IMAGE,
    FakeExporter,
    action,
    container,
    docker,
    fake_exporter,
    needs_docker,
    now,
    state,
    until,
)

pytestmark = [pytest.mark.integration, needs_docker]

HEALTHY = ["--health-cmd", "test ! -e /tmp/ill", "--health-interval", "200ms"]


@dataclass(frozen=True)
class Services:
    topology: dict[str, Target]
    exporter: FakeExporter

    def restart(self, *services: str, healthy_within: str = "30s") -> Action:
        return action(
            "restart_services",
            {"services": list(services), "stop_timeout": "1s", "healthy_within": healthy_within},
            exporter_url=self.exporter.url,
            topology=self.topology,
        )

    def started_at(self, key: str) -> datetime:
        name = self.topology[key].container
        assert name is not None
        return datetime.fromisoformat(state(name)["StartedAt"])


TARGET = Target("site", "edge")


@contextmanager
def live_colour(colour: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"{colour}\n".encode())

        @override
        def log_message(self, *arguments: object) -> None: ...

    with served(Handler) as url:
        yield url


@pytest.fixture
def services() -> Iterator[Services]:
    with ExitStack() as stack:
        exporter = stack.enter_context(fake_exporter({"blue-ready": True}))
        url = stack.enter_context(live_colour("blue"))
        topology = {}
        for key in ("blue", "green", "frontend"):
            name = stack.enter_context(
                container(REDIS_IMAGE, "sleep", "300", options=[*HEALTHY, "--init"])
            )
            probes = ("blue-ready",) if key == "blue" else ()
            topology[key] = Target(key, "app", container=name, probes=probes)
        switch = ColourSwitch("/nowhere", "nginx", url, {"blue": "blue", "green": "green"}, {})
        topology["backend"] = Target("backend", "edge", switch=switch)
        topology["db"] = Target("db", "data", container="db")
        found = Services(topology, exporter)
        for key in ("blue", "green", "frontend"):
            name = topology[key].container or ""
            until(lambda name=name: state(name)["Health"]["Status"] == "healthy")  # type: ignore[misc]
        yield found


def test_the_live_colour_and_the_others_are_restarted_in_their_order(services: Services) -> None:
    intended_at, green = now(), services.started_at("green")
    restart = services.restart("frontend", "backend")
    assert restart.precheck(TARGET) == Ready()
    assert restart.probe(TARGET, intended_at=intended_at) is Effect.NOT_DONE
    done = restart.run(TARGET, timeout_seconds=120)
    assert list(done.evidence) == ["frontend", "blue"]
    assert intended_at < services.started_at("frontend") < services.started_at("blue")
    assert services.started_at("green") == green
    assert set(services.exporter.asked) == {"blue-ready"}
    assert restart.probe(TARGET, intended_at=intended_at) is Effect.DONE


def test_the_first_that_is_not_well_ends_it(services: Services) -> None:
    intended_at, frontend = now(), services.started_at("frontend")
    services.exporter.probes["blue-ready"] = False
    restart = services.restart("blue", "frontend", healthy_within="2s")
    with pytest.raises(
        Permanent, match=r"probe blue-ready fails.*restarted and well: none;.*blue, "
    ):
        restart.run(TARGET, timeout_seconds=60)
    assert services.started_at("frontend") == frontend
    # A crash would look the same: whether the first came back, nobody knows.
    assert restart.probe(TARGET, intended_at=intended_at) is Effect.UNKNOWN


def test_a_container_that_turns_ill_ends_it(services: Services) -> None:
    docker("exec", services.topology["green"].container or "", "touch", "/tmp/ill")
    with pytest.raises(Permanent, match=r"the health of container .* is (starting|unhealthy)"):
        services.restart("green", healthy_within="3s").run(TARGET, timeout_seconds=60)


def test_a_paused_one_is_refused_before_anything_is_touched(services: Services) -> None:
    # Without a health check: the engine answers nothing about a container paused within one.
    with container(REDIS_IMAGE, "sleep", "300") as name:
        services.topology["plain"] = Target("plain", "app", container=name)
        docker("pause", name)
        refused = services.restart("green", "plain").precheck(TARGET)
        docker("unpause", name)
    assert isinstance(refused, Refused)
    assert "paused" in refused.detail


def test_a_missing_one_ends_it_and_says_what_was_done(services: Services) -> None:
    docker("rm", "-f", services.topology["frontend"].container or "")
    with pytest.raises(Permanent, match=r"No such container.*restarted and well: green"):
        services.restart("green", "frontend").run(TARGET, timeout_seconds=60)


@pytest.mark.parametrize(("key", "words"), [("db", "tier data"), ("nobody", "not a key")])
def test_what_may_not_be_restarted_so_is_permanent(
    services: Services, key: str, words: str
) -> None:
    restart = services.restart(key)
    with pytest.raises(Permanent, match=words):
        restart.precheck(TARGET)
    with pytest.raises(Permanent, match=words):
        restart.run(TARGET, timeout_seconds=60)
    assert restart.probe(TARGET, intended_at=now()) is Effect.UNKNOWN


def test_when_nobody_knows_the_live_colour_none_is_restarted(services: Services) -> None:
    blue, green = services.started_at("blue"), services.started_at("green")
    away = ColourSwitch("/", "n", "http://127.0.0.1:9", {"blue": "blue", "green": "green"}, {})
    services.topology["backend"] = Target("backend", "edge", switch=away)
    with pytest.raises(Transient, match="see that nginx runs"):
        services.restart("backend").run(TARGET, timeout_seconds=60)
    assert (services.started_at("blue"), services.started_at("green")) == (blue, green)


def test_a_timeout_too_short_touches_nothing(services: Services) -> None:
    green = services.started_at("green")
    with pytest.raises(Permanent, match="does not fit into the step's timeout"):
        services.restart("green").run(TARGET, timeout_seconds=1)
    assert services.started_at("green") == green

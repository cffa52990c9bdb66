"""switch_colour against a real nginx: the file, the test, the reload, and what it serves."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from remediator.ports import Action, Effect, NotYet, Permanent, Ready, Refused, Transient
from remediator.topology import ColourSwitch, Target
from tests.integration.edge_containers import (
    DOCKER_URL,
    NGINX_IMAGE,
    FakeExporter,
    FakePrometheus,
    action,
    container,
    docker,
    engine_proxy,
    fake_exporter,
    fake_prometheus,
    free_port,
    needs_docker,
    now,
    state,
    until,
)

pytestmark = [pytest.mark.integration, needs_docker]

BLUE = 'map "" $live_colour { default blue; }\n'
GREEN = 'map "" $live_colour { default green; }\n'
CONFIG = """
worker_processes 2;
events { }
http {
  access_log off;
  include /etc/nginx/live/*.conf;
  server {
    listen 80;
    location = /live-colour { default_type text/plain; return 200 "$live_colour\\n"; }
  }
}
"""
SERVES_BLUE_WHATEVER_THE_FILE_SAYS = CONFIG.replace("$live_colour\\n", "blue\\n")
BROKEN = CONFIG + "nonsense;\n"


@dataclass(frozen=True)
class Site:
    target: Target
    live: Path
    config: Path
    container: str
    exporter: FakeExporter
    prometheus: FakePrometheus

    def switch(self, docker_url: str = DOCKER_URL) -> Action:
        return action(
            "switch_colour",
            {},
            exporter_url=self.exporter.url,
            docker_url=docker_url,
            prometheus_url=self.prometheus.url,
        )

    def with_switch(self, **changes: Any) -> Target:  # noqa: ANN401 - as replace()
        assert self.target.switch is not None
        return replace(self.target, switch=replace(self.target.switch, **changes))

    def serves(self) -> str:
        assert self.target.switch is not None
        try:
            return httpx.get(self.target.switch.live_url, trust_env=False).text.strip()
        except httpx.HTTPError as error:
            return repr(error)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "live").mkdir()
    live = tmp_path / "live" / "colour.conf"
    live.write_text(BLUE)
    config = tmp_path / "nginx.conf"
    config.write_text(CONFIG)
    port = free_port()
    options = ["-p", f"127.0.0.1:{port}:80", "-v", f"{config}:/etc/nginx/nginx.conf:ro"]
    options += ["-v", f"{live.parent}:/etc/nginx/live:ro"]
    command = ["nginx", "-g", "daemon off;"]
    with (
        container(NGINX_IMAGE, *command, options=options) as name,
        fake_exporter({"blue-api": True, "green-api": True}) as exporter,
        fake_prometheus({"probe_success": [({}, 1)]}) as prometheus,
    ):
        switch = ColourSwitch(
            file=str(live),
            nginx_container=name,
            live_url=f"http://127.0.0.1:{port}/live-colour",
            colours={"blue": "backend-blue", "green": "backend-green"},
            ready_probes={"blue": "blue-api", "green": "green-api"},
        )
        target = Target(key="backend", tier="edge", switch=switch)
        found = Site(target, live, config, name, exporter, prometheus)
        until(lambda: found.serves() == "blue", what="nginx serves")
        yield found


def test_traffic_moves_to_the_other_colour_and_back(site: Site) -> None:
    switch = site.switch()
    assert switch.precheck(site.target) == Ready()
    assert site.exporter.asked == ["green-api"] * 3
    done = switch.run(site.target, timeout_seconds=60)
    assert done.evidence == {"from": "blue", "to": "green"}
    assert [site.serves() for _ in range(20)] == ["green"] * 20
    assert site.live.read_text() == GREEN
    assert [path.name for path in site.live.parent.iterdir()] == ["colour.conf"]
    switch.run(site.target, timeout_seconds=60)
    assert site.serves() == "blue"
    assert site.live.read_text() == BLUE


def test_it_works_through_the_filtering_proxy(site: Site, tmp_path: Path) -> None:
    with engine_proxy(tmp_path, nginx_container=site.container) as url:
        site.switch(url).run(site.target, timeout_seconds=60)
        assert site.serves() == "green"
        site.config.write_text(BROKEN)
        with pytest.raises(Permanent, match='unknown directive "nonsense"'):
            site.switch(url).run(site.target, timeout_seconds=60)


def test_a_colour_that_is_not_ready_gets_no_traffic(site: Site) -> None:
    site.exporter.probes["green-api"] = False
    refused = site.switch().precheck(site.target)
    assert refused == Refused(
        "backend: green is not ready for traffic: probe green-api fails (status); "
        "mend backend-green"
    )


@pytest.mark.parametrize("known", [[], [({}, 0)], [({}, 1), ({}, 1)]], ids=str)
def test_a_colour_that_was_not_well_for_long_gets_no_traffic(
    site: Site, known: list[tuple[dict[str, str], float]]
) -> None:
    site.prometheus.answers["probe_success"] = known
    refused = site.switch().precheck(site.target)
    assert isinstance(refused, NotYet)
    assert "green was not good for all of the last 60 s" in refused.detail
    assert 'target="green-api"}[60000ms]' in site.prometheus.asked[0]


def test_without_prometheus_nobody_knows_how_long_a_colour_has_been_well(site: Site) -> None:
    switch = action("switch_colour", {}, exporter_url=site.exporter.url)
    with pytest.raises(Transient, match="cannot ask Prometheus"):
        switch.precheck(site.target)
    at_once = action("switch_colour", {"healthy_for": "0s"}, exporter_url=site.exporter.url)
    assert at_once.precheck(site.target) == Ready()


def test_an_exporter_that_does_not_know_the_probe_is_transient(site: Site) -> None:
    del site.exporter.probes["green-api"]
    with pytest.raises(Transient, match="refuses to probe green-api: 400"):
        site.switch().precheck(site.target)


def test_a_configuration_that_nginx_refuses_is_put_back(site: Site) -> None:
    site.config.write_text(BROKEN)
    written_ns = site.live.stat().st_mtime_ns
    intended_at = now()
    with pytest.raises(Permanent, match=r'unknown directive "nonsense".*blue stays live'):
        site.switch().run(site.target, timeout_seconds=60)
    assert site.live.read_text() == BLUE
    assert site.live.stat().st_mtime_ns == written_ns
    assert site.serves() == "blue"
    assert site.switch().probe(site.target, intended_at=intended_at) is Effect.NOT_DONE


def test_a_reload_that_does_not_bring_the_colour_is_undone(site: Site) -> None:
    site.config.write_text(SERVES_BLUE_WHATEVER_THE_FILE_SAYS)
    with pytest.raises(Permanent, match=r"does not serve green.*the old file is back"):
        site.switch().run(site.target, timeout_seconds=13)
    assert site.live.read_text() == BLUE
    site.config.write_text(CONFIG)
    docker("exec", site.container, "nginx", "-s", "reload")
    until(lambda: site.serves() == "blue")


def test_a_stopped_nginx_is_left_to_the_restart(site: Site) -> None:
    docker("stop", "-t", "1", site.container)
    with pytest.raises(Transient, match="see that nginx runs"):
        site.switch().precheck(site.target)
    with pytest.raises(Transient):
        site.switch().run(site.target, timeout_seconds=60)
    assert site.live.read_text() == BLUE
    assert site.switch().probe(site.target, intended_at=now()) is Effect.UNKNOWN


def test_without_the_engine_the_file_is_put_back(site: Site) -> None:
    with pytest.raises(Transient, match="blue stays live"):
        site.switch("tcp://127.0.0.1:9").run(site.target, timeout_seconds=60)
    assert site.live.read_text() == BLUE


def test_the_probe_tells_the_moments_of_a_crash_apart(site: Site) -> None:
    switch = site.switch()
    intended_at = now()
    assert switch.probe(site.target, intended_at=intended_at) is Effect.NOT_DONE  # before
    time.sleep(0.02)  # the file system's clock is coarser than ours
    site.live.write_text(GREEN)
    assert switch.probe(site.target, intended_at=intended_at) is Effect.UNKNOWN  # no reload yet
    docker("exec", site.container, "nginx", "-s", "reload")
    until(lambda: site.serves() == "green")
    assert switch.probe(site.target, intended_at=intended_at) is Effect.DONE
    site.exporter.probes["green-api"] = False
    assert switch.probe(site.target, intended_at=intended_at) is Effect.UNKNOWN


def test_a_file_that_somebody_else_changed_is_left_alone(site: Site) -> None:
    site.live.write_text(GREEN)
    refused = site.switch().precheck(site.target)
    assert isinstance(refused, Refused)
    assert "says green and nginx serves blue" in refused.detail
    site.live.write_text('map $cookie_beta $live_colour { default blue; "1" green; }\n')
    refused = site.switch().precheck(site.target)
    assert isinstance(refused, Refused)
    assert "nothing readable" in refused.detail


def test_a_live_colour_that_the_topology_does_not_know_is_permanent(site: Site) -> None:
    others = {"red": "backend-red", "green": "backend-green"}
    with pytest.raises(Permanent, match="answers 'blue', which is none of red, green"):
        site.switch().precheck(site.with_switch(colours=others))


def test_a_switch_needs_exactly_two_colours(site: Site) -> None:
    three = {"blue": "backend-blue", "green": "backend-green", "red": "backend-red"}
    with pytest.raises(Permanent, match="exactly two colours"):
        site.switch().precheck(site.with_switch(colours=three))


def test_a_file_that_is_not_there_is_permanent(site: Site) -> None:
    with pytest.raises(Permanent, match=r"cannot read /nowhere/colour\.conf"):
        site.switch().precheck(site.with_switch(file="/nowhere/colour.conf"))


# -- start_colour ---------------------------------------------------------------------------


class WhatRuns(dict[str, bool]):
    """A probe succeeds when its container runs."""

    def __getitem__(self, probe: str) -> bool:
        return bool(state(probe)["Running"])


@pytest.fixture
def colours(site: Site) -> Iterator[tuple[Target, str]]:
    """green, which has no traffic, is two containers; one of them is stopped."""
    options = ("--init",)
    with (
        container(NGINX_IMAGE, "sleep", "3600", options=options) as web,
        container(NGINX_IMAGE, "sleep", "3600", options=options) as worker,
    ):
        site.exporter.probes = WhatRuns({web: True})
        docker("stop", "-t", "1", web)
        containers = {"blue": ("not-ours",), "green": (web, worker)}
        target = site.with_switch(containers=containers, ready_probes={"blue": "x", "green": web})
        yield target, web


def test_the_other_colour_is_started_and_what_runs_is_left_alone(
    site: Site, colours: tuple[Target, str]
) -> None:
    target, web = colours
    start = action("start_colour", exporter_url=site.exporter.url)
    worker = target.switch.containers["green"][1] if target.switch else ""
    before = state(worker)["StartedAt"]
    assert start.precheck(target) == Ready()
    assert start.probe(target, intended_at=now()) is Effect.NOT_DONE

    done = start.run(target, timeout_seconds=60)
    assert done.evidence == {"started": [web]}
    assert state(web)["Running"] is True
    assert state(worker)["StartedAt"] == before
    assert start.probe(target, intended_at=now()) is Effect.DONE
    assert start.run(target, timeout_seconds=60).evidence == {"started": []}
    assert site.serves() == "blue"


def test_a_colour_that_does_not_get_ready_is_said_so(
    site: Site, colours: tuple[Target, str]
) -> None:
    target, web = colours
    site.exporter.probes = {web: False}
    start = action("start_colour", exporter_url=site.exporter.url)
    with pytest.raises(Permanent, match=r"green was started and is not ready: probe .* fails"):
        start.run(target, timeout_seconds=4)


def test_a_colour_that_is_gone_or_paused_is_not_started(
    site: Site, colours: tuple[Target, str]
) -> None:
    target, web = colours
    start = action("start_colour", exporter_url=site.exporter.url)
    docker("start", web)
    docker("pause", web)
    assert isinstance(start.precheck(target), Refused)
    docker("rm", "-f", web)
    with pytest.raises(Permanent, match="create it again with `docker compose up -d`"):
        start.precheck(target)

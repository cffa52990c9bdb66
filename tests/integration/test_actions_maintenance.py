"""The maintenance page and the reload, against a real nginx with the demo's own configuration."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from remediator import maintenance
from remediator.maintenance import Maintenance
from remediator.ports import Action, Effect, Permanent, Ready, Refused, Transient
from remediator.topology import MaintenancePage, Target
from tests.integration.edge_containers import (
    DOCKER_URL,
    NGINX_IMAGE,
    REPO,
    action,
    container,
    docker,
    engine_proxy,
    free_port,
    needs_docker,
    now,
    until,
)

pytestmark = [pytest.mark.integration, needs_docker]

CONFIG = (REPO / "demo" / "stack" / "nginx" / "nginx.conf").read_text()
NO_PAGE = CONFIG.replace("include /etc/nginx/live/maintenance[.]conf;", "")
BROKEN = CONFIG + "nonsense;\n"
ON = {"reason": "a restore \n; return 200;"}


@dataclass(frozen=True)
class Site:
    target: Target
    file: Path
    config: Path
    container: str
    url: str

    def on(self, docker_url: str = DOCKER_URL, **with_: object) -> Action:
        return action("maintenance_on", {**ON, **with_}, docker_url=docker_url)

    def off(self, docker_url: str = DOCKER_URL, *, before_end: bool = True) -> Action:
        return action("maintenance_off", {"before_end": before_end}, docker_url=docker_url)

    def shows(self, path: str = "/maintenance") -> tuple[int, str]:
        try:
            answer = httpx.get(f"{self.url}{path}", trust_env=False, timeout=10)
        except httpx.HTTPError as error:
            return 0, repr(error)
        return answer.status_code, answer.headers.get("X-Maintenance", "")

    def written(self, *, minutes: float) -> None:
        told = Maintenance("a restore", now() + timedelta(minutes=minutes))
        self.file.write_bytes(maintenance.written(told))

    def reload(self) -> None:
        docker("exec", self.container, "nginx", "-s", "reload")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    live = tmp_path / "live"
    live.mkdir()
    (live / "colour.conf").write_text('map "" $live_colour { default blue; }\n')
    config = tmp_path / "nginx.conf"
    config.write_text(CONFIG)
    port = free_port()
    options = ["-p", f"127.0.0.1:{port}:80", "-v", f"{config}:/etc/nginx/nginx.conf:ro"]
    options += ["-v", f"{live}:/etc/nginx/live:ro"]
    with container(NGINX_IMAGE, "nginx", "-g", "daemon off;", options=options) as name:
        url, file = f"http://127.0.0.1:{port}", live / "maintenance.conf"
        page = MaintenancePage(str(file), name, f"{url}/maintenance")
        target = Target("nginx", "edge", container=name, maintenance=page)
        found = Site(target, file, config, name, url)
        until(lambda: found.shows("/nginx-health") == (200, ""), what="nginx serves")
        yield found


def test_users_see_the_page_monitoring_does_not_and_it_goes_again(site: Site) -> None:
    turn_on, turn_off = site.on(ttl="10m"), site.off()
    assert turn_on.precheck(site.target) == Ready()
    assert turn_on.probe(site.target, intended_at=now()) is Effect.NOT_DONE
    assert turn_off.probe(site.target, intended_at=now()) is Effect.DONE
    done = turn_on.run(site.target, timeout_seconds=60)
    for path in ("/maintenance", "/", "/api/lessons", "/admin/cache/warm", "/health/ready"):
        assert site.shows(path) == (503, "on"), path
    for path in ("/nginx-health", "/live-colour"):
        assert site.shows(path) == (200, ""), path
    found = maintenance.read(site.file)
    assert found is not None
    assert found.reason == ON["reason"]
    assert done.evidence["until"] == found.until.isoformat()
    assert timedelta(minutes=9) < found.until - now() <= timedelta(minutes=10)
    assert turn_on.probe(site.target, intended_at=now()) is Effect.DONE
    refused = turn_on.precheck(site.target)
    assert isinstance(refused, Refused)
    assert "is on until" in refused.detail

    refused = site.off(before_end=False).precheck(site.target)
    assert isinstance(refused, Refused)
    assert "is wanted until" in refused.detail
    assert turn_off.precheck(site.target) == Ready()
    turn_off.run(site.target, timeout_seconds=60)
    assert site.shows() == (204, "")
    assert [path.name for path in site.file.parent.iterdir()] == ["colour.conf"]
    assert turn_off.probe(site.target, intended_at=now()) is Effect.DONE
    refused = turn_off.precheck(site.target)
    assert isinstance(refused, Refused)
    assert "is off" in refused.detail


def test_both_work_through_the_filtering_proxy(site: Site, tmp_path: Path) -> None:
    with engine_proxy(tmp_path, nginx_container=site.container) as url:
        site.on(url).run(site.target, timeout_seconds=60)
        assert site.shows() == (503, "on")
        site.off(url).run(site.target, timeout_seconds=60)
        assert site.shows() == (204, "")
        reload = action("reload_nginx", {}, docker_url=url)
        assert reload.precheck(site.target) == Ready()
        assert "has new workers" in reload.run(site.target, timeout_seconds=30).summary


def test_a_page_that_is_over_may_be_turned_on_again_and_off(site: Site) -> None:
    site.written(minutes=-1)
    assert site.on().precheck(site.target) == Ready()
    assert site.off(before_end=False).precheck(site.target) == Ready()


def test_a_file_of_somebody_else_is_left_alone(site: Site) -> None:
    site.file.write_text("set $maintenance on;\n")
    for act in (site.on(), site.off()):
        refused = act.precheck(site.target)
        assert isinstance(refused, Refused)
        assert "was not written by the remediator" in refused.detail
        with pytest.raises(Permanent):
            act.run(site.target, timeout_seconds=60)
        assert act.probe(site.target, intended_at=now()) is Effect.UNKNOWN
    assert site.file.read_text() == "set $maintenance on;\n"


def test_a_configuration_that_nginx_refuses_leaves_the_file_as_it_was(site: Site) -> None:
    site.config.write_text(BROKEN)
    with pytest.raises(Permanent, match=r'"nonsense".*the file is as it was before'):
        site.on().run(site.target, timeout_seconds=60)
    assert not site.file.exists()
    site.written(minutes=5)
    with pytest.raises(Permanent, match="the file is as it was before"):
        site.off().run(site.target, timeout_seconds=60)
    assert maintenance.read(site.file) is not None


def test_an_nginx_without_the_page_is_put_back(site: Site) -> None:
    site.config.write_text(NO_PAGE)
    with pytest.raises(Permanent, match="does not show the maintenance page"):
        site.on().run(site.target, timeout_seconds=12)
    assert not site.file.exists()


def test_a_crash_at_any_moment_is_told_by_file_and_nginx_together(site: Site) -> None:
    site.written(minutes=5)  # the file is there, nginx was not reloaded
    assert site.on().probe(site.target, intended_at=now()) is Effect.NOT_DONE
    assert site.off().probe(site.target, intended_at=now()) is Effect.NOT_DONE
    site.reload()
    until(lambda: all(site.shows() == (503, "on") for _ in range(10)))  # by no old worker
    assert site.on().probe(site.target, intended_at=now()) is Effect.DONE
    site.file.unlink()
    assert site.off().probe(site.target, intended_at=now()) is Effect.NOT_DONE
    assert site.off().precheck(site.target) == Ready()
    site.off().run(site.target, timeout_seconds=60)
    assert site.shows() == (204, "")


def test_without_the_engine_or_nginx_nothing_changes(site: Site) -> None:
    with pytest.raises(Transient, match="the file is as it was before"):
        site.on("tcp://127.0.0.1:9").run(site.target, timeout_seconds=60)
    assert not site.file.exists()
    docker("stop", "-t", "1", site.container)
    assert site.on().probe(site.target, intended_at=now()) is Effect.UNKNOWN
    with pytest.raises(Transient):
        site.off().precheck(site.target)
    with pytest.raises(Permanent, match="to be able to undo it"):
        site.on().run(site.target, timeout_seconds=10)


def test_a_reload_brings_new_workers_and_the_probe_knows(site: Site) -> None:
    reload = action("reload_nginx", {})
    intended_at = now()
    assert reload.precheck(site.target) == Ready()
    assert reload.probe(site.target, intended_at=intended_at) is Effect.NOT_DONE
    done = reload.run(site.target, timeout_seconds=30)
    assert done.evidence == {"workers_before": 1, "new_workers": 1}
    assert reload.probe(site.target, intended_at=now() + timedelta(seconds=1)) is Effect.NOT_DONE
    long_ago = now() - timedelta(hours=1)
    assert reload.probe(site.target, intended_at=long_ago) is Effect.DONE


def test_a_configuration_that_nginx_refuses_is_not_reloaded(site: Site) -> None:
    site.config.write_text(BROKEN)
    reload = action("reload_nginx", {})
    refused = reload.precheck(site.target)
    assert isinstance(refused, Refused)
    assert 'unknown directive "nonsense"' in refused.detail
    with pytest.raises(Permanent, match="nonsense"):
        reload.run(site.target, timeout_seconds=30)
    assert site.shows("/nginx-health") == (200, "")


def test_a_reload_of_a_stopped_nginx_is_permanent(site: Site) -> None:
    docker("stop", "-t", "1", site.container)
    with pytest.raises(Permanent, match="is not running"):
        action("reload_nginx", {}).run(site.target, timeout_seconds=30)
    probe = action("reload_nginx", {}).probe(site.target, intended_at=now())
    assert probe is Effect.UNKNOWN

"""The two filtering proxies before the real engine, with the client that the programs use."""

import http.client
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest
from docker.models.containers import Container

from exporter import readings
from exporter.collectors.logcount import LineCounter, Noticed, Tally
from exporter.collectors.logsapi import EngineLog
from exporter.collectors.matcher import finder
from exporter.collectors.port import Clocks
from exporter.collectors.stats_api import EngineStats
from exporter.collectors.stats_document import interfaces_of, usage_of
from remediator.actions.engine import connect
from tests.integration.engine_proxies import LABELS, REPO, nginx_image, running_proxy, status

REFUSED = 403
# nginx itself refuses what is no proper request before any rule is asked.
NEVER_PASSED = {400, 403, 405}
SOME_ID = "a" * 64


@dataclass(frozen=True)
class Stack:
    """What stands behind the proxies: `nginx` and `redis` are of the topology."""

    prefix: str
    image: str
    nginx: Container
    redis: Container
    outsider: Container


@dataclass(frozen=True)
class Proxied:
    """One proxy, and the containers behind it."""

    host: str
    nginx: Container
    redis: Container
    outsider: Container

    def client(self) -> docker.APIClient:
        return docker.APIClient(base_url=f"tcp://{self.host}", version="auto", timeout=20)

    def status(self, method: str, path: str, body: str | None = None) -> int:
        return status(self.host, method, path, body)


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    try:
        client.ping()
        yield client
    finally:
        client.close()


@pytest.fixture(scope="module")
def image(engine: docker.DockerClient) -> str:
    return nginx_image(engine)


@pytest.fixture(scope="module")
def stack(engine: docker.DockerClient, image: str) -> Iterator[Stack]:
    """Real nginx, and two more that stand for redis and for somebody else's container."""
    prefix = f"smt-{secrets.token_hex(4)}"
    with ExitStack() as cleanup:

        def start(name: str) -> Container:
            made = engine.containers.run(image, name=name, labels=LABELS, detach=True)
            cleanup.callback(made.remove, force=True)
            return made

        ours = (f"{prefix}-nginx-production", f"{prefix}-redis-production")
        yield Stack(prefix, image, *map(start, (*ours, f"other-{prefix}")))


@pytest.fixture(scope="module", params=["exporter/engine-ro.conf", "remediator/engine-rw.conf"])
def proxied(
    request: pytest.FixtureRequest,
    engine: docker.DockerClient,
    stack: Stack,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Proxied]:
    conf = tmp_path_factory.mktemp("conf") / "engine.conf"
    conf.write_text((REPO / request.param).read_text().replace("piano-tutor", stack.prefix))
    name = f"{stack.prefix}-{Path(request.param).stem}"
    with running_proxy(engine, conf, name, stack.image) as (host, _):
        yield Proxied(host, stack.nginx, stack.redis, stack.outsider)


def only(kind: str) -> pytest.MarkDecorator:
    folder = {"ro": "exporter", "rw": "remediator"}[kind]
    return pytest.mark.parametrize("proxied", [f"{folder}/engine-{kind}.conf"], indirect=True)


def exec_in(client: docker.APIClient, name: str, command: list[str]) -> tuple[int, str]:
    made = client.exec_create(name, command)
    output = client.exec_start(made["Id"])
    return client.exec_inspect(made["Id"])["ExitCode"], output.decode()


# -- reads --------------------------------------------------------------------------------------


@only("ro")
def test_the_exporter_reads_all_it_needs(proxied: Proxied) -> None:
    client = proxied.client()
    name = proxied.redis.name

    assert client.ping()
    assert client.version()["ApiVersion"]
    assert client.info()["ServerVersion"]
    wanted = {"label": ["stackmedic-test=1"], "name": [name]}
    assert [c["Names"] for c in client.containers(all=True, filters=wanted)] == [[f"/{name}"]]
    assert client.inspect_container(name)["State"]["Running"] is True
    assert client.inspect_container(proxied.redis.id)["Name"] == f"/{name}"


@only("ro")
def test_the_exporter_reads_the_statistics_of_all_containers_at_once(proxied: Proxied) -> None:
    wanted = [as_seen(one) for one in (proxied.redis, proxied.nginx, proxied.outsider)]
    clocks = Clocks(time.monotonic, time.time)

    found = EngineStats(f"tcp://{proxied.host}", clocks).of(wanted, time.monotonic() + 20)

    assert isinstance(found, dict)
    assert set(found) == {container.id for container in wanted}
    for document in found.values():
        usage = usage_of(document, str)
        assert usage.cpu_seconds
        assert usage.memory_bytes
        assert [interface.name for interface in interfaces_of(document)] == ["eth0"]


@only("ro")
def test_the_exporter_reads_the_logs_of_the_stack_only(proxied: Proxied) -> None:
    def read(container: Container) -> int:
        tally = Tally()
        counter = LineCounter(tally, Noticed(), finder(()), patterns=(), wall=time.time)
        return EngineLog(f"tcp://{proxied.host}", as_seen(container), counter).poll(lambda: True)

    assert proxied.redis.logs()
    assert read(proxied.redis) == len(proxied.redis.logs())
    with pytest.raises(OSError, match="no log"):
        read(proxied.outsider)


def as_seen(container: Container) -> readings.Container:
    running = readings.ContainerState.RUNNING
    return readings.Container(str(container.id), str(container.name), "", running)


@only("ro")
def test_events_arrive_while_the_stream_is_open(proxied: Proxied) -> None:
    name = proxied.outsider.name
    since = datetime.now(UTC)
    events = proxied.client().events(
        decode=True, since=since, filters={"type": "container", "container": name}
    )
    proxied.outsider.restart(timeout=1)
    seen: list[str] = []
    for event in events:
        seen.append(event["Action"])
        if event["Action"] == "restart":
            break
    events.close()

    assert {"die", "start"} < set(seen)


@only("ro")
@pytest.mark.parametrize(
    "path",
    [
        "/images/json",
        "/networks",
        "/volumes",
        "/containers/{redis}/logs?stdout=1",
        "/containers/{redis}/logs?stdout=1&timestamps=1&since=1&follow=1",
        "/containers/{outsider}/logs?stdout=1&timestamps=1&since=1",
        "/containers/{redis_id}/logs?stdout=1&timestamps=1&since=1",
        "/containers/{redis}/archive?path=/etc/passwd",
        "/containers/{redis}/export",
        "/containers/{redis}/stats",
        "/containers/{redis}/stats?stream=false&one-shot=true",
        "/containers/{redis_id}/stats",
        "/containers/{redis_id}/stats?stream=true",
        "/containers/{redis_id}/stats?stream=false&one-shot=true&x=1",
        "/containers/{redis}/attach/ws",
        "/containers/{redis}/json/",
        "/v1.41/../v1.41/images/json",
        "/containers/../images/json",
        "/containers/x/../../images/json",
        "/containers//json",
        "//containers/json",
        "/containers/%2e%2e/images/json",
        "/containers%2fjson",
        "/containers/{redis}%2Fjson",
        "/v1.41/v1.41/info",
        "/v2.0/info",
        "/info?x=y",
        "/",
    ],
)
def test_the_exporter_reads_nothing_else(proxied: Proxied, path: str) -> None:
    names = {"redis": proxied.redis.name, "outsider": proxied.outsider.name}

    assert proxied.status("GET", path.format(redis_id=proxied.redis.id, **names)) == REFUSED


@only("ro")
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "get", "TRACE"])
def test_the_exporter_changes_nothing(proxied: Proxied, method: str) -> None:
    for path in ("/containers/{redis}/json", "/containers/{redis}/restart", "/info", "/_ping"):
        assert proxied.status(method, path.format(redis=proxied.redis.name)) in NEVER_PASSED


# -- changes ------------------------------------------------------------------------------------


@only("rw")
def test_the_remediator_restarts_and_reads_what_is_in_the_topology(proxied: Proxied) -> None:
    client, name = proxied.client(), proxied.redis.name
    before = client.inspect_container(name)["State"]["StartedAt"]

    client.restart(name, timeout=1)

    assert client.inspect_container(name)["State"]["StartedAt"] != before
    assert isinstance(client.logs(name, tail=5), bytes)
    assert client.ping()


@only("rw")
def test_the_remediator_tests_and_reloads_nginx(proxied: Proxied) -> None:
    client = proxied.client()
    code, output = exec_in(client, proxied.nginx.name, ["nginx", "-t"])
    assert (code, "test is successful" in output) == (0, True)

    code, output = exec_in(client, proxied.nginx.name, ["nginx", "-s", "reload"])
    assert code == 0


@only("rw")
def test_the_remediators_own_engine_client_passes(proxied: Proxied) -> None:
    with connect(f"tcp://{proxied.host}", timeout_seconds=10) as client:
        tested = client.execute(proxied.nginx.name, ["nginx", "-t"])
        client.restart(proxied.redis.name, stop_timeout_seconds=1, timeout_seconds=20)
        lines = client.last_log_lines(proxied.redis.name, 5)

        assert (tested.exit_code, "test is successful" in tested.output) == (0, True)
        assert client.inspect(proxied.redis.name).status == "running"
        assert lines
        assert any("nginx" in process.command for process in client.top(proxied.redis.name))
        assert isinstance(client.dangling_images(), tuple)


@only("rw")
@pytest.mark.parametrize(
    "command", [["id"], ["sh", "-c", "nginx -t"], ["nginx", "-t", "-c", "/tmp/x"], ["nginx"]]
)
def test_no_other_command_is_executed(proxied: Proxied, command: list[str]) -> None:
    with pytest.raises(docker.errors.APIError) as refused:
        proxied.client().exec_create(proxied.nginx.name, command)

    assert refused.value.status_code == http.client.BAD_REQUEST


@only("rw")
def test_an_exec_has_no_privileges_whatever_the_client_asks(
    proxied: Proxied, engine: docker.DockerClient
) -> None:
    made = proxied.client().exec_create(
        proxied.nginx.name,
        ["nginx", "-t"],
        privileged=True,
        user="nobody",
        environment={"LD_PRELOAD": "/tmp/x.so"},
        workdir="/tmp",
    )

    config: dict[str, Any] = engine.api.exec_inspect(made["Id"])["ProcessConfig"]
    assert config["privileged"] is False
    assert config.get("user", "") == ""
    assert (config["entrypoint"], config["arguments"]) == ("nginx", ["-t"])


@only("rw")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/containers/{redis}/stop"),
        ("POST", "/containers/{redis}/kill"),
        ("POST", "/containers/{redis}/start"),
        ("POST", "/containers/{redis}/pause"),
        ("POST", "/containers/{redis}/update"),
        ("POST", "/containers/{redis}/rename?name=x"),
        ("POST", "/containers/{redis}/exec"),
        ("POST", "/containers/{outsider}/exec"),
        ("POST", "/containers/{outsider}/restart"),
        ("POST", "/containers/{outsider_id}/restart"),
        ("POST", "/containers/{redis}x/restart"),
        ("POST", "/containers/{redis}/restart?t=1&signal=KILL"),
        ("POST", "/containers/{redis}/restart?t=-1"),
        ("POST", "/containers/{redis}/restart/"),
        ("POST", "/containers/{redis}/../{outsider}/restart"),
        ("POST", "/containers/{redis}/restart/../../{outsider}/restart"),
        ("POST", "/containers/{redis}/%2e%2e/{outsider}/restart"),
        ("POST", "/containers/{redis}%2f..%2f{outsider}/restart"),
        ("POST", "/containers//{redis}/restart"),
        ("POST", "//containers/{redis}/restart"),
        ("POST", "/containers/{redis}/./restart"),
        ("POST", "/containers/{redis};/restart"),
        ("POST", "/containers/{redis}/restart%3ft=1"),
        ("POST", "/containers/create?name=x"),
        ("POST", "/containers/prune"),
        ("POST", "/images/prune"),
        ("POST", "/images/prune?filters=%7B%22dangling%22%3A%5B%22false%22%5D%7D"),
        ("POST", "/images/prune?filters=%7B%22dangling%22%3A%7B%22false%22%3Atrue%7D%7D"),
        ("POST", "/images/prune?filters=%7B%22dangling%22%3A%5B%22true%22%5D%7D&all=1"),
        ("POST", "/images/prune?all=1&filters=%7B%22dangling%22%3A%5B%22true%22%5D%7D"),
        ("POST", "/images/prune?filters=%7b%22dangling%22%3A%5B%22true%22%5D%7D"),
        ("GET", "/images/prune?filters=%7B%22dangling%22%3A%5B%22true%22%5D%7D"),
        ("POST", "/volumes/prune?filters=%7B%22dangling%22%3A%5B%22true%22%5D%7D"),
        ("POST", "/images/json?filters=%7B%22dangling%22%3A%5B%22true%22%5D%7D"),
        ("DELETE", "/images/{redis}"),
        ("GET", "/containers/{redis}/top"),
        ("GET", "/containers/{redis}/top?ps_args=-ef"),
        ("GET", "/containers/{redis}/top?ps_args=-opid,pcpu,rss,etimes,args,environ"),
        ("GET", "/containers/{redis}/top?ps_args=-opid,pcpu,rss,etimes,args%20e"),
        ("POST", "/containers/{redis}/top?ps_args=-opid,pcpu,rss,etimes,args"),
        ("GET", "/containers/{outsider}/top?ps_args=-opid,pcpu,rss,etimes,args"),
        ("POST", "/images/create?fromImage=x"),
        ("POST", "/build"),
        ("POST", "/commit"),
        ("POST", "/session"),
        ("POST", "/grpc"),
        ("POST", "/volumes/create"),
        ("POST", "/networks/create"),
        ("POST", "/swarm/init"),
        ("POST", "/exec/{some_id}/resize?h=1&w=1"),
        ("POST", "/exec/{some_id}x/start"),
        ("POST", "/exec/short/start"),
        ("DELETE", "/containers/{redis}"),
        ("DELETE", "/containers/{redis}?force=1"),
        ("PUT", "/containers/{redis}/archive?path=/"),
        ("GET", "/containers/{redis}/restart"),
        ("GET", "/containers/{redis}/archive?path=/"),
        ("GET", "/containers/{redis}/export"),
        ("GET", "/containers/{redis}/attach/ws"),
        ("GET", "/containers/{outsider}/json"),
        ("GET", "/containers/{outsider}/logs?stdout=1"),
        ("GET", "/containers/json"),
        ("GET", "/info"),
        ("GET", "/events"),
        ("GET", "/images/json"),
        ("GET", "/secrets"),
        ("PATCH", "/containers/{redis}/restart"),
        ("OPTIONS", "/containers/{redis}/restart"),
        ("post", "/containers/{redis}/restart"),
        ("TRACE", "/containers/{redis}/json"),
    ],
)
def test_the_remediator_can_do_nothing_else(proxied: Proxied, method: str, path: str) -> None:
    full = path.format(
        redis=proxied.redis.name,
        outsider=proxied.outsider.name,
        outsider_id=proxied.outsider.id,
        some_id=SOME_ID,
    )
    expected = {REFUSED} if method.isupper() and method != "TRACE" else NEVER_PASSED

    assert proxied.status(method, full, "{}" if method == "POST" else None) in expected
    assert proxied.status(method, f"/v1.41{full}") in expected


@only("rw")
def test_a_body_too_large_to_look_at_is_refused(proxied: Proxied) -> None:
    padded = '{"Cmd": ["nginx", "-t"], "Env": ["X=' + "x" * 9000 + '"]}'

    status = proxied.status("POST", f"/containers/{proxied.nginx.name}/exec", padded)

    assert status == http.client.REQUEST_ENTITY_TOO_LARGE

"""The two filtering proxies before the real engine, with the client that the programs use."""

import http.client
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest
from docker.models.containers import Container

from demo.images import LOCAL, OFFICIAL
from remediator.actions.engine import connect

REPO = Path(__file__).resolve().parents[2]
LABELS = {"stackmedic-test": "1"}
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
        """Send the request line as it is: nothing is cleaned up on the way."""
        connection = http.client.HTTPConnection(self.host, timeout=20)
        try:
            connection.putrequest(method, path)
            if body is not None:
                connection.putheader("Content-Type", "application/json")
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body.encode() if body is not None else None)
            return connection.getresponse().status
        finally:
            connection.close()


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
    for name in (os.environ.get("NGINX_IMAGE", ""), OFFICIAL["NGINX_IMAGE"], LOCAL["NGINX_IMAGE"]):
        if name:
            with suppress(docker.errors.ImageNotFound):
                engine.images.get(name)
                return name
    pytest.fail("no nginx image: run `make images`")


@pytest.fixture(scope="module")
def stack(engine: docker.DockerClient, image: str) -> Iterator[Stack]:
    """Real nginx, and two more that stand for redis and for somebody else's container."""
    prefix = f"smt-{secrets.token_hex(4)}"
    with ExitStack() as cleanup:

        def start(name: str) -> Container:
            made = engine.containers.run(image, name=f"{prefix}-{name}", labels=LABELS, detach=True)
            cleanup.callback(made.remove, force=True)
            return made

        names = ("nginx-production", "redis-production", "outsider")
        yield Stack(prefix, image, *map(start, names))


@pytest.fixture(scope="module", params=["exporter/engine-ro.conf", "remediator/engine-rw.conf"])
def proxied(
    request: pytest.FixtureRequest,
    engine: docker.DockerClient,
    stack: Stack,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Proxied]:
    """The proxy as the compose file runs it: no powers, nothing writable but /tmp."""
    conf = tmp_path_factory.mktemp("conf") / "engine.conf"
    conf.write_text((REPO / request.param).read_text().replace("piano-tutor", stack.prefix))
    container = engine.containers.run(
        stack.image,
        name=f"{stack.prefix}-{Path(request.param).stem}",
        labels=LABELS,
        detach=True,
        entrypoint=["nginx", "-c", "/etc/nginx/engine.conf"],
        read_only=True,
        tmpfs={"/tmp": ""},
        cap_drop=["ALL"],
        cap_add=["SETGID"],
        security_opt=["no-new-privileges:true"],
        volumes={
            "/var/run/docker.sock": {"bind": "/var/run/docker.sock", "mode": "ro"},
            str(conf): {"bind": "/etc/nginx/engine.conf", "mode": "ro"},
        },
        ports={"2375/tcp": ("127.0.0.1", None)},
    )
    try:
        container.reload()
        published = container.attrs["NetworkSettings"]["Ports"]["2375/tcp"][0]["HostPort"]
        proxy = Proxied(f"127.0.0.1:{published}", stack.nginx, stack.redis, stack.outsider)
        wait_until(lambda: proxy.status("GET", "/_ping") == http.client.OK)
        yield proxy
    finally:
        container.remove(force=True)


def wait_until(condition: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while True:
        with suppress(OSError, http.client.HTTPException):
            if condition():
                return
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


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
        "/containers/{redis}/archive?path=/etc/passwd",
        "/containers/{redis}/export",
        "/containers/{redis}/stats",
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
    assert proxied.status("GET", path.format(redis=proxied.redis.name)) == REFUSED


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

"""The engine's filtering proxies, as the compose file runs them, before the real engine."""

import http.client
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import docker
import docker.errors
import pytest
from docker.models.containers import Container

from demo.images import LOCAL, OFFICIAL

REPO = Path(__file__).resolve().parents[2]
LABELS = {"stackmedic-test": "1"}


def nginx_image(engine: docker.DockerClient) -> str:
    for name in (os.environ.get("NGINX_IMAGE", ""), OFFICIAL["NGINX_IMAGE"], LOCAL["NGINX_IMAGE"]):
        if name:
            with suppress(docker.errors.ImageNotFound):
                engine.images.get(name)
                return name
    pytest.fail("no nginx image: run `make images`")


@contextmanager
def running_proxy(
    engine: docker.DockerClient, conf: Path, name: str, image: str, port: int | None = None
) -> Iterator[tuple[str, Container]]:
    """(host:port, container). No powers, nothing writable but /tmp."""
    container = engine.containers.run(
        image,
        name=name,
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
        ports={"2375/tcp": ("127.0.0.1", port)},
    )
    try:
        container.reload()
        published = container.attrs["NetworkSettings"]["Ports"]["2375/tcp"][0]["HostPort"]
        host = f"127.0.0.1:{published}"
        wait_until(lambda: status(host, "GET", "/_ping") == http.client.OK)
        yield host, container
    finally:
        container.remove(force=True)


def status(host: str, method: str, path: str, body: str | None = None) -> int:
    """Send the request line as it is: nothing is cleaned up on the way."""
    connection = http.client.HTTPConnection(host, timeout=20)
    try:
        connection.putrequest(method, path)
        if body is not None:
            connection.putheader("Content-Type", "application/json")
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body.encode() if body is not None else None)
        return connection.getresponse().status
    finally:
        connection.close()


def wait_until(condition: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while True:
        with suppress(OSError, http.client.HTTPException):
            if condition():
                return
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)

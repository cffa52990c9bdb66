"""prune_images: the listing against the real engine, the deletion against one of the test's own.

No test prunes the machine's engine: its images are everybody's.
"""

import json
import os
import secrets
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from remediator.actions import engine
from remediator.ports import Action, Effect, Permanent, Ready, Refused, Transient
from remediator.topology import Target
from tests.integration.edge_containers import (
    DOCKER_SOCKET,
    DOCKER_URL,
    NGINX_IMAGE,
    REDIS_IMAGE,
    REPO,
    action,
    container,
    docker,
    free_port,
    needs_docker,
    now,
    until,
)
from tests.integration.second_engine import a_root, second_engine

pytestmark = [pytest.mark.integration, needs_docker]

HOST = Target("host", "edge")
FILTER = "filters=%7B%22dangling%22%3A%5B%22true%22%5D%7D"
IMAGES = [{"Id": f"sha256:{n:064x}", "Size": n * 1000, "Created": n} for n in range(1, 31)]
PRUNED = {
    "ImagesDeleted": [{"Untagged": "x@sha256:1"}, {"Deleted": "sha256:1"}, {"Deleted": "sha256:2"}],
    "SpaceReclaimed": 5_000_000,
}


@dataclass
class FakeEngine:
    """Says what the engine says about images without a name."""

    socket: Path
    images: list[dict[str, Any]]
    pruned: dict[str, Any]
    requests: list[tuple[str, str, bytes]] = field(default_factory=list)


@contextmanager
def fake_engine(folder: Path) -> Iterator[FakeEngine]:
    fake = FakeEngine(folder / f"{secrets.token_hex(4)}.sock", list(IMAGES), dict(PRUNED))

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fake.requests.append((self.command, self.path, body))
            known: dict[str, Any] = {
                "version": {"ApiVersion": "1.41"},
                "json": fake.images,
                "prune": fake.pruned,
            }
            said = json.dumps(known[self.path.partition("?")[0].rsplit("/", 1)[-1]]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = answer  # noqa: N815 - http.server's names

        @override
        def address_string(self) -> str:
            return "unix"

        @override
        def log_message(self, *arguments: object) -> None: ...

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True

    with Server(str(fake.socket), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeEngine]:
    with fake_engine(tmp_path) as found:
        yield found


def prune(docker_url: str) -> Action:
    return action("prune_images", {}, docker_url=docker_url)


def test_an_image_without_a_name_is_listed_as_the_engine_has_it() -> None:
    with container(REDIS_IMAGE, "true") as name:
        made = docker("commit", "--change", f"LABEL stackmedic-test={name}", name)
        try:
            with engine.connect(DOCKER_URL, timeout_seconds=10) as connected:
                found = {image.id: image for image in connected.dangling_images()}
            assert found[made].size_bytes > 0
            assert found[made].created_at > 0
            assert prune(DOCKER_URL).precheck(HOST) == Ready()
            assert prune(DOCKER_URL).probe(HOST, intended_at=now()) is Effect.NOT_DONE
        finally:
            docker("rmi", made)


def test_what_went_and_the_largest_are_evidence(fake: FakeEngine) -> None:
    done = prune(f"unix://{fake.socket}").run(HOST, timeout_seconds=30)
    assert done.summary == "deleted 2 layers of images without a name, 5 MB"
    largest: Any = done.evidence["largest"]
    assert (done.evidence["dangling_before"], len(largest)) == (30, 20)
    assert largest[0] == {"id": IMAGES[-1]["Id"][:19], "bytes": 30_000}
    changes = [(method, path) for method, path, _ in fake.requests if method != "GET"]
    assert changes == [("POST", f"/v1.41/images/prune?{FILTER}")]


def test_nothing_to_delete_is_a_refusal_and_means_done(fake: FakeEngine) -> None:
    fake.images = []
    refused = prune(f"unix://{fake.socket}").precheck(HOST)
    assert isinstance(refused, Refused)
    assert prune(f"unix://{fake.socket}").probe(HOST, intended_at=now()) is Effect.DONE
    fake.pruned = {"ImagesDeleted": None, "SpaceReclaimed": 0}
    done = prune(f"unix://{fake.socket}").run(HOST, timeout_seconds=30)
    assert done.evidence["deleted_layers"] == 0


def test_an_engine_that_is_away_or_is_none(fake: FakeEngine) -> None:
    away = prune("tcp://127.0.0.1:9")
    with pytest.raises(Transient):
        away.precheck(HOST)
    assert away.probe(HOST, intended_at=now()) is Effect.UNKNOWN
    fake.images = [{"Id": 1}]
    with pytest.raises(Permanent, match="not the engine's"):
        prune(f"unix://{fake.socket}").precheck(HOST)


@contextmanager
def proxied(socket: Path, folder: Path) -> Iterator[Action]:
    """Through the remediator's own proxy."""
    port = free_port()
    config = folder / "engine-rw.conf"
    written = (REPO / "remediator" / "engine-rw.conf").read_text()
    config.write_text(written.replace("listen 2375;", f"listen 127.0.0.1:{port};"))
    os.chmod(socket, 0o777)  # noqa: PTH101, S103 - the proxy's root has no powers
    mounts = [f"{config}:/etc/nginx/nginx.conf:ro", f"{socket}:{DOCKER_SOCKET}"]
    options = ["--network", "host", *(word for mount in mounts for word in ("-v", mount))]
    with container(NGINX_IMAGE, "nginx", options=options):
        through = prune(f"tcp://127.0.0.1:{port}")
        until(lambda: _answers(through), what="the proxy listens")
        yield through


def _answers(act: Action) -> bool:
    try:
        act.precheck(HOST)
    except Transient:
        return False
    return True


def test_the_proxy_passes_this_one_filter_and_no_body(fake: FakeEngine, tmp_path: Path) -> None:
    with proxied(fake.socket, tmp_path) as through:
        through.run(HOST, timeout_seconds=30)
    assert ("POST", f"/v1.41/images/prune?{FILTER}", b"") in fake.requests


def test_what_old_releases_left_is_deleted_and_what_a_container_uses_is_not(tmp_path: Path) -> None:
    with second_engine() as own, proxied(own.socket, tmp_path) as through:
        used = own.release("app", a_root(b"1"))
        own.docker("create", "--network=none", "-v/usr:/usr:ro", "--name=stopped", "app", "true")
        left = own.release("app", a_root(b"2" * 2_000_000))
        live = own.release("app", a_root(b"3"))

        assert through.precheck(HOST) == Ready()
        done = through.run(HOST, timeout_seconds=60)

        kept = own.docker("images", "--all", "--quiet", "--no-trunc").split()
        assert {used, live} <= set(kept)
        assert left not in kept
        assert int(str(done.evidence["freed_bytes"])) >= 2_000_000
        own.docker("start", "stopped")

"""warm_cache against servers that answer well, badly, slowly and without an end."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from remediator.actions.warmer import WarmCache, WarmCacheParams
from remediator.ports import Effect, Permanent, Ready, Refused, Transient
from remediator.topology import CacheWarmer, Target
from tests.http_fakes import Answer, fake_server
from tests.integration.edge_containers import clients, now

OK = b"HTTP/1.1 200 OK\r\n"


def warm(*, optional: bool = False) -> WarmCache:
    return WarmCache(WarmCacheParams(optional=optional), clients())


def target(url: str, token_file: str | None = None) -> Target:
    return Target("redis", "data", cache_warmer=CacheWarmer(url, token_file))


@contextmanager
def raw_server(talk: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """Reads one request, then says whatever `talk` says, until the event."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                client, _ = listener.accept()
                with client, suppress(OSError):
                    client.recv(65536)
                    talk(client, over)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/warm"
        finally:
            over.set()
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_one_post_with_the_token_and_without_a_body(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hunter2\n")
    with fake_server({"warm": Answer('{"warmed": ["lessons"]}')}) as fake:
        there = target(f"{fake.url}/warm?what=all", str(tmp_path / "token"))
        assert warm().precheck(there) == Ready()
        done = warm().run(there, timeout_seconds=10)
    assert fake.requests == [("POST", "/warm?what=all")]
    assert fake.bodies == [""]
    assert done.evidence == {"status": 200, "answer": '{"warmed": ["lessons"]}'}
    assert "hunter2" not in f"{done}"
    assert warm().probe(there, intended_at=now()) is Effect.NOT_DONE


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (301, Permanent, "redirect"),
        (307, Permanent, "redirect"),
        (401, Permanent, "token_file"),
        (404, Permanent, "see its URL"),
        (500, Transient, "backend's logs"),
        (503, Transient, "backend's logs"),
    ],
)
def test_every_other_status_is_a_failure(status: int, kind: type[Exception], words: str) -> None:
    with (
        fake_server({"warm": Answer("password=hunter2", status)}) as fake,
        pytest.raises(kind, match=words) as raised,
    ):
        warm().run(target(f"{fake.url}/warm"), timeout_seconds=10)
    assert "hunter2" not in str(raised.value)
    assert len(fake.requests) == 1


def test_an_optional_warmer_that_fails_is_told_and_fails_nothing() -> None:
    with fake_server({"warm": Answer("no", 503)}) as fake:
        done = warm(optional=True).run(target(f"{fake.url}/warm"), timeout_seconds=10)
    assert "was not warmed" in done.summary
    done = warm(optional=True).run(target("http://127.0.0.1:9/warm"), timeout_seconds=10)
    assert "was not warmed" in done.summary


def test_a_token_that_cannot_be_read_is_a_refusal() -> None:
    refused = warm().precheck(target("http://127.0.0.1:9/warm", "/nowhere/token"))
    assert isinstance(refused, Refused)
    assert warm(optional=True).precheck(target("http://127.0.0.1:9/w", "/nowhere/t")) == Ready()


def test_nobody_there_is_transient() -> None:
    with pytest.raises(Transient, match="cannot warm the cache"):
        warm().run(target("http://127.0.0.1:9/warm"), timeout_seconds=10)


def test_an_answer_without_an_end_is_read_to_a_cap() -> None:
    def endless(client: socket.socket, over: threading.Event) -> None:
        client.sendall(OK + b"\r\n")
        while not over.is_set():
            client.sendall(b"x" * 65536)

    with raw_server(endless) as url:
        done = warm().run(target(url), timeout_seconds=60)
    assert done.evidence["answer"] == "x" * 200


@pytest.mark.parametrize(
    "start",
    [b"", b"HTTP/1.1 200", OK + b"A: b\r\n", OK + b"\r\n"],
    ids=["", "line", "head", "body"],
)
def test_an_answer_in_drops_ends_with_the_step(start: bytes) -> None:
    def drops(client: socket.socket, over: threading.Event) -> None:
        client.sendall(start)
        while not over.wait(0.05):
            client.sendall(b"x")

    began = time.monotonic()
    with raw_server(drops) as url, pytest.raises(Transient):
        warm().run(target(url), timeout_seconds=1)
    assert time.monotonic() - began < 20


def test_a_flood_of_headers_is_refused() -> None:
    def flood(client: socket.socket, over: threading.Event) -> None:
        client.sendall(OK)
        while not over.is_set():
            client.sendall(b"A: " + b"b" * 1000 + b"\r\n")

    with raw_server(flood) as url, pytest.raises(Transient):
        warm().run(target(url), timeout_seconds=60)


def test_what_is_no_http_is_transient() -> None:
    with (
        raw_server(lambda client, _: client.sendall(b"\x00\xff" * 50)) as url,
        pytest.raises(Transient),
    ):
        warm().run(target(url), timeout_seconds=10)

"""Probes against servers on the loopback, and what is taken from a health document."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from exporter.collectors.colours import ColourCollector
from exporter.collectors.health import MAX_COMPONENTS, Admitted, loaded
from exporter.collectors.health import document_of as document_from
from exporter.collectors.port import Clocks
from exporter.collectors.probes import ProbeCollector
from exporter.readings import (
    Cause,
    HealthDocument,
    HealthWord,
    LiveColour,
    Probe,
    ProbeFailure,
    Unreachable,
)
from exporter.targets import ColourSwitch, ProbeTarget


@contextmanager
def answering(*chunks: bytes, pause: float = 0.0) -> Iterator[str]:
    """A server that reads a request and writes these bytes, to one client at a time."""
    listener = socket.create_server(("127.0.0.1", 0))
    stopped = threading.Event()

    def serve() -> None:
        while not stopped.is_set():
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                client.recv(65536)
                try:
                    for chunk in chunks:
                        client.sendall(chunk)
                        stopped.wait(pause)
                except OSError:
                    pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/health"
    finally:
        stopped.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def http(status: str, body: bytes = b"") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


CLOCKS = Clocks(time.monotonic, time.time)


def document_of(body: bytes, admitted: Admitted | None = None) -> HealthDocument | None:
    return document_from(loaded(body), admitted or Admitted())


def probe(url: str, *, timeout: float = 2.0, health_json: bool = False) -> Probe:
    target = ProbeTarget("t", url, "s", timeout=timeout, health_json=health_json)
    return ProbeCollector(target, CLOCKS).collect(time.monotonic() + 10)


def test_a_good_answer_succeeds_and_is_timed_by_phase() -> None:
    with answering(http("200 OK", b"hello")) as url:
        reading = probe(url)

    assert reading.failure is None
    assert (reading.status_code, reading.body_length, reading.http_version) == (200, 5, 1.1)
    assert (reading.content_length, reading.ip) == (5, "127.0.0.1")
    assert set(reading.phases) == {"resolve", "connect", "processing", "transfer"}


@pytest.mark.parametrize("status", ["503 Service Unavailable", "301 Moved", "404 Not Found"])
def test_any_other_status_fails_with_its_code(status: str) -> None:
    with answering(http(status)) as url:
        reading = probe(url)

    assert reading.failure is ProbeFailure.STATUS
    assert reading.status_code == int(status[:3])


DRIP = (b"HTTP/1.1 200 OK\r\n\r\n", *[b"x"] * 50)
BAD_ANSWERS: dict[str, tuple[Callable[[], AbstractContextManager[str]], ProbeFailure]] = {
    "silence": (lambda: answering(b"", pause=5), ProbeFailure.TIMEOUT),
    "drip": (lambda: answering(*DRIP, pause=0.1), ProbeFailure.TIMEOUT),
    "hang up": (answering, ProbeFailure.PROTOCOL),
    "nonsense": (lambda: answering(b"\xff\x00nonsense\r\n\r\n"), ProbeFailure.PROTOCOL),
    "half a body": (
        lambda: answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
        ProbeFailure.PROTOCOL,
    ),
    "endless": (lambda: answering(http("200 OK", b"x" * (2 << 20))), ProbeFailure.SIZE),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_ANSWERS)
def test_a_bad_answer_fails_with_a_reason_in_time(kind: str) -> None:
    make, expected = BAD_ANSWERS[kind]
    began_at = time.monotonic()
    with make() as url:
        reading = probe(url, timeout=0.4)

        assert time.monotonic() - began_at < 2
    assert reading.failure is expected


def test_nobody_listening_is_connect() -> None:
    with answering() as url:
        pass

    assert probe(url).failure is ProbeFailure.CONNECT


def test_an_unknown_name_is_dns() -> None:
    assert probe("http://no-such-name.invalid/").failure is ProbeFailure.DNS


def test_a_plain_server_behind_https_is_tls() -> None:
    with answering(http("200 OK")) as url:
        assert probe(url.replace("http:", "https:")).failure is ProbeFailure.TLS


def test_a_failing_service_still_tells_its_components() -> None:
    body = json.dumps({"status": "not_ready", "checks": {"database": False, "cache": "ok"}})
    with answering(http("503 Unavailable", body.encode())) as url:
        reading = probe(url, health_json=True)

    assert reading.failure is ProbeFailure.STATUS
    assert reading.health == HealthDocument(
        HealthWord.UNHEALTHY, {"database": False, "cache": True}
    )


def test_no_health_document_where_one_is_due_fails() -> None:
    with answering(http("200 OK", b"<html>")) as url:
        assert probe(url, health_json=True).failure is ProbeFailure.JSON


def test_the_backends_own_document() -> None:
    body = {
        "status": "degraded",
        "version": "1.0",
        "database": {"status": "healthy", "latency_ms": 1.5},
        "celery": {"status": "unhealthy"},
        "system": {"cpu_percent": 12},
    }

    assert document_of(json.dumps(body).encode()) == HealthDocument(
        HealthWord.DEGRADED,
        {"database": True, "celery": False},
        latencies={"database": 0.0015},
    )


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"status": 1}', b'{"state": "ok"}', b"[" * 100_000, b"\xff\xfe"],
)
def test_what_is_no_health_document(body: bytes) -> None:
    assert document_of(body) is None


def test_component_names_are_of_a_plain_form_and_bounded_over_time() -> None:
    odd = {"": True, "A b": True, "x" * 100: True, "ünï": True, "fine": True, "no_word": 7}
    document = document_of(json.dumps({"status": "ok", "checks": odd}).encode())
    assert document is not None
    assert document.components == {"fine": True}

    admitted, names = Admitted(), set()
    for round_ in range(10):
        many = {f"c{round_}-{n}": True for n in range(50)}
        found = document_of(json.dumps({"status": "ok", "checks": many}).encode(), admitted)
        assert found is not None
        names |= found.components.keys()
    assert len(names) == MAX_COMPONENTS


def colour(body: bytes, status: str = "200 OK") -> LiveColour | Unreachable:
    with answering(http(status, body)) as url:
        switch = ColourSwitch("backend", url, ("blue", "green"))
        return ColourCollector(switch, time.monotonic).collect(time.monotonic() + 5)


def test_the_live_colour_is_one_of_the_configured_ones_or_unknown() -> None:
    assert colour(b"blue\n") == LiveColour("blue")
    for reading, cause in (
        (colour(b"red\n"), Cause.PROTOCOL),
        (colour(b""), Cause.PROTOCOL),
        (colour(b"blue\n", "502 Bad Gateway"), Cause.REFUSED),
    ):
        assert isinstance(reading, Unreachable)
        assert reading.cause is cause

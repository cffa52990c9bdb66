"""Probes over TLS and TCP, modules, redirects and the history; real servers on loopback."""

import http.server
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from exporter.collectors.fetch import MOST_REDIRECTS, Request
from exporter.collectors.history import KEPT, KEPT_FAILURES, History, Result, head_of
from exporter.collectors.nginx import NginxCollector, page
from exporter.collectors.port import Clocks
from exporter.collectors.probes import ProbeCollector
from exporter.exposition import Encoder
from exporter.families import probes
from exporter.readings import Cause, Nginx, Probe, ProbeFailure, Unreachable, VerifyError
from exporter.targets import Module, NginxServer, ProbeTarget
from tests.certificates import Authority, Pair

CLOCKS = Clocks(time.monotonic, time.time)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ca")


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by path; what it was asked is kept by the server."""

    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        server: Any = self.server
        server.asked.append(self)
        status, headers, body = server.routes.get(self.path, (200, {}, b"hello"))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value.replace("HERE", server.url))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815  the library's names

    @override
    def log_message(self, *_: object) -> None: ...


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    context: ssl.SSLContext | None = None

    @override
    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.context is not None:
            request = self.context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)
        request.close()

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that does not trust us hangs up."""


@contextmanager
def serving(pair: Pair | None = None, **routes: tuple[int, dict[str, str], bytes]) -> Iterator[Any]:
    server: Any = Server(("127.0.0.1", 0), Handler)
    server.url = f"http{'s' if pair else ''}://127.0.0.1:{server.server_address[1]}"
    server.routes = {f"/{path}": answer for path, answer in routes.items()}
    server.asked = []
    if pair is not None:
        server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.context.load_cert_chain(pair.certificate, pair.key)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


PLAIN = Module()


def probe(
    url: str, module: Module = PLAIN, *, health: bool = False, values: tuple[str, ...] = ()
) -> Probe:
    target = ProbeTarget("t", url, "s", "", 5.0, health, values, module)
    return ProbeCollector(target, CLOCKS).collect(time.monotonic() + 10)


def exposed(reading: Probe) -> str:
    return (
        Encoder()
        .encode(probes.families(ProbeTarget("t", "https://x/", "s"), reading))
        .body.decode()
    )


# TLS


def test_a_trusted_server(authority: Authority) -> None:
    pair = authority.signed("good", names="IP:127.0.0.1,DNS:good.example")
    with serving(pair) as server:
        reading = probe(server.url, Module(ca_file=str(authority.certificate)))

    assert (reading.failure, reading.over_tls) == (None, True)
    assert "tls" in reading.phases
    assert reading.tls is not None
    assert reading.tls.verified
    assert reading.tls.version in {"TLS 1.2", "TLS 1.3"}
    assert reading.tls.chain[0].names == ("127.0.0.1", "good.example")
    told = exposed(reading)
    assert 'probe_ssl_verified{target="t",service="s"} 1' in told
    assert "probe_ssl_last_chain_expiry_timestamp_seconds{" in told
    assert 'subjectalternative="127.0.0.1,good.example"' in told
    assert "probe_ssl_verify_error_info" not in told


UNTRUSTED: dict[VerifyError, Callable[[Authority], Pair]] = {
    VerifyError.EXPIRED: lambda ca: ca.signed(
        "expired", begins=timedelta(days=-9), ends=timedelta(days=-1)
    ),
    VerifyError.NOT_YET_VALID: lambda ca: ca.signed("early", begins=timedelta(days=1)),
    VerifyError.SELF_SIGNED: lambda ca: ca.self_signed("selfsigned"),
    VerifyError.HOST_NAME: lambda ca: ca.signed("elsewhere", names="DNS:elsewhere.example"),
}


@pytest.mark.parametrize("why", UNTRUSTED)
def test_the_expiry_of_an_untrusted_certificate_is_told(
    authority: Authority, why: VerifyError
) -> None:
    with serving(UNTRUSTED[why](authority)) as server:
        reading = probe(server.url, Module(ca_file=str(authority.certificate)))

    assert (reading.failure, reading.status_code) == (ProbeFailure.TLS, 0)
    assert reading.tls is not None
    assert (reading.tls.verified, reading.tls.verify_error) == (False, why)
    (leaf, *_) = reading.tls.chain
    assert (leaf.not_after < time.time()) == (why is VerifyError.EXPIRED)
    told = exposed(reading)
    assert f'probe_ssl_earliest_cert_expiry{{target="t",service="s"}} {leaf.not_after}' in told
    assert f'code="{why}"' in told
    assert "probe_ssl_last_chain_expiry" not in told


def test_an_authority_that_nobody_knows(authority: Authority) -> None:
    with serving(authority.signed("unknown")) as server:
        reading = probe(server.url)

    assert reading.tls is not None
    assert reading.tls.verify_error is VerifyError.UNKNOWN_ISSUER


def test_a_module_may_do_without_trust_and_that_is_told(authority: Authority) -> None:
    with serving(authority.self_signed("own")) as server:
        reading = probe(server.url, Module(insecure_skip_verify=True))

    assert (reading.failure, reading.status_code) == (None, 200)
    assert reading.tls is not None
    assert not reading.tls.verified


def test_a_server_name_of_its_own(authority: Authority) -> None:
    pair = authority.signed("named", names="DNS:named.example")
    module = Module(ca_file=str(authority.certificate), server_name="named.example")
    with serving(pair) as server:
        assert probe(server.url, module).failure is None


def test_an_authority_file_that_is_away_is_tls(tmp_path: Path) -> None:
    with serving() as server:
        url = server.url.replace("http:", "https:")
        assert probe(url, Module(ca_file=str(tmp_path / "gone"))).failure is ProbeFailure.TLS


# TCP


def test_a_port_that_takes_connections(authority: Authority) -> None:
    with serving() as server:
        reading = probe(server.url.replace("http:", "tcp:"))
    assert (reading.failure, set(reading.phases)) == (None, {"resolve", "connect"})
    assert "probe_http_status_code" in exposed(reading)
    assert "probe_http_version" not in exposed(reading)

    assert probe(server.url.replace("http:", "tcp:")).failure is ProbeFailure.CONNECT

    with serving(authority.signed("tcp")) as server:
        module = Module(ca_file=str(authority.certificate))
        reading = probe(server.url.replace("https:", "tls:"), module)
    assert reading.failure is None
    assert reading.tls is not None
    assert reading.tls.verified


# Modules


def test_headers_secrets_method_and_body_are_sent(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("Bearer s3cr3t-t0ken\n")
    module = Module(
        method="POST",
        headers=(("X-Asked-By", "stackmedic"),),
        header_files=(("Authorization", str(secret)),),
        body="{}",
    )
    with serving() as server:
        assert probe(server.url, module).failure is None
        asked = server.asked[0]

    assert asked.command == "POST"
    assert asked.headers["X-Asked-By"] == "stackmedic"
    assert asked.headers["Authorization"] == "Bearer s3cr3t-t0ken"
    assert asked.headers["Content-Length"] == "2"


def test_a_secret_that_cannot_be_read_fails_the_probe(tmp_path: Path) -> None:
    module = Module(header_files=(("Authorization", str(tmp_path / "gone")),))
    with serving() as server:
        assert probe(server.url, module).failure is ProbeFailure.SECRET
        assert server.asked == []


@pytest.mark.parametrize(
    ("module", "failure"),
    [
        (Module(expected_status=(503,)), ProbeFailure.STATUS),
        (Module(body_matches="hel+o"), None),
        (Module(body_matches="bye"), ProbeFailure.BODY),
        (Module(body_matches_not="hello"), ProbeFailure.BODY),
        (Module(header_matches=(("Server", "BaseHTTP"),)), None),
        (Module(header_matches=(("X-Missing", "."),)), ProbeFailure.HEADER),
        (Module(max_body_bytes=4), ProbeFailure.SIZE),
    ],
)
def test_what_a_module_expects(module: Module, failure: ProbeFailure | None) -> None:
    with serving() as server:
        reading = probe(server.url, module)

    assert reading.failure is failure
    if module.body_matches or module.header_matches:
        told = exposed(reading)
        assert f'probe_failed_due_to_regex{{target="t",service="s"}} {int(bool(failure))}' in told


def test_an_expected_error_is_good() -> None:
    with serving(gone=(410, {}, b"")) as server:
        assert probe(f"{server.url}/gone", Module(expected_status=(410,))).failure is None


# Redirects


def test_redirects_are_followed_only_where_the_module_says_so() -> None:
    with serving(a=(302, {"Location": "/b"}, b""), b=(200, {}, b"there")) as server:
        stays = probe(f"{server.url}/a")
        follows = probe(f"{server.url}/a", Module(follow_redirects=True))

    assert (stays.failure, stays.status_code, stays.redirects) == (ProbeFailure.STATUS, 302, 0)
    assert (follows.failure, follows.status_code, follows.redirects) == (None, 200, 1)


@pytest.mark.parametrize("where", ["/loop", "ftp://x/", "file:///etc/passwd", "http://", "//["])
def test_redirects_to_nowhere_end(where: str) -> None:
    with serving(loop=(301, {"Location": where}, b"")) as server:
        reading = probe(f"{server.url}/loop", Module(follow_redirects=True))
        asked = len(server.asked)

    assert reading.failure in {ProbeFailure.REDIRECT, ProbeFailure.PROTOCOL}
    assert asked <= MOST_REDIRECTS + 1


def test_secrets_do_not_go_to_another_origin(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("s3cr3t")
    module = Module(header_files=(("X-Token", str(secret)),), follow_redirects=True)
    with serving() as other, serving(a=(302, {"Location": f"{other.url}/b"}, b"")) as server:
        assert probe(f"{server.url}/a", module).failure is None
        assert server.asked[0].headers["X-Token"] == "s3cr3t"
        assert "X-Token" not in other.asked[0].headers


def test_nothing_goes_from_https_to_http(authority: Authority) -> None:
    module = Module(ca_file=str(authority.certificate), follow_redirects=True)
    with (
        serving() as plain,
        serving(authority.signed("down"), a=(302, {"Location": plain.url}, b"")) as server,
    ):
        assert probe(f"{server.url}/a", module).failure is ProbeFailure.REDIRECT
        assert plain.asked == []


# What servers do


@contextmanager
def raw(act: Callable[[socket.socket], None]) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        client, _ = listener.accept()
        with client:
            try:
                client.recv(65536)
                act(client)
            except OSError:
                pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        thread.join(10)
        listener.close()


def reset(client: socket.socket) -> None:
    linger = b"\x01\0\0\0\0\0\0\0"
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


def drip(client: socket.socket) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    stop = threading.Event()
    while not stop.wait(0.05):
        client.sendall(b"x")  # ends with an OSError when the prober hangs up


def endless(client: socket.socket) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        client.sendall(b"x" * 65536)


@pytest.mark.parametrize(
    ("act", "failure"),
    [
        (reset, ProbeFailure.PROTOCOL),
        (drip, ProbeFailure.TIMEOUT),
        (endless, ProbeFailure.SIZE),
    ],
)
def test_a_server_that_misbehaves(
    act: Callable[[socket.socket], None], failure: ProbeFailure
) -> None:
    with raw(act) as url:
        collector = ProbeCollector(ProbeTarget("t", url, "s", timeout=0.5), CLOCKS)
        assert collector.collect(time.monotonic() + 10).failure is failure


def test_a_failing_service_tells_its_numbers() -> None:
    body = b'{"status": "unhealthy", "database": {"status": "down", "latency_ms": 20}}'
    with serving(health=(503, {}, body)) as server:
        reading = probe(
            f"{server.url}/health", health=True, values=("database.latency_ms", "no.way")
        )

    assert reading.failure is ProbeFailure.STATUS
    assert reading.json_values == {"database.latency_ms": 20.0}
    assert reading.health is not None
    assert reading.health.latencies == {"database": 0.02}


def test_cancel_ends_a_request_that_waits() -> None:
    asked = threading.Event()

    def silent(client: socket.socket) -> None:
        asked.set()
        client.recv(1)

    with raw(silent) as url:
        request = Request(url, time.monotonic() + 60, time.monotonic)
        found = []
        thread = threading.Thread(target=lambda: found.append(request.get()))
        thread.start()
        assert asked.wait(10)
        request.cancel()
        thread.join(10)

        assert found[0].failure is not None


# Counts and history


def test_probes_and_their_failures_are_counted() -> None:
    with serving(bad=(500, {}, b"")) as server:
        collector = ProbeCollector(ProbeTarget("t", f"{server.url}/bad", "s"), CLOCKS)
        collector.collect(time.monotonic() + 10)
        collector.probe(None, time.monotonic() + 10)  # asked for by hand: not counted
        reading = collector.collect(time.monotonic() + 10)

    told = exposed(reading)
    assert 'probe_attempts_total{target="t",service="s"} 2' in told
    assert 'probe_failures_total{target="t",service="s",reason="status"} 2' in told
    assert 'probe_failures_total{target="t",service="s",reason="tls"} 0' in told
    assert 'probe_attempt_duration_seconds_bucket{target="t",service="s",le="10.0"} 2' in told
    assert 'probe_attempt_duration_seconds_count{target="t",service="s"} 2' in told
    assert [r.probe.failure for r in collector.history.results()] == [ProbeFailure.STATUS] * 3


def test_the_history_is_bounded_and_keeps_failures_longer() -> None:
    history = History()
    bad, good = Probe(ProbeFailure.STATUS, 0.1), Probe(None, 0.1)
    for at in range(100):
        history.add(Result(at, "m", bad))
    for at in range(100, 200):
        history.add(Result(at, "m", good))

    results = history.results()

    assert len(results) == KEPT + KEPT_FAILURES
    assert [r.at for r in results] == sorted((r.at for r in results), reverse=True)


@pytest.mark.parametrize(
    "body",
    [
        b"sent: s3cr3t-header",
        b'{"password": "s3cr3t-x"}',
        b"token=s3cr3t-x&a=1",
        b"Authorization: Bearer s3cr3t-x",
        b"postgresql://user:s3cr3t-x@db/app",
        b"api_key: s3cr3t-x",
        b"\x1b[31ms3cr3t-header",
    ],
)
def test_the_history_shows_no_secrets(body: bytes) -> None:
    head = head_of(body, ["s3cr3t-header"])

    assert "s3cr3t" not in head
    assert "[redacted]" in head
    assert head.isprintable()


# nginx

STATUS_PAGE = (
    "Active connections: 2 \nserver accepts handled requests\n 16630948 16630947 31070465 \n"
    "Reading: 6 Writing: 179 Waiting: 106 \n"
)


def asked(url: str) -> Nginx | Unreachable:
    server = NginxServer("nginx", url)
    return NginxCollector(server, time.monotonic).collect(time.monotonic() + 10)


def test_the_status_page_of_nginx() -> None:
    expected = Nginx(2, 16630948, 16630947, 31070465, 6, 179, 106)
    assert page(STATUS_PAGE) == expected
    with serving(stub_status=(200, {}, STATUS_PAGE.encode())) as server:
        assert asked(f"{server.url}/stub_status") == expected


def test_what_is_no_status_page_is_no_zero() -> None:
    with serving(gone=(404, {}, b"")) as server:
        url = server.url
        readings = [asked(f"{url}/"), asked(f"{url}/gone")]
    readings.append(asked(url))

    causes = [reading.cause for reading in readings if isinstance(reading, Unreachable)]
    assert causes == [Cause.PROTOCOL, Cause.REFUSED, Cause.CONNECT]

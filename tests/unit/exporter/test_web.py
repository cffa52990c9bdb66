"""The HTTP side, over a real socket with fake collectors."""

import gzip
import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.collectors import Opened
from exporter.collectors.history import History, Result
from exporter.families import colours, probes
from exporter.families.configuration import State
from exporter.readings import Cause, LiveColour, Probe, ProbeFailure, Unreachable
from exporter.scrape import Scraper
from exporter.targets import ColourSwitch, Module, ProbeTarget
from exporter.web.answers import RESERVE_SECONDS, Exporter, Fixed, InForce, budget_of
from exporter.web.server import MOST_CONNECTIONS, Server


@dataclass
class Fake:
    act: Callable[[], object]

    def collect(self, deadline: float) -> object:
        return self.act()

    def cancel(self) -> None:
        pass

    def close(self) -> None:
        pass


@dataclass
class FakeProber(Fake):
    history: History = field(default_factory=History)

    def probe(self, module: Module | None, deadline: float) -> Probe:
        assert module is not None
        probe = replace(GOOD, failure=ProbeFailure.BODY) if module.body_matches else GOOD
        head = "&lt;b&gt;" if probe.failure else ""
        self.history.add(Result(1700000000.0, module.name, probe, head))
        return probe


SECRET = Module("secret", header_files=(("Authorization", "/secret"),))
MODULES = {m.name: m for m in (Module(), Module("strict", body_matches="x"), SECRET)}
SITE = ProbeTarget("site", "http://nginx/", "site", colour="blue")
SWITCH = ColourSwitch("backend", "http://nginx/", ("blue", "green"))
GOOD = Probe(failure=None, duration_seconds=0.25, status_code=200)
NASTY = "<script>alert('\ud800')</script>"


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    scraper = Scraper(
        [
            Opened("probes", SITE, FakeProber(lambda: GOOD), probes.families),
            Opened("colours", SWITCH, Fake(lambda: LiveColour("blue")), colours.families),
            Opened(
                "colours",
                SWITCH,
                Fake(lambda: Unreachable(Cause.PROTOCOL, NASTY)),
                colours.families,
            ),
        ],
        time.monotonic,
    )
    in_force = InForce(2.0, MODULES, State(1700000000.0, (), "web-1"))
    exporter = Exporter(scraper, Fixed(in_force), clock=time.monotonic, version="1.2.3")
    server = Server(("127.0.0.1", 0), exporter)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield ("127.0.0.1", server.server_address[1])
    server.shutdown()
    thread.join()
    server.server_close()


def get(
    address: tuple[str, int], path: str, headers: dict[str, str] | None = None
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(*address, timeout=10)
    try:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def names(body: bytes) -> set[str]:
    return {
        sample.name
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def test_metrics_are_text_0_0_4_and_complete(address: tuple[str, int]) -> None:
    response, body = get(address, "/metrics")

    assert response.status == 200
    assert response.getheader("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
    assert names(body) >= {
        "probe_success",
        "service_live_colour",
        "stackmedic_scrape_collector_success",
        "stackmedic_build_info",
    }


def test_only_the_collectors_asked_for(address: tuple[str, int]) -> None:
    _, body = get(address, "/metrics?collect[]=colours")

    assert "service_live_colour" in names(body)
    assert "probe_success" not in names(body)


def test_an_unknown_collector_is_refused(address: tuple[str, int]) -> None:
    response, body = get(address, "/metrics?collect[]=nope&collect[]=probes")

    assert (response.status, body) == (400, b"unknown collector: nope\n")


def test_gzip_only_where_it_is_asked_for(address: tuple[str, int]) -> None:
    _, plain = get(address, "/metrics")
    response, packed = get(address, "/metrics", {"Accept-Encoding": "gzip"})

    assert response.getheader("Content-Encoding") == "gzip"
    assert names(gzip.decompress(packed)) == names(plain)


def test_one_connection_serves_many_scrapes(address: tuple[str, int]) -> None:
    connection = http.client.HTTPConnection(*address, timeout=10)
    for _ in range(3):
        connection.request("GET", "/metrics")
        assert connection.getresponse().read()
    connection.close()


def test_a_probe_is_answered_like_blackbox(address: tuple[str, int]) -> None:
    response, body = get(address, "/probe?target=site")

    assert response.status == 200
    assert b"\nprobe_success 1\n" in body
    assert b"\nprobe_duration_seconds 0.25\n" in body


@pytest.mark.parametrize(
    "query", ["", "?target=", "?target=http://169.254.169.254/", "?target=%ff"]
)
def test_only_configured_targets_are_probed(address: tuple[str, int], query: str) -> None:
    response, _ = get(address, f"/probe{query}")

    assert response.status == 400


@pytest.mark.parametrize(("path", "status"), [("/-/healthy", 200), ("/x", 404)])
def test_the_other_pages(address: tuple[str, int], path: str, status: int) -> None:
    assert get(address, path)[0].status == status


def test_the_landing_page_tells_each_collectors_last_error(address: tuple[str, int]) -> None:
    get(address, "/metrics")
    response, body = get(address, "/")

    assert response.status == 200
    assert b"1 of 3 failing" in body
    assert b"stackmedic exporter on web-1" in body
    assert b"loaded 2023-11-14 22:13:20 UTC" in body
    assert b'name="viewport"' in body
    assert b"protocol: &lt;script&gt;" in body
    assert b"<script>" not in body


def ask(
    address: tuple[str, int], method: str, path: str, body: bytes | None = None
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(*address, timeout=10)
    try:
        connection.request(method, path, body=body)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_refused(address: tuple[str, int], method: str) -> None:
    response, _ = ask(address, method, "/metrics", b"x" * 100_000)

    assert response.status == 405
    assert response.getheader("Allow") == "GET, HEAD"
    assert response.getheader("Connection") == "close"


def test_a_reload_is_asked_for_by_post(address: tuple[str, int]) -> None:
    assert ask(address, "POST", "/-/reload")[0].status == 200
    assert ask(address, "PUT", "/-/reload")[0].status == 200
    response, _ = ask(address, "GET", "/-/reload")
    assert (response.status, response.getheader("Allow")) == (405, "POST, PUT")


def test_head_is_get_without_a_body(address: tuple[str, int]) -> None:
    response, body = ask(address, "HEAD", "/metrics")

    assert (response.status, body) == (200, b"")
    assert int(response.getheader("Content-Length") or 0) > 1000


@pytest.mark.parametrize(
    "path",
    [
        "/metrics?" + "&".join(["a=1"] * 101),
        "/metrics?collect[]=%00%ff",
        "/probe?x",
    ],
)
def test_nonsense_is_refused(
    address: tuple[str, int], path: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert ask(address, "GET", path)[0].status == 400
    assert caplog.records == []


@pytest.mark.parametrize(
    "request_line",
    [
        b"\xff\x00\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\n\r\n",
        b"GET " + b"/" * 70000,
    ],
)
def test_what_is_no_http_ends_without_a_traceback(
    address: tuple[str, int], request_line: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_connection(address, timeout=10) as client:
        client.sendall(request_line)
        client.shutdown(socket.SHUT_WR)
        answer = client.recv(65536)

    assert b"Traceback" not in answer
    assert get(address, "/-/healthy")[0].status == 200
    assert caplog.records == []


def test_it_is_ready_when_it_has_scraped_once(address: tuple[str, int]) -> None:
    assert get(address, "/-/ready")[0].status == 503
    get(address, "/metrics")
    assert get(address, "/-/ready")[0].status == 200


def test_a_connection_too_many_is_closed_and_the_others_are_served(
    address: tuple[str, int],
) -> None:
    idle = [socket.create_connection(address, timeout=10) for _ in range(MOST_CONNECTIONS)]
    try:
        with socket.create_connection(address, timeout=10) as refused:
            assert refused.recv(1) == b""
        idle[0].sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle[0].recv(15) == b"HTTP/1.1 200 OK"
    finally:
        for client in idle:
            client.close()


def test_a_probe_with_another_module(address: tuple[str, int]) -> None:
    _, body = get(address, "/probe?target=site&module=strict")

    assert b"\nprobe_success 0\n" in body
    assert b'probe_failure_reason{reason="body"} 1' in body


@pytest.mark.parametrize("module", ["nope", "secret"])
def test_a_module_that_is_unknown_or_sends_secrets_elsewhere_is_refused(
    address: tuple[str, int], module: str
) -> None:
    assert get(address, f"/probe?target=site&module={module}")[0].status == 400


def test_debug_tells_the_last_results(address: tuple[str, int]) -> None:
    get(address, "/probe?target=site&module=strict")
    response, body = get(address, "/probe?target=site&debug=true")

    assert response.getheader("Content-Type") == "text/plain; charset=utf-8"
    assert body.startswith(b"Target site: http://nginx/\n")
    assert b"module=strict failed: body status=200" in body
    assert b"module=http_2xx good status=200" in body
    assert b"\nprobe_success 1\n" in body


@pytest.mark.parametrize(
    ("header", "budget"),
    [
        ("10", 10 - RESERVE_SECONDS),
        ("1", 0.5),
        ("0.2", 0.1),
        (None, 5 - RESERVE_SECONDS),
        ("nan", 5 - RESERVE_SECONDS),
        ("-1", 5 - RESERVE_SECONDS),
        ("inf", 5 - RESERVE_SECONDS),
        ("soon", 5 - RESERVE_SECONDS),
        ("1e9", 120 - RESERVE_SECONDS),
    ],
)
def test_the_budget_comes_from_prometheus_own_timeout(header: str | None, budget: float) -> None:
    assert budget_of(header, default=5) == budget

"""The HTTP side, over a real socket with fake collectors."""

import gzip
import http.client
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.collectors import Opened
from exporter.families import colours, probes
from exporter.readings import Cause, LiveColour, Probe, Unreachable
from exporter.scrape import Scraper
from exporter.targets import ColourSwitch, ProbeTarget
from exporter.web import RESERVE_SECONDS, Exporter, Server, budget_of


@dataclass
class Fake:
    act: Callable[[], object]

    def collect(self, deadline: float) -> object:
        return self.act()

    def cancel(self) -> None:
        pass

    def close(self) -> None:
        pass


SITE = ProbeTarget("site", "http://nginx/", "site", colour="blue")
SWITCH = ColourSwitch("backend", "http://nginx/", ("blue", "green"))
GOOD = Probe(failure=None, duration_seconds=0.25, status_code=200)
NASTY = "<script>alert('\ud800')</script>"


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    scraper = Scraper(
        [
            Opened("probes", SITE, Fake(lambda: GOOD), probes.families),
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
    exporter = Exporter(
        scraper,
        clock=time.monotonic,
        version="1.2.3",
        default_timeout=2,
        open_probe=lambda _: Fake(lambda: GOOD),  # type: ignore[arg-type,return-value]
    )
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


@pytest.mark.parametrize(("path", "status"), [("/-/healthy", 200), ("/-/ready", 200), ("/x", 404)])
def test_the_other_pages(address: tuple[str, int], path: str, status: int) -> None:
    assert get(address, path)[0].status == status


def test_the_landing_page_tells_each_collectors_last_error(address: tuple[str, int]) -> None:
    get(address, "/metrics")
    response, body = get(address, "/")

    assert response.status == 200
    assert b"failing" in body
    assert b"protocol: &lt;script&gt;" in body
    assert b"<script>" not in body


def test_other_methods_are_refused(address: tuple[str, int]) -> None:
    connection = http.client.HTTPConnection(*address, timeout=10)
    connection.request("POST", "/metrics", body=b"x")
    response = connection.getresponse()
    assert response.status == 501
    response.read()
    connection.close()


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

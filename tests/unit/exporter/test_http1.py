"""The head of a request as it may come, and of an answer."""

import io
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.http1 import Malformed, Request, head, read_request


def read(text: bytes) -> Request | None:
    return read_request(io.BytesIO(text))


def test_a_scrape_of_prometheus() -> None:
    request = read(
        b"GET /metrics?collect[]=redis HTTP/1.1\r\nHost: a:9180\r\nACCEPT-encoding:  gzip \r\n"
        b"X-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\nGET /next"
    )

    assert request is not None
    assert (request.method, request.url) == ("GET", "/metrics?collect[]=redis")
    assert request.headers["accept-encoding"] == "gzip"
    assert request.headers["x-prometheus-scrape-timeout-seconds"] == "10"
    assert request.keep_alive


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nConnection: Close\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True),
        # What follows would be taken for the next request.
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nGET /", False),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", False),
        (b"POST / HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\nGET /", False),
    ],
)
def test_a_connection_is_kept_where_the_next_request_is_sure_to_begin(
    text: bytes,
    kept: bool,  # noqa: FBT001  a parameter of the table
) -> None:
    request = read(text)

    assert request is not None
    assert request.keep_alive == kept


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"BREW / HTTP/1.1\r\n\r\n", 501),
        (b"GET /" + b"a" * 70_000, 414),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: b\r\n folded: c\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 70_000, 431),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431),
    ],
)
def test_what_is_not_understood_has_a_status(text: bytes, status: int) -> None:
    with pytest.raises(Malformed) as raised:
        read(text)

    assert raised.value.status == status


def test_two_slashes_are_no_host() -> None:
    request = read(b"GET //metrics HTTP/1.1\r\n\r\n")

    assert request is not None
    assert request.url == "/metrics"


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_none_or_malformed(text: bytes) -> None:
    for each in (text, b"GET / HTTP/1.1\r\n" + text):
        with suppress(Malformed):
            read(each)


def test_the_head_of_an_answer() -> None:
    lines = head(200, [("A", "b")], 7, 0.5, keep_alive=False).decode().split("\r\n")

    assert lines[0] == "HTTP/1.1 200 OK"
    assert "Date: Thu, 01 Jan 1970 00:00:00 GMT" in lines
    assert {"A: b", "Content-Length: 7", "Connection: close"} <= set(lines)
    assert lines[-2:] == ["", ""]

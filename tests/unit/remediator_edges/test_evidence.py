import time

import pytest

from remediator.actions.evidence import log_tail, redacted, redacted_command


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("postgres://app:hunter2@db:5432/app", "postgres://***@db:5432/app"),
        (
            "redis://:hunter2@redis/0 and http://ok:8000/x",
            "redis://***@redis/0 and http://ok:8000/x",
        ),
        ("POSTGRES_PASSWORD=hunter2 next", "POSTGRES_PASSWORD=*** next"),
        ("password: 'hunter two' next", "password: *** next"),
        ('{"api_key": "hunter2", "id": 7}', '{"api_key": ***, "id": 7}'),
        (r'{"msg": "{\"token\": \"hunter2\"}"}', r'{"msg": "{\"token\": ***}"}'),
        ("ALTER USER app PASSWORD 'hunter2'", "ALTER USER app PASSWORD ***"),
        ("requirepass hunter2", "requirepass ***"),
        ("sent Bearer hunter2hunter2 ok", "sent Bearer *** ok"),
        ("key AKIAIOSFODNN7EXAMPLE", "key ***"),
        ("jwt eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJ", "jwt ***"),
        ("d41d8cd98f00b204e9800998ecf8427ed41d8cd98f", "***"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(line: str, shown: str) -> None:
    assert redacted(line) == shown


def test_an_authorization_header_is_hidden_whole() -> None:
    shown = redacted("Authorization: Basic aHVudGVyMjpodW50ZXIz")
    assert "aHVudGVyMjpodW50ZXIz" not in shown


@pytest.mark.parametrize(
    "line",
    [
        "2026-01-01T00:00:00Z ERROR connection to db:5432 refused",
        "Traceback (most recent call last):",
        '  File "/app/main.py", line 7, in <module>',
        "GET http://nginx/api/lessons 502 in 12 ms",
    ],
)
def test_an_ordinary_line_stays_as_it_is(line: str) -> None:
    assert redacted(line) == line


def test_only_the_last_lines_are_kept_and_only_whole_ones() -> None:
    text = "\n".join(f"line {number:04}" for number in range(100)) + "\n"
    assert log_tail(text, lines=3, max_bytes=4096) == "line 0097\nline 0098\nline 0099"
    assert log_tail(text, lines=50, max_bytes=25) == "line 0098\nline 0099"
    assert log_tail("", lines=50, max_bytes=4096) == ""


def test_the_tail_never_takes_more_bytes_than_allowed() -> None:
    tail = log_tail("é" * 10_000 + "\n" + "short", lines=50, max_bytes=1024)
    assert tail == "short"


def test_a_private_key_is_dropped() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nAAAA\nBBBB\n-----END PRIVATE KEY-----\nafter"
    shown = log_tail(key, lines=50, max_bytes=4096)
    assert "AAAA" not in shown
    assert shown.endswith("after")


@pytest.mark.parametrize("unit", ["a", "password", "://", "eyJa", "'", "x1", "token:", "pwd "])
def test_a_hostile_line_takes_no_time(unit: str) -> None:
    began = time.process_time()
    log_tail("\n".join([unit * 20_000] * 50), lines=50, max_bytes=4096)
    assert time.process_time() - began < 3


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("psql --password hunter2 -h db", "psql --password *** -h db"),
        ("app -token hunter2", "app -token ***"),
        ("app --db-password=hunter2 --x 1", "app --db-password=*** --x 1"),
        ("app --no-password --verbose", "app --no-password --verbose"),
        (
            "celery --app=app.tasks worker --hostname=a",
            "celery --app=app.tasks worker --hostname=a",
        ),
    ],
)
def test_a_command_line_hides_the_word_after_a_secret_option(line: str, shown: str) -> None:
    assert redacted_command(line) == shown

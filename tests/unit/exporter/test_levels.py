"""The level of a log line comes from its form."""

import json

import pytest

from exporter.collectors.levels import Events, Level, level_of

LINES = {
    '{"level": "error", "msg": "no"}': Level.ERROR,
    '{"msg": "0 errors", "severity": "INFO"}': Level.OTHER,
    '{"msg": "no level"}': Level.OTHER,
    '{"levelname": "CRITICAL"}': Level.CRITICAL,
    "[2026-11-24 10:00:00,000: ERROR/ForkPoolWorker-1] Task failed": Level.ERROR,
    "[2026-11-24 10:00:00,000: WARNING/MainProcess] slow": Level.WARNING,
    "ERROR:root:no": Level.ERROR,
    "2026-11-24 10:00:00,000 - app - ERROR - no": Level.ERROR,
    "2026-11-24 10:00:00.000 UTC [12] ERROR:  relation does not exist": Level.ERROR,
    "2026-11-24 10:00:00.000 UTC [12] FATAL:  no such role": Level.CRITICAL,
    "2026-11-24 10:00:00.000 UTC [12] LOG:  ready to accept connections": Level.OTHER,
    "2026/11/24 10:00:00 [error] 7#7: *1 connect() failed": Level.ERROR,
    "2026/11/24 10:00:00 [warn] 7#7: low": Level.WARNING,
    "2026/11/24 10:00:00 [crit] 7#7: bad": Level.CRITICAL,
    "1:M 24 Nov 2026 10:00:00.000 # Can't save in background": Level.WARNING,
    "1:M 24 Nov 2026 10:00:00.000 * Ready to accept connections": Level.OTHER,
    'ts=2026-11-24T10:00:00Z level=warn msg="no"': Level.WARNING,
    "\x1b[31mERROR\x1b[0m red": Level.ERROR,
    "INFO:     127.0.0.1:1234 - GET /": Level.OTHER,
    '10.0.0.1 - - [24/Nov/2026] "GET /error HTTP/1.1" 200': Level.OTHER,
    "finished with 0 errors": Level.OTHER,
    "no ERRORS here": Level.OTHER,
    "": Level.OTHER,
}


def raw(text: str) -> bytes:
    return json.dumps(text + "\n")[1:-1].encode()


@pytest.mark.parametrize("line", LINES)
def test_the_form_of_a_line_tells_its_level(line: str) -> None:
    assert level_of(raw(line)) is LINES[line]


TRACEBACK = """Traceback (most recent call last):
  File "app.py", line 1, in <module>
    go()
ValueError: no"""
CHAINED = (
    TRACEBACK
    + "\n\nDuring handling of the above exception, another exception occurred:\n\n"
    + TRACEBACK
)
EVENTS = {
    "bare traceback": (TRACEBACK, [Level.ERROR]),
    "logged traceback": (f"ERROR:root:went wrong\n{TRACEBACK}", [Level.ERROR]),
    "chained traceback": (CHAINED, [Level.ERROR]),
    "traceback, then more": (f"{TRACEBACK}\nINFO:root:on", [Level.ERROR]),
    "traceback after info": (f"INFO:root:on\n{TRACEBACK}", [Level.ERROR]),
    "postgres with its tails": (
        (
            "2026-11-24 10:00:00 UTC [9] ERROR:  duplicate key\n"
            "2026-11-24 10:00:00 UTC [9] DETAIL:  Key exists.\n"
            "2026-11-24 10:00:00 UTC [9] STATEMENT:  insert"
        ),
        [Level.ERROR],
    ),
    "java": ("ERROR no\n\tat a.b(C.java:1)\nCaused by: x\n\t... 3 more", [Level.ERROR]),
    "indented first line": ("  odd", []),
}


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_of_many_lines_is_counted_once(name: str) -> None:
    text, expected = EVENTS[name]
    events = Events()

    levels = [events.level_of(raw(line))[0] for line in text.split("\n")]

    assert [level for level in levels if level is not Level.OTHER] == expected

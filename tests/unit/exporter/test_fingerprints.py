"""The weekly review of recurring errors: same form, same fingerprint; bounded; no secrets."""

import json

import pytest

from exporter.collectors.fingerprints import (
    OTHER,
    SHOWN,
    TTL_SECONDS,
    WAITING,
    Fingerprints,
    fingerprint_of,
    sample_of,
)


def raw(text: str) -> bytes:
    return json.dumps(text + "\n")[1:-1].encode()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2026-11-24 10:00:00,123 ERROR took 12 ms", "2026-11-25 11:09:00,999 ERROR took 1234 ms"),
        ("ERROR user 'anna' unknown", "ERROR user 'bob' unknown"),
        ('ERROR key "a b" gone', 'ERROR key "c" gone'),
        (
            "ERROR job 6fa459ea-ee8a-3ca4-894e-db77e160355e failed",
            "ERROR job 16fd2706-8baf-433b-82eb-8c7fada847da failed",
        ),
        ("ERROR at 0xdeadbeef", "ERROR at 0x7f00"),
        ("\x1b[31mERROR\x1b[0m no", "ERROR no"),
        (
            '{"level":"error","ts":1,"msg":"no route","id":"a"}',
            '{"level":"error","ts":2,"msg":"no route","id":"b"}',
        ),
    ],
)
def test_what_differs_each_time_does_not_make_another_error(one: str, other: str) -> None:
    assert fingerprint_of(raw(one)) == fingerprint_of(raw(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ERROR cannot connect", "ERROR cannot read"),
        ('{"level":"error","msg":"no route"}', '{"level":"error","msg":"no disk"}'),
    ],
)
def test_other_words_are_another_error(one: str, other: str) -> None:
    assert fingerprint_of(raw(one)) != fingerprint_of(raw(other))


@pytest.mark.parametrize(
    "text",
    [
        "login failed password=hunter2 for x",
        "url postgresql://app:hunter2@db/app",
        'headers {"Authorization": "Bearer hunter2hunter2"}',
        "api_key: 'hunter2'",
        "Bearer hunter2abcdef sent",
        "cookie=hunter2; path=/",
        "token eyJhbGciOiJIUzI1NiIsInR5cCI6Ihunter2abcdefghijkl",
    ],
)
def test_a_sample_shows_no_credentials(text: str) -> None:
    assert "hunter2" not in sample_of(raw(text))


def test_a_sample_is_short_and_readable() -> None:
    sample = sample_of(raw('ERROR "a"\tb ' + "x " * 1000))

    assert sample.startswith('ERROR "a" b x')
    assert len(sample) <= 240


def words(number: int) -> bytes:
    """A message whose form is its own: digits would be taken out."""
    return raw("ERROR " + "".join(chr(ord("g") + int(digit)) for digit in str(number)))


def test_a_hundred_thousand_forms_stay_bounded_and_lose_no_count() -> None:
    found = Fingerprints()
    for number in range(100_000):
        found.add(words(number), 1.0)

    assert len(found.counts()) == SHOWN + 1
    assert sum(found.counts().values()) == 100_000
    assert len(found._waiting) <= WAITING


def test_a_frequent_newcomer_takes_a_place_and_no_count_falls() -> None:
    found = Fingerprints()
    for number in range(SHOWN):
        found.add(words(number), 1.0)
    seen: dict[str, int] = {}
    for _ in range(10):
        found.add(raw("ERROR often"), 2.0)
        now = found.counts()
        assert now[OTHER] >= seen.get(OTHER, 0)
        assert all(now[key] >= seen[key] for key in now.keys() & seen.keys())
        seen = now

    assert found.counts()[fingerprint_of(raw("ERROR often"))] > 5


def test_what_is_quiet_for_the_time_to_live_goes() -> None:
    found = Fingerprints()
    found.add(raw("ERROR old"), 1.0)
    found.expire(TTL_SECONDS + 2)

    assert found.counts() == {OTHER: 0}


def test_counts_survive_a_restart_and_texts_do_not() -> None:
    found = Fingerprints()
    found.add(raw("ERROR secret text"), 1.0)
    saved = json.dumps(found.saved())

    assert "secret" not in saved
    assert Fingerprints.restored(json.loads(saved)).counts() == found.counts()

"""Signed cookies: of one purpose, of one key, for a time."""

from datetime import timedelta
from pathlib import Path

import pytest

from remediator.web.console.sessions import KEY_BYTES, Session, Sessions, kept_key
from tests.fakes import FakeClock

KEY = b"k" * KEY_BYTES


def sessions(clock: FakeClock | None = None, key: bytes = KEY) -> Sessions:
    return Sessions(key, timedelta(hours=12), clock or FakeClock())


def test_a_session_is_read_as_it_was_written_until_its_end() -> None:
    clock = FakeClock()
    made = sessions(clock)
    session = made.begin("ann", "mark")
    cookie = made.write(session)
    assert made.read(cookie) == session
    clock.wait(12 * 3600 - 1)
    assert made.read(cookie) == session
    clock.wait(1)
    assert made.read(cookie) is None


def test_whoever_has_logged_out_is_out_with_every_copy() -> None:
    made = sessions()
    ended, other = made.begin("ann"), made.begin("ann")
    made.end(ended)
    assert made.read(made.write(ended)) is None
    assert made.read(made.write(other)) == other


@pytest.mark.parametrize("cookie", ["", "x", "a.b", "\udcff", "W10.x", "é" * 5000])
def test_what_is_not_signed_is_nothing(cookie: str) -> None:
    made = sessions()
    assert made.read(cookie) is None
    assert not made.is_device_of("ann", cookie)
    assert made.read_sentence(cookie) == ""


def test_a_cookie_is_good_for_one_purpose_and_one_key() -> None:
    made = sessions()
    session = made.write(made.begin("ann"))
    assert not made.is_device_of("ann", session)
    assert made.read_sentence(session) == ""
    assert made.read(made.device("ann")) is None
    assert made.read(made.sentence("x")) is None
    assert sessions(key=b"o" * KEY_BYTES).read(session) is None
    assert made.is_device_of("ann", made.device("ann"))
    assert not made.is_device_of("bob", made.device("ann"))


def test_a_form_belongs_to_its_session() -> None:
    made = sessions()
    one, two = made.begin("ann"), made.begin("ann")
    assert made.is_form_of(one, made.form_token(one))
    assert not made.is_form_of(one, made.form_token(two))
    assert not made.is_form_of(one, "")
    assert not made.is_form_of(one, "é")
    assert made.form_token(one) != made.form_token(Session("ann", "", "", 0))


def test_the_key_is_made_once_and_kept_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "console.key"
    key = kept_key(path, make=True)
    assert len(key) == KEY_BYTES
    assert path.stat().st_mode & 0o777 == 0o600
    assert kept_key(path, make=True) == key
    with pytest.raises(FileNotFoundError):
        kept_key(tmp_path / "given", make=False)
    path.write_bytes(b"short")
    with pytest.raises(ValueError, match="at least 32 bytes"):
        kept_key(path, make=True)

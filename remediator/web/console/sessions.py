"""Cookies of the console: who is logged in, which browser was before, what a form must hold.

Rule: every cookie is signed and says what it is for; nothing in one is believed without that.
"""

import hashlib
import hmac
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from itsdangerous import BadSignature, URLSafeSerializer

KEY_BYTES = 32
DEVICE_LASTS = timedelta(days=400)  # as long as browsers keep a cookie


@dataclass(frozen=True, slots=True)
class Session:
    """`name` is empty before anybody has logged in; `mark` ends it with the password."""

    name: str
    nonce: str
    mark: str
    ends_at: int


class Sessions:
    def __init__(self, key: bytes, lasts: timedelta, clock: Callable[[], datetime]) -> None:
        self._key = key
        self._lasts = lasts
        self._clock = clock
        self._ended: dict[str, int] = {}
        self._lock = threading.Lock()

    def begin(self, name: str = "", mark: str = "") -> Session:
        return Session(name, secrets.token_urlsafe(16), mark, self._now() + self.lasts_seconds)

    @property
    def lasts_seconds(self) -> int:
        return int(self._lasts.total_seconds())

    def end(self, session: Session) -> None:
        """It is not taken again, whoever has copied it. A restart forgets this."""
        now = self._now()
        with self._lock:
            self._ended = {nonce: at for nonce, at in self._ended.items() if at > now}
            self._ended[session.nonce] = session.ends_at

    def write(self, session: Session) -> str:
        parts = [session.name, session.nonce, session.mark, session.ends_at]
        return self._signed("session").dumps(parts)

    def read(self, cookie: str) -> Session | None:
        match self._opened("session", cookie):
            case [str(name), str(nonce), str(mark), int(ends_at)]:
                over = ends_at <= self._now() or nonce in self._ended
                return None if over else Session(name, nonce, mark, ends_at)
            case _:
                return None

    def form_token(self, session: Session) -> str:
        """What a form of this session must hold; no other site can know it."""
        return hmac.new(self._key, f"form {session.nonce}".encode(), hashlib.sha256).hexdigest()

    def is_form_of(self, session: Session, token: str) -> bool:
        return hmac.compare_digest(
            self.form_token(session).encode(), token.encode(errors="replace")
        )

    def device(self, name: str) -> str:
        """For a browser in which `name` has logged in."""
        return self._signed("device").dumps([name, secrets.token_urlsafe(16)])

    def is_device_of(self, name: str, cookie: str) -> bool:
        match self._opened("device", cookie):
            case [str(known), str()]:
                return known == name
            case _:
                return False

    def sentence(self, text: str) -> str:
        """One to be shown on the next page."""
        return self._signed("sentence").dumps(text)

    def read_sentence(self, cookie: str) -> str:
        found = self._opened("sentence", cookie)
        return found if isinstance(found, str) else ""

    def _signed(self, purpose: str) -> URLSafeSerializer:
        return URLSafeSerializer(
            self._key, salt=f"console {purpose}", signer_kwargs={"digest_method": hashlib.sha256}
        )

    def _opened(self, purpose: str, cookie: str) -> Any:  # noqa: ANN401 - JSON
        try:
            return self._signed(purpose).loads(cookie)
        except (BadSignature, UnicodeEncodeError):
            return None

    def _now(self) -> int:
        return int(self._clock().timestamp())


def kept_key(path: Path, *, make: bool) -> bytes:
    """The key in the file, which is made when there is none. Errors: OSError, ValueError."""
    if make and not path.exists():
        made = path.with_name(f"{path.name}.new")
        made.touch(mode=0o600)
        made.write_bytes(secrets.token_bytes(KEY_BYTES))
        made.replace(path)
    key = path.read_bytes()
    if len(key) < KEY_BYTES:
        raise ValueError(f"{path} must hold at least {KEY_BYTES} bytes")
    return key

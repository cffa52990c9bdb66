"""Who may ask, and over what: TLS, basic auth and headers from the web configuration file.

Rule: the file, and the certificate and key that it names, are looked at for every connection,
so that a renewed certificate needs no restart. What cannot be used at the start stops the
exporter; what becomes unusable later is logged, and what was loaded stays in force.
"""

import base64
import binascii
import hashlib
import logging
import secrets
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from exporter.checked import web_settings
from exporter.settings import Invalid, Tls, WebSettings

log = logging.getLogger(__name__)

# Checked for names that do not exist, so that the time taken does not tell which do.
_NOBODY = "$2b$10$" + "." * 53
_MOST_KNOWN = 100
_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
_CLIENT_CERTIFICATES = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
Load = Callable[[Path], WebSettings]
Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """What is in force. users: name -> bcrypt hash, empty: everybody may ask."""

    context: ssl.SSLContext | None = None
    users: Mapping[str, str] = field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = ()
    files: tuple[Path, ...] = ()


class Access:
    """path None: everybody, in plain text. Errors of the first reading: Invalid."""

    def __init__(self, path: Path | None = None, load: Load = web_settings) -> None:
        self._path = path
        self._load = load
        self._lock = threading.Lock()  # guards what follows
        self._rules = Rules() if path is None else read(path, load)
        self._stamp = _stamp(self._rules.files)
        self._known: set[bytes] = set()  # digests of name and password that were right
        self._salt = secrets.token_bytes(16)

    def context(self) -> ssl.SSLContext | None:
        return self._current().context

    def headers(self) -> tuple[tuple[str, str], ...]:
        """What every answer carries besides its own."""
        return self._current().headers

    def allows(self, authorization: str | None) -> bool:
        users = self._current().users
        if not users:
            return True
        name, password = _credentials(authorization)
        expected = users.get(name, _NOBODY)
        # bcrypt takes a tenth of a second on purpose; a scrape brings the same words each time.
        text = f"{name}\0{expected}\0{password}".encode("utf-8", "surrogatepass")
        digest = hashlib.sha256(self._salt + text).digest()
        with self._lock:
            if digest in self._known:
                return True
        if not _matches(password, expected) or name not in users:
            return False
        with self._lock:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known.add(digest)
        return True

    def _current(self) -> Rules:
        if self._path is None:
            return self._rules
        with self._lock:
            stamp = _stamp(self._rules.files)
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._rules = read(self._path, self._load)
                    self._stamp = _stamp(self._rules.files)
                    log.info("%s: read again", self._path)
                except Invalid as invalid:
                    for error in invalid.errors:
                        log.error("%s; what was loaded stays in force", error)  # noqa: TRY400  a mistake in a file
            return self._rules


def read(path: Path, load: Load = web_settings) -> Rules:
    """Errors: Invalid."""
    settings = load(path)
    if settings.users:
        import bcrypt  # noqa: F401, PLC0415  only who uses it needs it; missing is told at the start
    tls = settings.tls
    context = _context(path, tls) if tls is not None else None
    files = (path, *(Path(file) for file in (tls.files if tls is not None else ())))
    return Rules(context, settings.users, tuple(settings.headers.items()), files)


def _context(path: Path, tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate, key, *authorities = tls.files
    try:
        context.minimum_version = _VERSIONS[tls.min_version]
        context.maximum_version = _VERSIONS[tls.max_version]
        context.load_cert_chain(certificate, key)
        for file in authorities:
            context.load_verify_locations(file)
    except (OSError, ValueError) as error:
        why = f"{path.name}: tls_server_config: certificate, key or authority: {error}"
        raise Invalid([why]) from error
    context.verify_mode = _CLIENT_CERTIFICATES[tls.client_auth_type]
    return context


def _credentials(authorization: str | None) -> tuple[str, str]:
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        text = base64.b64decode(encoded, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return "", ""
    name, _, password = text.partition(":")
    return name, password


def _matches(password: str, expected: str) -> bool:
    import bcrypt  # noqa: PLC0415  only who uses it needs it

    # bcrypt reads 72 bytes; its library refuses more and NUL.
    secret = password.encode("utf-8")[:72]
    try:
        return bcrypt.checkpw(secret, expected.encode("ascii"))
    except ValueError:
        return False


def _stamp(files: tuple[Path, ...]) -> Stamp:
    found = []
    for file in files:
        try:
            state = file.stat()
        except OSError:
            found.append((0, 0, 0))
        else:
            found.append((state.st_mtime_ns, state.st_size, state.st_ino))
    return tuple(found)

"""A certificate and its key: read once, judged by OpenSSL, compared by their bytes.

Rule: what was judged is what is installed, byte for byte. A pair is good when a handshake
in memory with it succeeds: it parses, the key belongs to it, it is valid now, and it covers
the names. That is what a browser will ask of it, and nothing here parses a certificate.
"""

import os
import re
import ssl
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from remediator.ports import Permanent

_LARGEST = 64 * 1024
_FIRST = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_ROUNDS = 10  # a handshake takes three


@dataclass(frozen=True, slots=True)
class Pair:
    """PEM, as read. Neither is ever shown."""

    cert: bytes = field(repr=False)
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Judged:
    """A good pair: when it ends, and its own certificate without the chain."""

    not_after: datetime
    der: bytes = field(repr=False)


class BadPair(ValueError):
    """Why a pair cannot be used, in a sentence without its content."""


def read_pair(cert: str, key: str) -> Pair:
    """Links are followed: the folders of certbot are made of them. Errors: Permanent."""
    return Pair(content_of(Path(cert)), content_of(Path(key)))


def judge(pair: Pair, names: Sequence[str]) -> Judged:
    """The first name's verdict, after all names were found good. Errors: BadPair."""
    first = _FIRST.search(pair.cert)
    if first is None:
        raise BadPair("there is no certificate in the file")
    try:
        der = ssl.PEM_cert_to_DER_cert(first[0].decode("ascii"))
        server = _server(pair)
        asked: Sequence[str | None] = names or (None,)
        ends = [_handshake(server, der, name) for name in asked]
    except ssl.SSLCertVerificationError as error:
        raise BadPair(error.verify_message.rstrip(".")) from error
    except ssl.SSLError as error:
        raise BadPair(_words(error)) from error
    except ValueError as error:  # not base64, not DER
        raise BadPair("the certificate cannot be read") from error
    return Judged(ends[0], der)


def _server(pair: Pair) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:  # of mode 0700; OpenSSL reads files only
        cert, key = Path(folder) / "cert", Path(folder) / "key"
        cert.write_bytes(pair.cert)
        key.write_bytes(pair.key)
        # Without the callable, OpenSSL would ask a terminal for the passphrase.
        context.load_cert_chain(cert, key, password=lambda: b"")
    return context


def _handshake(server: ssl.SSLContext, der: bytes, name: str | None) -> datetime:
    """Both sides in memory; the client trusts this one certificate and nothing else."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = name is not None
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(cadata=der)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=name)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(_ROUNDS):
        done = [_step(side) for side in (ours, theirs)]
        if all(done):
            break
    told = ours.getpeercert() or {}
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(told["notAfter"])), UTC)


def _step(side: ssl.SSLObject) -> bool:
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def _words(error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return "the key is not the certificate's"
    return f"OpenSSL refuses it ({error.reason or 'no reason given'})"


def content_of(path: Path) -> bytes:
    """A small regular file's bytes. Errors: Permanent."""
    try:
        # Not to wait for a writer, should it be a pipe.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Permanent(f"{path} is no regular file; see the topology's certificate")
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise Permanent(
            f"cannot read {path}: {error}; see that it is mounted and may be read"
        ) from error
    if len(content) > _LARGEST:
        raise Permanent(f"{path} is larger than {_LARGEST} bytes: that is no certificate or key")
    return content

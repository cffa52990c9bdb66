"""The way to one server: name, connection, TLS; timed by phase.

Rule: no phase outlives the deadline, not even the resolver's, which has no time limit of its
own. A certificate that is not to be trusted is looked at all the same, on a second connection:
its date of expiry matters most when it has passed.
"""

import hashlib
import io
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from typing_extensions import override

from exporter.collectors.lookup import Address, addresses
from exporter.collectors.port import Clock
from exporter.readings import Certificate, ProbeFailure, Tls, VerifyError
from exporter.x509 import Malformed, certificate

_MOST_OF_CHAIN = 10
# X509_V_ERR_* of OpenSSL.
_VERIFY_ERRORS = {
    9: VerifyError.NOT_YET_VALID,
    10: VerifyError.EXPIRED,
    18: VerifyError.SELF_SIGNED,
    19: VerifyError.SELF_SIGNED,
    2: VerifyError.UNKNOWN_ISSUER,
    20: VerifyError.UNKNOWN_ISSUER,
    21: VerifyError.UNKNOWN_ISSUER,
    23: VerifyError.REVOKED,
    62: VerifyError.HOST_NAME,
    64: VerifyError.HOST_NAME,
}


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom to believe. ca_file None: the system's authorities."""

    ca_file: str | None = None
    server_name: str | None = None
    insecure_skip_verify: bool = False


class Failed(Exception):
    def __init__(self, failure: ProbeFailure, detail: str) -> None:
        super().__init__(detail)
        self.failure = failure
        self.detail = detail


class Stream:
    """A socket as http.client wants one, whose every read ends at the deadline.

    A time limit of the socket alone starts anew with each byte that a slow server sends.
    """

    def __init__(self, sock: socket.socket, left: Callable[[], float]) -> None:
        self._sock = sock
        self._left = left

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Raw(self._sock, self._left))

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(self._left())
        self._sock.sendall(data)

    def close(self) -> None:
        """Nothing: the socket is the dial's."""


class _Raw(io.RawIOBase):
    def __init__(self, sock: socket.socket, left: Callable[[], float]) -> None:
        self._sock = sock
        self._left = left

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # WriteableBuffer has no public name
        self._sock.settimeout(self._left())
        return self._sock.recv_into(buffer)


class Dial:
    """Connections of one probe. cancel() may be called from another thread."""

    def __init__(self, deadline: float, clock: Clock) -> None:
        self.phases: dict[str, float] = {}
        self.tls: Tls | None = None
        self.ip = ""
        self._deadline = deadline
        self._clock = clock
        self._sock: socket.socket | None = None
        self._cancelled = False

    def open(self, host: str, port: int, trust: Trust | None) -> socket.socket:
        """A connection, with TLS where trust is given. It closes the one before.

        Errors: Failed with dns, connect, tls or timeout; TimeoutError.
        """
        with self.phase("resolve"):
            address = resolve(host, port, self.left())
        self.ip = str(address[1][0])
        with self.phase("connect"):
            sock = self._connect(address, f"{host}:{port}")
        if trust is not None:
            with self.phase("tls"):
                sock = self._secure(sock, address, host, trust)
        return sock

    def left(self) -> float:
        left = self._deadline - self._clock()
        if left <= 0 or self._cancelled:
            raise Failed(ProbeFailure.TIMEOUT, "no time left")
        return left

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a step; over redirects the times of a phase add up."""
        began_at = self._clock()
        if self._sock is not None:
            self._sock.settimeout(self.left())
        try:
            yield
        finally:
            self.phases[name] = self.phases.get(name, 0.0) + self._clock() - began_at

    def cancel(self) -> None:
        self._cancelled = True
        sock = self._sock
        if sock is not None:
            with suppress(OSError):
                # Not SSLSocket.shutdown, which takes TLS away under the thread that reads.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _connect(self, address: Address, name: str) -> socket.socket:
        self.close()
        family, place = address
        sock = self._sock = socket.socket(family, socket.SOCK_STREAM)
        sock.settimeout(self.left())
        try:
            sock.connect(place)
        except TimeoutError:
            raise
        except OSError as error:
            raise Failed(ProbeFailure.CONNECT, f"{name}: {error.strerror or error}") from error
        return sock

    def _secure(
        self, sock: socket.socket, address: Address, host: str, trust: Trust
    ) -> socket.socket:
        name = trust.server_name or host
        context = _context(trust)
        try:
            secured = self._handshake(context, sock, name)
        except ssl.SSLCertVerificationError as error:
            why = _VERIFY_ERRORS.get(error.verify_code, VerifyError.OTHER)
            detail = f"{name}: {error.verify_message or error.reason}"
        except ssl.SSLError as error:
            raise Failed(ProbeFailure.TLS, f"{name}: {error.reason or error}") from error
        except TimeoutError:
            raise
        except OSError as error:
            raise Failed(ProbeFailure.TLS, f"{name}: {error.strerror or error}") from error
        else:
            self.tls = _seen(secured, None)
            return secured
        return self._look(address, name, trust, why, detail)

    def _look(
        self, address: Address, name: str, trust: Trust, why: VerifyError, detail: str
    ) -> socket.socket:
        """The same server without verification, to see what it shows.

        Errors: Failed with tls, unless the module says that an untrusted server will do.
        """
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            unverified = self._handshake(context, self._connect(address, name), name)
        except (OSError, Failed) as error:
            # What is said is the first failure; that there is no second look is a detail.
            raise Failed(ProbeFailure.TLS, detail) from error
        self.tls = _seen(unverified, why)
        if not trust.insecure_skip_verify:
            raise Failed(ProbeFailure.TLS, detail)
        return unverified

    def _handshake(self, context: ssl.SSLContext, sock: socket.socket, name: str) -> ssl.SSLSocket:
        sock.settimeout(self.left())
        secured = context.wrap_socket(sock, server_hostname=name, do_handshake_on_connect=False)
        self._sock = secured
        secured.do_handshake()
        return secured


def _context(trust: Trust) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=trust.ca_file)
    except (OSError, ValueError) as error:
        raise Failed(ProbeFailure.TLS, f"{trust.ca_file}: {error}") from error


def _seen(sock: ssl.SSLSocket, why: VerifyError | None) -> Tls:
    leaf = sock.getpeercert(binary_form=True) or b""
    # Public from Python 3.13 on; before it the leaf must do.
    whole = getattr(sock, "get_unverified_chain", None)
    shown = (whole() if whole is not None else None) or [leaf]
    cipher = sock.cipher()
    return Tls(
        version=(sock.version() or "").replace("TLSv", "TLS "),
        cipher=cipher[0] if cipher else "",
        verified=why is None,
        verify_error=why,
        chain=tuple(_certificates(shown[:_MOST_OF_CHAIN])),
        leaf_sha256=hashlib.sha256(leaf).hexdigest(),
    )


def _certificates(shown: list[bytes]) -> Iterator[Certificate]:
    for der in shown:
        with suppress(Malformed):
            yield certificate(der)


def resolve(host: str, port: int, timeout: float) -> Address:
    """The first address of host. Errors: Failed with dns."""
    try:
        return addresses(host, port, timeout)[0]
    except TimeoutError as error:
        raise Failed(ProbeFailure.DNS, str(error)) from error
    except OSError as error:
        raise Failed(ProbeFailure.DNS, f"{host}: {error.strerror or error}") from error

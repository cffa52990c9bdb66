"""Installs a renewed certificate where nginx reads it, and sees that nginx serves it.

Rule: the old pair stays beside the new one, and comes back when nginx does not serve the new
one. To renew is not done here: whatever does that leaves a pair in the source folder.
"""

import socket
import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from remediator.actions.certificate_pair import BadPair, Judged, Pair, content_of, judge, read_pair
from remediator.actions.clients import Clients, Deadline, Params
from remediator.actions.nginx_control import (
    EXEC_SECONDS,
    READ_BY_ALL,
    nginx_says,
    remove_file,
    replace_file,
)
from remediator.ports import Done, Effect, Permanent, Ready, Refused, RemediationError, Transient
from remediator.topology import CertificatePlace, Target

_TLS_SECONDS = 3.0
_SERVES_SECONDS = 15.0
_SERVES_IN_A_ROW = 3
_POLL_SECONDS = 0.1
_UNDO_SECONDS = 2 * EXEC_SECONDS
_PRIVATE = 0o600


class InstallCertificateParams(Params):
    """The step needs nothing: files, names and address are the topology's."""


@dataclass(frozen=True, slots=True)
class _Old:
    """A file as it was: None when there was none."""

    path: Path
    content: bytes | None
    mode: int


@dataclass(frozen=True, slots=True)
class InstallCertificate:
    """1. judge  2. keep the old pair  3. replace  4. `nginx -t`  5. reload  6. see it served."""

    params: InstallCertificateParams
    clients: Clients

    def precheck(self, target: Target) -> Ready | Refused:
        place = _place(target)
        try:
            new, _ = _judged_source(place)
        except Permanent as error:
            return Refused(f"{target.key}: {error}")
        if _served(place) == new.der:
            return Refused(
                f"{target.key}: nginx serves the newest certificate already, valid until "
                f"{new.not_after:%Y-%m-%d}; renew it (certbot renew) and look at its log"
            )
        return Ready()

    def run(self, target: Target, *, timeout_seconds: float) -> Done:
        deadline = Deadline.after(self.clients.clock, timeout_seconds - _UNDO_SECONDS)
        if deadline.is_over():
            raise Permanent(
                f"{target.key}: installing a certificate needs a step timeout of more than "
                f"{_UNDO_SECONDS:.0f} s, to be able to undo it"
            )
        place = _place(target)
        new, pair = _judged_source(place)
        old = (_old(place.cert, READ_BY_ALL), _old(place.key, _PRIVATE))
        before = _judged_in_place(old)
        if before is not None:
            for file in old:
                replace_file(_kept(file.path), file.content or b"", mode=file.mode)
        reloaded = False
        try:
            replace_file(Path(place.key), pair.key, mode=old[1].mode)
            replace_file(Path(place.cert), pair.cert, mode=old[0].mode)
            nginx_says(self.clients, place.nginx_container, deadline, "-t")
            reloaded = True
            nginx_says(self.clients, place.nginx_container, deadline, "-s", "reload")
            self._wait_until_served(place, new, deadline)
        except RemediationError as error:
            undone = self._undo(place, old, reloaded=reloaded)
            raise Permanent(f"{target.key}: {error}; {undone}") from error
        told = {
            "not_after": new.not_after.isoformat(),
            "not_after_before": before.not_after.isoformat() if before else None,
        }
        return Done(f"nginx serves a certificate valid until {new.not_after:%Y-%m-%d}", told)

    def probe(self, target: Target, *, intended_at: datetime) -> Effect:  # noqa: ARG002
        """What nginx serves tells. Installing the same pair once more is harmless."""
        place = _place(target)
        try:
            new, _ = _judged_source(place)
            served = _served(place)
        except RemediationError:
            return Effect.UNKNOWN
        return Effect.DONE if served == new.der else Effect.NOT_DONE

    def _wait_until_served(self, place: CertificatePlace, new: Judged, deadline: Deadline) -> None:
        # The reload returns before the new workers serve, and an old one may take one more.
        until = Deadline.after(self.clients.clock, deadline.at_most(_SERVES_SECONDS))
        in_a_row, last_seen = 0, "nothing"
        while not until.is_over():
            try:
                served = _served(place)
                last_seen = "another certificate"
            except Transient as error:
                served, last_seen = None, str(error)
            in_a_row = in_a_row + 1 if served == new.der else 0
            if in_a_row == _SERVES_IN_A_ROW:
                return
            self.clients.wait(_POLL_SECONDS)
        raise Permanent(
            f"nginx was reloaded and does not serve the new certificate at {place.served_host}:"
            f"{place.served_port}; seen last: {last_seen}; see that its folder is mounted, not "
            "the file"
        )

    def _undo(self, place: CertificatePlace, old: tuple[_Old, _Old], *, reloaded: bool) -> str:
        """Put files and nginx back. Says how it went, because it is already a failure."""
        deadline = Deadline.after(self.clients.clock, _UNDO_SECONDS)
        try:
            for file in old:
                if file.content is None:
                    remove_file(file.path)
                else:
                    replace_file(file.path, file.content, mode=file.mode)
            if reloaded:
                nginx_says(self.clients, place.nginx_container, deadline, "-s", "reload")
        except RemediationError as error:
            return f"and going back failed too ({error}): look at nginx now"
        return "the old pair is back"


def _judged_source(place: CertificatePlace) -> tuple[Judged, Pair]:
    """The renewed pair. Errors: Permanent, also when it is older than the one in place."""
    pair = read_pair(place.source_cert, place.source_key)
    try:
        new = judge(pair, place.names)
    except BadPair as error:
        raise Permanent(
            f"the renewed pair at {place.source_cert} cannot be used: {error}"
        ) from error
    old = _judged_in_place((_old(place.cert, READ_BY_ALL), _old(place.key, _PRIVATE)))
    if old is not None and new.not_after < old.not_after:
        raise Permanent(
            f"the pair at {place.source_cert} ends on {new.not_after:%Y-%m-%d}, before the one in "
            f"place ({old.not_after:%Y-%m-%d}); renew it (certbot renew) and look at its log"
        )
    return new, pair


def _judged_in_place(old: tuple[_Old, _Old]) -> Judged | None:
    """None: there is no pair, it has expired or it does not fit; every good one is better."""
    cert, key = old[0].content, old[1].content
    if cert is None or key is None:
        return None
    try:
        return judge(Pair(cert, key), ())
    except BadPair:
        return None


def _old(name: str, mode: int) -> _Old:
    """What is in place. Errors: Permanent, also for a link: that is another way of installing."""
    path = Path(name)
    if path.is_symlink():
        raise Permanent(f"{path} is a link: to install nothing there and reload nginx is enough")
    if not path.exists():
        return _Old(path, None, mode)
    return _Old(path, content_of(path), path.stat().st_mode & 0o777)


def _kept(path: Path) -> Path:
    return path.with_name(f"{path.name}.old")


def _served(place: CertificatePlace) -> bytes | None:
    """The certificate that a new connection gets, in DER. Errors: Transient."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # compared by its bytes, whoever signed it
    context.verify_mode = ssl.CERT_NONE
    address = (place.served_host, place.served_port)
    try:
        with (
            socket.create_connection(address, timeout=_TLS_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=place.names[0]) as secured,
        ):
            return secured.getpeercert(binary_form=True)
    except (OSError, ValueError) as error:
        raise Transient(
            f"cannot connect to {address[0]}:{address[1]} by TLS: {error}; see that nginx runs"
        ) from error


def _place(target: Target) -> CertificatePlace:
    if target.certificate is None:
        raise Permanent(f"{target.key} has no certificate; give it one in the topology")
    return target.certificate

"""Who asks, whether he may, and whether it was he who sent the form.

Rule: a page is for whoever has logged in, an order for operators; every order holds the
token of its own session. The browser is told to keep everything else out.
"""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from flask import Blueprint, Response, g, redirect, render_template, request, url_for
from werkzeug.exceptions import Forbidden, Unauthorized

from remediator.web.console.accounts import Accounts, Role
from remediator.web.console.sessions import DEVICE_LASTS, Session, Sessions
from remediator.web.console.throttle import Throttle

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

OPEN = frozenset({"console.static", "console.login", "console.log_in"})
"""Endpoints for everybody."""
VIEWERS_ORDERS = frozenset({"console.log_in", "console.log_out"})
PROXY_MARK = "proxy"
LIVE = "X-Live"
"""Sent by a page that asks for what has changed of it."""
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Proxy:
    """A reverse proxy in front. `user_header`: it says who asks, and is believed."""

    networks: tuple[Network, ...]
    user_header: str | None
    operators: frozenset[str]

    def is_peer(self, address: str | None) -> bool:
        try:
            peer = ipaddress.ip_address(address or "")
        except ValueError:
            return False
        return any(peer in network for network in self.networks)


@dataclass(frozen=True, slots=True)
class Gate:
    """`accounts`, or a proxy with a user header. `secure`: people come over HTTPS."""

    sessions: Sessions
    throttle: Throttle
    accounts: Accounts | None
    proxy: Proxy | None
    secure: bool

    def cookie_name(self, what: str) -> str:
        return f"{'__Host-' if self.secure else ''}stackmedic-{what}"

    def cookie(self, what: str) -> str:
        return request.cookies.get(self.cookie_name(what), "")

    def set_cookie(self, response: Response, what: str, value: str, seconds: int) -> None:
        """0 seconds: take it away."""
        response.set_cookie(
            self.cookie_name(what),
            value,
            max_age=seconds,
            path="/",
            secure=self.secure,
            httponly=True,
            samesite="Strict",
        )

    def keep(self, response: Response, session: Session) -> None:
        written = self.sessions.write(session)
        self.set_cookie(response, "session", written, self.sessions.lasts_seconds)

    def remember_device(self, response: Response, name: str) -> None:
        lasts = int(DEVICE_LASTS.total_seconds())
        self.set_cookie(response, "device", self.sessions.device(name), lasts)

    def address(self) -> str:
        """Of whoever asks, as far as it can be believed."""
        peer = request.remote_addr or ""
        told = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
        return told if told and self.proxy and self.proxy.is_peer(peer) else peer


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    role: Role
    session: Session

    @property
    def may_order(self) -> bool:
        return self.role is Role.OPERATOR


def guard(routes: Blueprint, gate: Gate, clock: Callable[[], datetime]) -> None:
    """Ask each request, before it reaches a page."""

    @routes.before_request
    def check() -> Response | None:
        g.live, g.now = request.headers.get(LIVE) == "1", clock()
        g.person, g.form_token = None, ""
        if _comes_from_elsewhere(gate):
            return _again()
        _know(gate)
        if g.person is None and request.endpoint not in OPEN:
            return _who_is_it(gate)
        if request.method == "POST":
            _check_order(gate)
        return None

    @routes.after_request
    def close(response: Response) -> Response:
        response.headers.update(HEADERS)
        if request.endpoint != "console.static":
            response.headers["Cache-Control"] = "no-store"
            if g.get("begins"):
                gate.keep(response, g.session)
        return response


def _know(gate: Gate) -> None:
    """Put who asks into `g`, with his session: that which was sent if it is his, else a new one."""
    session = gate.sessions.read(gate.cookie("session"))
    g.person = _by_header(gate, session) if gate.accounts is None else _by_session(gate, session)
    g.session = g.person.session if g.person else (session or gate.sessions.begin())
    g.begins = g.person is not None and g.session is not session  # the first page by a proxy
    g.form_token = gate.sessions.form_token(g.session)


def _comes_from_elsewhere(gate: Gate) -> bool:
    """A link in a chat or a mail: the browser keeps strict cookies back on that one request."""
    headers = request.headers
    return (
        request.method == "GET"
        and headers.get("Sec-Fetch-Site") == "cross-site"
        and headers.get("Sec-Fetch-Mode") == "navigate"
        and not gate.cookie("session")
    )


def _again() -> Response:
    """The same page once more, asked for by a page of our own."""
    return Response(render_template("again.html", url=_this_page()))


def _this_page() -> str:
    query = request.query_string.decode("ascii", "replace")
    return quote(request.script_root + request.path) + (f"?{query}" if query else "")


def _by_session(gate: Gate, session: Session | None) -> Person | None:
    if session is None or gate.accounts is None:
        return None
    account = gate.accounts.find(session.name)
    if account is None or account.mark != session.mark:
        return None
    return Person(account.name, account.role, session)


def _by_header(gate: Gate, session: Session | None) -> Person | None:
    proxy = gate.proxy
    if proxy is None or proxy.user_header is None or not proxy.is_peer(request.remote_addr):
        return None
    name = request.headers.get(proxy.user_header, "").strip()[:100]
    if not name.isprintable() or not name:
        return None
    if session is None or (session.name, session.mark) != (name, PROXY_MARK):
        session = gate.sessions.begin(name, PROXY_MARK)
    role = Role.OPERATOR if name in proxy.operators else Role.VIEWER
    return Person(name, role, session)


def _who_is_it(gate: Gate) -> Response:
    """Errors: Unauthorized where no form can help."""
    if gate.accounts is None:
        raise Unauthorized(
            "Only the reverse proxy that console.proxy names may say who you are, and it did not. "
            "Open the console through it."
        )
    if g.live or request.method == "POST":
        raise Unauthorized("Your session has ended. Log in again; nothing was done.")
    return redirect(url_for("console.login", to=_this_page()), 303)  # type: ignore[return-value]


def _check_order(gate: Gate) -> None:
    """Errors: Forbidden, with what to do."""
    came_from = request.headers.get("Sec-Fetch-Site", "same-origin")
    token = request.form.get("token", "")
    if came_from != "same-origin" or not gate.sessions.is_form_of(g.session, token):
        raise Forbidden(
            "This form is not one of your session: it is too old, or another site sent it. "
            "Nothing was done. Go back, load the page again and send it once more."
        )
    person: Person | None = g.person
    if request.endpoint not in VIEWERS_ORDERS and (person is None or not person.may_order):
        name = person.name if person else "nobody"
        raise Forbidden(
            f"{name} is a viewer; only an operator may order this. Nothing was done. "
            "The accounts file says who is an operator."
        )


def operator() -> str:
    """Who orders, for the record; `guard` has asked already."""
    person: Person = g.person
    return person.name

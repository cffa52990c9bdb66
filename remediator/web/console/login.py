"""Logging in and out.

Rule: a wrong name and a wrong password look the same, and what was typed is never logged.
"""

import logging

from flask import Blueprint, Response, g, redirect, render_template, request, url_for

from remediator.web.console.access import Gate, Person
from remediator.web.console.accounts import Account, Accounts, Busy

log = logging.getLogger(__name__)


def add(routes: Blueprint, gate: Gate) -> None:
    accounts = gate.accounts
    if accounts is None:  # the proxy has asked
        return

    @routes.get("/login")
    def login() -> Response:
        if g.person:
            return _to(_wanted(request.args.get("to", "")))
        return _form(gate)

    @routes.post("/login")
    def log_in() -> Response:
        name = request.form.get("name", "")[:64]
        keys = _counted(gate, name)
        wait = gate.throttle.try_one(keys)
        if wait:
            seconds = int(wait) + 1
            answer = _form(gate, f"Too many tries. Try again in {seconds} s.", 429)
            answer.headers["Retry-After"] = str(seconds)
            return answer
        return _tried(gate, accounts, keys, name)

    @routes.post("/logout")
    def log_out() -> Response:
        person: Person = g.person
        gate.sessions.end(person.session)
        log.info("%s logged out", person.name)
        answer = _to(url_for("console.login"))
        gate.set_cookie(answer, "session", "", 0)
        return answer


def _tried(gate: Gate, accounts: Accounts, keys: list[str], name: str) -> Response:
    try:
        account = accounts.check(name, request.form.get("password", "")[:1024])
    except Busy:
        return _form(gate, "Others are logging in at this moment. Try again.", 503)
    if account is None:
        log.warning("a login failed, from %s", gate.address())
        return _form(gate, "This name and password do not belong together.", 403)
    gate.throttle.succeeded(keys)
    log.info("%s logged in from %s", account.name, gate.address())
    return _entered(gate, account)


def _counted(gate: Gate, name: str) -> list[str]:
    """What this try counts on."""
    device = gate.cookie("device")
    if gate.sessions.is_device_of(name, device):
        return [f"device {device}"]
    return [f"account {name}", f"address {gate.address()}"]


def _entered(gate: Gate, account: Account) -> Response:
    answer = _to(_wanted(request.form.get("to", "")))
    gate.keep(answer, gate.sessions.begin(account.name, account.mark))
    gate.remember_device(answer, account.name)
    return answer


def _form(gate: Gate, problem: str = "", status: int = 200) -> Response:
    wanted = request.values.get("to", "")
    page = render_template("login.html", problem=problem, to=wanted, name=request.form.get("name"))
    answer = Response(page, status)
    gate.keep(answer, g.session)
    return answer


def _wanted(to: str) -> str:
    """A page of the console, whatever it was that was asked for."""
    home = url_for("console.home")
    return to if to.startswith(home) and "\\" not in to and to.isprintable() else home


def _to(path: str) -> Response:
    return redirect(path, 303)  # type: ignore[return-value]  # of Werkzeug's class, which Flask takes

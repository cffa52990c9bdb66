"""The console: a web page for the person on call, to see, understand, approve and stop.

Rule: off until it is configured. What it shows and orders goes through the same functions as
the API; it never asks the engine.
"""

from typing import TYPE_CHECKING

from flask import Blueprint, Flask, Response, abort, g, redirect, render_template, url_for
from jinja2 import StrictUndefined
from werkzeug.exceptions import HTTPException

from remediator.journal import JournalUnavailable, Refusal
from remediator.operate import Busy, Unknown
from remediator.web.console import login, orders, pages
from remediator.web.console.access import Gate, guard

if TYPE_CHECKING:
    from remediator.web import Parts

__all__ = ["Gate", "add_console"]

OFF = (
    "There is no console here: it is off. Give the configuration a section `console` and "
    "start the remediator again; docs/howto/console.md says how."
)


def add_console(app: Flask, parts: "Parts") -> None:
    if parts.console is None:

        @app.get("/console/")
        @app.get("/console/<path:_>")
        def off(_: str = "") -> Response:
            abort(404, OFF)

        return

    app.jinja_env.undefined = StrictUndefined
    app.register_blueprint(_blueprint(parts, parts.console))

    @app.get("/")
    def root() -> Response:
        return redirect(url_for("console.home"), 303)  # type: ignore[return-value]


def _blueprint(parts: "Parts", gate: Gate) -> Blueprint:
    routes = Blueprint(
        "console",
        __name__,
        url_prefix="/console",
        template_folder="templates",
        static_folder="static",
    )
    guard(routes, gate, parts.desk.clock)
    login.add(routes, gate)
    pages.add(routes, parts)
    orders.add(routes, parts.desk, gate)
    for name, say in pages.FILTERS.items():
        routes.add_app_template_filter(say, name)
    _add_errors(routes, parts)

    @routes.get("/<path:_>")
    def nothing(_: str) -> Response:
        abort(404, "The console has no such page.")

    @routes.context_processor
    def on_every_page() -> dict[str, object]:
        said = "" if g.live else gate.sessions.read_sentence(gate.cookie("said"))
        g.was_told = bool(said)
        return {"said": said, "has_login": gate.accounts is not None}

    @routes.after_request
    def forget_said(response: Response) -> Response:
        if g.get("was_told"):
            gate.set_cookie(response, "said", "", 0)
        return response

    return routes


def _add_errors(routes: Blueprint, parts: "Parts") -> None:
    def page(code: int, title: str, sentence: str, stop: str = "") -> Response:
        if g.live:
            return Response(sentence, code, mimetype="text/plain")
        told = render_template("error.html", title=title, sentence=sentence, stop=stop)
        return Response(told, code)

    @routes.errorhandler(HTTPException)
    def wrong(error: HTTPException) -> Response:
        return page(error.code or 500, error.name, error.description or "")

    @routes.errorhandler(Unknown)
    def unknown(error: Unknown) -> Response:
        return page(404, "Not found", str(error))

    @routes.errorhandler(Refusal)
    def refused(error: Refusal) -> Response:
        return page(409, "Refused: nothing was done", str(error))

    @routes.errorhandler(Busy)
    def busy(error: Busy) -> Response:
        return page(503, "Busy", str(error))

    @routes.errorhandler(JournalUnavailable)
    def unavailable(error: JournalUnavailable) -> Response:
        stop = (
            f"To stop the remediator all the same: create the file {parts.desk.kill_switch.file}."
        )
        return page(503, "The journal cannot be used", f"{error}.", stop)

"""The remediator over HTTP: the webhook in, the record and the metrics out.

Rule: a request stores or reads, it never acts. Errors are JSON with one sentence.
"""

from collections.abc import Callable
from dataclasses import dataclass

from flask import Flask, Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from werkzeug.exceptions import HTTPException

from remediator.journal import Intake, JournalUnavailable, Refusal
from remediator.oncall import Rota
from remediator.operate import Busy, Desk, Unknown
from remediator.web import api, control, webhook
from remediator.web.console import Gate, add_console


@dataclass(frozen=True, slots=True)
class Parts:
    """What the application is made of.

    `console`: who may open it; None where there is none. `on_call`: the
    rota, or None while it cannot be used; None itself where no rota is configured.
    """

    desk: Desk
    token: bytes
    max_body_bytes: int
    intake: Intake
    external_url: str = ""
    console: Gate | None = None
    on_call: Callable[[], Rota | None] | None = None


def create_app(parts: Parts) -> Flask:
    app = Flask("remediator", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # its default provider has it
    app.register_blueprint(webhook.blueprint(parts))
    app.register_blueprint(api.blueprint(parts))
    app.register_blueprint(control.blueprint(parts))
    add_console(app, parts)
    app.register_error_handler(HTTPException, _as_json)
    app.register_error_handler(JournalUnavailable, _unavailable)
    app.register_error_handler(Refusal, _refused)
    app.register_error_handler(Unknown, _unknown)
    app.register_error_handler(Busy, _busy)

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(
            generate_latest(parts.desk.metrics.registry), content_type=CONTENT_TYPE_LATEST
        )

    @app.get("/-/healthy")
    def healthy() -> tuple[Response, int]:
        if parts.desk.late():
            return jsonify(error="The worker does not go round; restart the remediator."), 503
        return jsonify(status="healthy"), 200

    @app.get("/-/ready")
    def ready() -> tuple[Response, int]:
        parts.desk.records.runs_in_progress()  # 503 by its error when the journal cannot be read
        trouble = parts.desk.trouble()
        if trouble is not None:
            raise JournalUnavailable(trouble)
        return healthy()

    return app


def _as_json(error: HTTPException) -> tuple[Response, int, list[tuple[str, str]]]:
    headers = [(k, v) for k, v in error.get_headers() if k in {"Allow", "WWW-Authenticate"}]
    return jsonify(error=error.description), error.code or 500, headers


def _unavailable(error: JournalUnavailable) -> tuple[Response, int]:
    return jsonify(error=f"Try again: {error}."), 503


def _refused(error: Refusal) -> tuple[Response, int]:
    return jsonify(error=str(error)), 409


def _unknown(error: Unknown) -> tuple[Response, int]:
    return jsonify(error=str(error)), 404


def _busy(error: Busy) -> tuple[Response, int]:
    return jsonify(error=str(error)), 503

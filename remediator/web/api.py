"""GET /api/v1/...: incidents and status as JSON, post-mortems as Markdown; with the token.

Rule: reads only.
"""

from typing import TYPE_CHECKING

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import NotFound

from remediator import postmortem
from remediator.web.auth import require_token

if TYPE_CHECKING:
    from remediator.web import Parts


def blueprint(parts: "Parts") -> Blueprint:
    routes = Blueprint("api", __name__, url_prefix="/api/v1")

    @routes.before_request
    def authenticate() -> None:
        require_token(parts.token)

    @routes.get("/incidents")
    def incidents() -> Response:
        return jsonify(incidents=parts.records.incidents())

    @routes.get("/incidents/<int:incident_id>")
    def incident(incident_id: int) -> Response:
        found = parts.records.incident(incident_id)
        if found is None:
            raise NotFound(f"There is no incident {incident_id}.")
        return jsonify(found)

    @routes.get("/incidents/<int:incident_id>/postmortem")
    def postmortem_of(incident_id: int) -> Response:
        story = parts.records.story(incident_id)
        if story is None:
            raise NotFound(f"There is no incident {incident_id}.")
        url = f"{parts.external_url.rstrip('/')}{request.path}"
        text = postmortem.render(story, url)
        return Response(text, content_type="text/markdown; charset=utf-8")

    @routes.get("/status")
    def status() -> Response:
        return jsonify(
            version=parts.version,
            mode=parts.policy.mode.value,
            targets=list(parts.policy.topology),
            runbooks=list(parts.policy.runbooks),
            runs_in_progress=parts.records.runs_in_progress(),
            runs_not_mended=parts.records.runs_not_mended(),
            paused=parts.records.paused(),
            worker_late=parts.late(),
            watchdog=_watchdog(parts),
        )

    return routes


def _watchdog(parts: "Parts") -> dict[str, object] | None:
    if parts.watchdog is None:
        return None
    seen_at = parts.watchdog.seen_at
    return {
        "last_seen_at": seen_at and seen_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "missing": parts.watchdog.missing(parts.clock()),
    }

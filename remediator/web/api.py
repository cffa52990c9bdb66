"""GET /api/v1/...: incidents and status as JSON, for holders of the token.

Rule: reads only.
"""

from typing import TYPE_CHECKING

from flask import Blueprint, Response, jsonify
from werkzeug.exceptions import NotFound

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

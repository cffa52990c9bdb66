"""GET /api/v1/...: incidents and status as JSON, post-mortems as Markdown; with the token.

Rule: reads only.
"""

from typing import TYPE_CHECKING, Annotated, Literal

from flask import Blueprint, Response, jsonify, request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from werkzeug.exceptions import BadRequest, NotFound

from remediator import operate, postmortem
from remediator.alerts import MAX_LABELS
from remediator.journal.records import LAST
from remediator.operate.incidents import MOST
from remediator.web.auth import require_token
from remediator.web.bodies import mistakes

if TYPE_CHECKING:
    from remediator.web import Parts


MAX_WHO_CHARS = 100


class _Filter(BaseModel):
    """What may be asked for in the query; numbers come as text."""

    model_config = ConfigDict(extra="forbid")

    state: Literal["", "open", "closed"] = ""
    entry: Annotated[str, Field(max_length=200)] = ""
    target: Annotated[str, Field(max_length=200)] = ""
    since: AwareDatetime | None = None
    text: Annotated[str, Field(max_length=200)] = ""
    before: Annotated[int, Field(ge=0, le=LAST)] = LAST
    limit: Annotated[int, Field(ge=1, le=MOST)] = MOST

    def wanted(self) -> operate.Wanted:
        return operate.Wanted(**dict(self))


def blueprint(parts: "Parts") -> Blueprint:
    routes = Blueprint("api", __name__, url_prefix="/api/v1")

    @routes.before_request
    def authenticate() -> None:
        require_token(parts.token)

    _incidents(routes, parts)
    _rest(routes, parts.desk)
    return routes


def _incidents(routes: Blueprint, parts: "Parts") -> None:
    @routes.get("/incidents")
    def incidents() -> Response:
        return jsonify(operate.incidents(parts.desk, _wanted()))

    @routes.get("/incidents/<int:incident_id>")
    def incident(incident_id: int) -> Response:
        found = operate.incident(parts.desk, incident_id)
        if found is None:
            raise NotFound(f"There is no incident {incident_id}.")
        return jsonify(found)

    @routes.get("/incidents/<int:incident_id>/postmortem")
    def postmortem_of(incident_id: int) -> Response:
        story = parts.desk.records.story(incident_id)
        if story is None:
            raise NotFound(f"There is no incident {incident_id}.")
        url = f"{parts.external_url.rstrip('/')}{request.path}"
        text = postmortem.render(story, url)
        return Response(text, content_type="text/markdown; charset=utf-8")


def _rest(routes: Blueprint, desk: operate.Desk) -> None:
    @routes.get("/running")
    def running() -> Response:
        return jsonify(runs=operate.running(desk))

    @routes.get("/approvals")
    def approvals() -> Response:
        return jsonify(approvals=operate.approvals(desk))

    @routes.get("/entries")
    def entries() -> Response:
        return jsonify(entries=operate.entries(desk))

    @routes.get("/explain")
    def explain() -> Response:
        return jsonify(_explained(desk))

    @routes.get("/status")
    def status() -> Response:
        return jsonify(operate.status(desk))


def _explained(desk: operate.Desk) -> dict[str, object]:
    """Of an alert with its labels, or of an entry on a target. Errors: BadRequest."""
    asked = request.args
    if "alert" in asked:
        labels = [label.partition("=") for label in asked.getlist("label")]
        if len(labels) > MAX_LABELS or not all(name and equals for name, equals, _ in labels):
            raise BadRequest("Say label=<name>=<value> for each label of the alert.")
        named = {name: value for name, _, value in labels}
        return operate.explain_alert(desk, named | {"alertname": asked["alert"]})
    if "entry" in asked and "target" in asked:
        by = asked.get("by", "somebody")[:MAX_WHO_CHARS]
        return operate.explain_order(desk, asked["entry"], asked["target"], by)
    raise BadRequest("Say alert and label, or entry and target.")


def _wanted() -> operate.Wanted:
    """Errors: BadRequest."""
    try:
        return _Filter.model_validate(request.args.to_dict()).wanted()
    except ValidationError as error:
        raise BadRequest(mistakes(error)) from None

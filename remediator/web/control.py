"""POST /api/v1/...: what humans order, for holders of the token.

Rule: an order is stored and the worker woken; nothing is done in the request. Who ordered
it must be said.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, TypeVar

from flask import Blueprint, Response, jsonify, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from werkzeug.exceptions import BadRequest, NotFound

from remediator.runs import Pause
from remediator.web.auth import require_token

if TYPE_CHECKING:
    from remediator.web import Parts

Words = Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S")]
Who = Annotated[str, Field(min_length=1, max_length=100, pattern=r"\S")]


class _Order(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    by: Who


class _PauseOrder(_Order):
    reason: Words
    minutes: Annotated[int, Field(ge=1, le=7 * 24 * 60)] | None = None


class _ResetOrder(_Order):
    runbook: Words
    target: Words


def blueprint(parts: "Parts") -> Blueprint:
    routes = Blueprint("control", __name__, url_prefix="/api/v1")

    @routes.before_request
    def authenticate() -> None:
        require_token(parts.token)

    @routes.post("/pause")
    def pause() -> Response:
        order = _read(_PauseOrder)
        until = None
        if order.minutes is not None:
            until = parts.clock() + timedelta(minutes=order.minutes)
        parts.kill_switch.pause(order.reason, order.by, until)
        return _pauses(parts)

    @routes.post("/resume")
    def resume() -> Response:
        parts.kill_switch.resume(_read(_Order).by)
        parts.wake()
        return _pauses(parts)

    @routes.post("/breakers/reset")
    def reset_breaker() -> Response:
        order = _read(_ResetOrder)
        if order.runbook not in parts.policy.runbooks:
            raise NotFound(f"There is no runbook {order.runbook!r}.")
        if order.target not in parts.policy.topology:
            raise NotFound(f"There is no target {order.target!r}.")
        parts.orders.reset_breaker(order.runbook, order.target, order.by, parts.clock())
        parts.wake()
        return jsonify(reset={"runbook": order.runbook, "target": order.target})

    return routes


def _pauses(parts: "Parts") -> Response:
    """Whatever still holds, of every source."""
    return jsonify(paused=[_as_json(pause) for pause in parts.kill_switch.look()])


def _as_json(pause: Pause) -> dict[str, str | None]:
    return {
        "source": pause.source,
        "reason": pause.reason,
        "by": pause.by,
        "at": _rfc3339(pause.at),
        "until": _rfc3339(pause.until) if pause.until else None,
    }


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


Order = TypeVar("Order", bound=BaseModel)


def _read(model: type[Order]) -> Order:
    """Errors: BadRequest, with every mistake."""
    try:
        return model.model_validate_json(request.get_data())
    except ValidationError as error:
        mistakes = (
            f"{'.'.join(map(str, item['loc'])) or 'the body'}: {item['msg']}"
            for item in error.errors(include_url=False)
        )
        raise BadRequest("; ".join(mistakes)) from None

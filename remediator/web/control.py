"""POST /api/v1/...: what humans order, for holders of the token.

Rule: an order is stored and the worker woken; nothing is done in the request. Who ordered
it must be said.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from flask import Blueprint, Response, jsonify, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from werkzeug.exceptions import BadRequest, NotFound

from remediator.journal import Refusal
from remediator.runs import Decision, DeployLock, Maintenance, Pause
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


class _Answer(_Order):
    decision: Literal["approve", "deny"]
    plan_hash: Words


class _LockOrder(_Order):
    reason: Words
    minutes: Annotated[int, Field(ge=1, le=4 * 60)] = 30


class _MaintenanceOrder(_Order):
    reason: Words
    minutes: Annotated[int, Field(ge=1, le=4 * 60)]
    target: Words | None = None


def blueprint(parts: "Parts") -> Blueprint:
    routes = Blueprint("control", __name__, url_prefix="/api/v1")

    @routes.before_request
    def authenticate() -> None:
        require_token(parts.token)

    @routes.errorhandler(Refusal)
    def refused(refusal: Refusal) -> tuple[Response, int]:
        return jsonify(error=str(refusal)), 409

    _stops(routes, parts)
    _approvals(routes, parts)
    _deployments(routes, parts)
    _maintenance(routes, parts)
    return routes


def _stops(routes: Blueprint, parts: "Parts") -> None:
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


def _approvals(routes: Blueprint, parts: "Parts") -> None:
    @routes.get("/approvals")
    def approvals() -> Response:
        return jsonify(approvals=parts.orders.approvals())

    @routes.post("/approvals/<int:run_id>")
    def answer(run_id: int) -> Response:
        given = _read(_Answer)
        decision = Decision.APPROVED if given.decision == "approve" else Decision.DENIED
        parts.orders.decide(run_id, given.plan_hash, decision, given.by, parts.clock())
        parts.wake()
        return jsonify(run_id=run_id, decision=decision.value, by=given.by)


def _deployments(routes: Blueprint, parts: "Parts") -> None:
    @routes.get("/deploy-lock")
    def deploy_lock() -> Response:
        lock = parts.orders.deploy_lock()
        held = lock is not None and parts.clock() < lock.ends_at
        return jsonify(held=held, last=lock and _lock_as_json(lock))

    @routes.post("/deploy-lock")
    def take() -> Response:
        order, now = _read(_LockOrder), parts.clock()
        until = now + timedelta(minutes=order.minutes)
        lock = parts.orders.take_deploy_lock(order.by, order.reason, until, now)
        return jsonify(held=True, last=_lock_as_json(lock))

    @routes.post("/deploy-lock/release")
    def release() -> Response:
        lock = parts.orders.release_deploy_lock(_read(_Order).by, parts.clock())
        parts.wake()
        return jsonify(held=False, last=_lock_as_json(lock))


def _maintenance(routes: Blueprint, parts: "Parts") -> None:
    def under_way() -> Response:
        works = parts.orders.maintenance(parts.clock())
        return jsonify(maintenance=[_work_as_json(work) for work in works])

    @routes.get("/maintenance")
    def maintenance() -> Response:
        return under_way()

    @routes.post("/maintenance")
    def begin() -> Response:
        order, now = _read(_MaintenanceOrder), parts.clock()
        if order.target is not None and order.target not in parts.policy.topology:
            raise NotFound(f"There is no target {order.target!r}.")
        until = now + timedelta(minutes=order.minutes)
        parts.orders.begin_maintenance(order.target, order.by, order.reason, until, now)
        return under_way()

    @routes.post("/maintenance/<int:number>/end")
    def end(number: int) -> Response:
        parts.orders.end_maintenance(number, _read(_Order).by, parts.clock())
        parts.wake()
        return under_way()


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


def _lock_as_json(lock: DeployLock) -> dict[str, str | None]:
    return {
        "by": lock.by,
        "reason": lock.reason,
        "at": _rfc3339(lock.at),
        "until": _rfc3339(lock.until),
        "released_at": _rfc3339(lock.released_at) if lock.released_at else None,
    }


def _work_as_json(work: Maintenance) -> dict[str, object]:
    return {
        "id": work.id,
        "target": work.target,
        "by": work.by,
        "reason": work.reason,
        "at": _rfc3339(work.at),
        "until": _rfc3339(work.until),
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

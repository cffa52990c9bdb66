"""POST /api/v1/...: what humans order, for holders of the token.

Rule: an order is stored and the worker woken; nothing is done in the request. Who ordered
it must be said.
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal

from flask import Blueprint, Response, jsonify, request
from pydantic import BaseModel, ConfigDict, Field
from werkzeug.exceptions import NotFound

from remediator import operate
from remediator.rfc3339 import rfc3339
from remediator.runs import VIA_HEADER, Decision, DeployLock, Maintenance, Pause, Via
from remediator.web.auth import require_token
from remediator.web.bodies import read

if TYPE_CHECKING:
    from remediator.web import Parts

Words = Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S")]
Note = Annotated[str, Field(max_length=500)]
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


class _RunOrder(_Order):
    entry: Words
    target: Words
    plan_hash: Words
    note: Note = ""


class _Acknowledgement(_Order):
    note: Note = ""


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

    _stops(routes, parts)
    _approvals(routes, parts)
    _runs(routes, parts)
    _deployments(routes, parts)
    _maintenance(routes, parts)
    return routes


def _stops(routes: Blueprint, parts: "Parts") -> None:
    @routes.post("/pause")
    def pause() -> Response:
        order = read(_PauseOrder)
        until = None
        if order.minutes is not None:
            until = parts.desk.clock() + timedelta(minutes=order.minutes)
        _desk(parts).kill_switch.pause(order.reason, order.by, until)
        return _pauses(parts)

    @routes.post("/resume")
    def resume() -> Response:
        _desk(parts).kill_switch.resume(read(_Order).by)
        parts.desk.wake()
        return _pauses(parts)

    @routes.post("/breakers/reset")
    def reset_breaker() -> Response:
        order = read(_ResetOrder)
        if order.runbook not in parts.desk.policy.runbooks:
            raise NotFound(f"There is no runbook {order.runbook!r}.")
        if order.target not in parts.desk.policy.topology:
            raise NotFound(f"There is no target {order.target!r}.")
        _desk(parts).orders.reset_breaker(order.runbook, order.target, order.by, parts.desk.clock())
        parts.desk.wake()
        return jsonify(reset={"runbook": order.runbook, "target": order.target})


def _approvals(routes: Blueprint, parts: "Parts") -> None:
    @routes.post("/approvals/<int:run_id>")
    def answer(run_id: int) -> Response:
        given = read(_Answer)
        decision = Decision.APPROVED if given.decision == "approve" else Decision.DENIED
        _desk(parts).orders.decide(run_id, given.plan_hash, decision, given.by, parts.desk.clock())
        parts.desk.wake()
        return jsonify(run_id=run_id, decision=decision.value, by=given.by)


def _runs(routes: Blueprint, parts: "Parts") -> None:
    @routes.post("/runs")
    def order() -> tuple[Response, int]:
        order = read(_RunOrder)
        words = {"plan_hash": order.plan_hash, "by": order.by, "note": order.note}
        return jsonify(operate.order_run(_desk(parts), order.entry, order.target, **words)), 202

    @routes.post("/incidents/<int:number>/acknowledge")
    def acknowledge(number: int) -> Response:
        said = read(_Acknowledgement)
        return jsonify(operate.acknowledge(_desk(parts), number, by=said.by, note=said.note))


def _deployments(routes: Blueprint, parts: "Parts") -> None:
    @routes.get("/deploy-lock")
    def deploy_lock() -> Response:
        lock = parts.desk.orders.deploy_lock()
        held = lock is not None and parts.desk.clock() < lock.ends_at
        return jsonify(held=held, last=lock and _lock_as_json(lock))

    @routes.post("/deploy-lock")
    def take() -> Response:
        order, now = read(_LockOrder), parts.desk.clock()
        until = now + timedelta(minutes=order.minutes)
        lock = _desk(parts).orders.take_deploy_lock(order.by, order.reason, until, now)
        return jsonify(held=True, last=_lock_as_json(lock))

    @routes.post("/deploy-lock/release")
    def release() -> Response:
        lock = _desk(parts).orders.release_deploy_lock(read(_Order).by, parts.desk.clock())
        parts.desk.wake()
        return jsonify(held=False, last=_lock_as_json(lock))


def _maintenance(routes: Blueprint, parts: "Parts") -> None:
    def under_way() -> Response:
        works = parts.desk.orders.maintenance(parts.desk.clock())
        return jsonify(maintenance=[_work_as_json(work) for work in works])

    @routes.get("/maintenance")
    def maintenance() -> Response:
        return under_way()

    @routes.post("/maintenance")
    def begin() -> Response:
        order, now = read(_MaintenanceOrder), parts.desk.clock()
        if order.target is not None and order.target not in parts.desk.policy.topology:
            raise NotFound(f"There is no target {order.target!r}.")
        until = now + timedelta(minutes=order.minutes)
        _desk(parts).orders.begin_maintenance(order.target, order.by, order.reason, until, now)
        return under_way()

    @routes.post("/maintenance/<int:number>/end")
    def end(number: int) -> Response:
        _desk(parts).orders.end_maintenance(number, read(_Order).by, parts.desk.clock())
        parts.desk.wake()
        return under_way()


def _desk(parts: "Parts") -> operate.Desk:
    """The command line says that it is one; whoever says nothing speaks to the API."""
    is_command = request.headers.get(VIA_HEADER) == Via.COMMAND
    return parts.desk.through(Via.COMMAND if is_command else Via.API)


def _pauses(parts: "Parts") -> Response:
    """Whatever still holds, of every source."""
    return jsonify(paused=[_as_json(pause) for pause in parts.desk.kill_switch.look()])


def _as_json(pause: Pause) -> dict[str, str | None]:
    return {
        "source": pause.source,
        "reason": pause.reason,
        "by": pause.by,
        "at": rfc3339(pause.at),
        "until": rfc3339(pause.until) if pause.until else None,
    }


def _lock_as_json(lock: DeployLock) -> dict[str, str | None]:
    return {
        "by": lock.by,
        "reason": lock.reason,
        "at": rfc3339(lock.at),
        "until": rfc3339(lock.until),
        "released_at": rfc3339(lock.released_at) if lock.released_at else None,
    }


def _work_as_json(work: Maintenance) -> dict[str, object]:
    return {
        "id": work.id,
        "target": work.target,
        "by": work.by,
        "reason": work.reason,
        "at": rfc3339(work.at),
        "until": rfc3339(work.until),
    }

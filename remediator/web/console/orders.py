"""What a person orders from the console: stop, go on, approve, deny, take, run, reset, keep off.

Rule: an order is a form of an operator; it is stored with his name and the worker woken,
nothing is done in the request.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from flask import Blueprint, Response, abort, redirect, request, url_for

from remediator import operate
from remediator.operate import Desk
from remediator.runs import Decision, Via
from remediator.web.console.access import Gate, operator

MAX_CHARS = 500
MINUTES = {"15": 15, "60": 60, "240": 240}


def add(routes: Blueprint, desk: Desk, gate: Gate) -> None:
    done, desk = _Done(gate), desk.through(Via.CONSOLE)
    _stops(routes, desk, done)
    _answers(routes, desk, done)
    _runs(routes, desk, done)


class _Done:
    """Back to a page, with a sentence on it."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def __call__(self, sentence: str, to: str) -> Response:
        answer: Response = redirect(to, 303)  # type: ignore[assignment]  # Werkzeug's, as Flask takes it
        self._gate.set_cookie(answer, "said", self._gate.sessions.sentence(sentence), 60)
        return answer


Tell = Callable[[str, str], Response]


def _stops(routes: Blueprint, desk: Desk, done: Tell) -> None:
    def home() -> str:
        return url_for("console.home")

    @routes.post("/pause")
    def pause() -> Response:
        until = _until(desk.clock())
        desk.kill_switch.pause(_words("reason"), operator(), until)
        desk.kill_switch.look()
        return done("The remediator is stopped: it begins nothing more.", home())

    @routes.post("/resume")
    def resume() -> Response:
        desk.kill_switch.resume(operator())
        desk.wake()
        left = desk.kill_switch.paused()
        return done(f"Still {left}" if left else "The remediator goes on.", home())

    @routes.post("/maintenance")
    def begin_maintenance() -> Response:
        target, now = request.form.get("target", ""), desk.clock()
        if target not in desk.policy.topology:
            abort(404, f"There is no target {target!r}.")
        until = _until(now)
        if until is None:
            abort(400, "Say for how long.")
        desk.orders.begin_maintenance(target, operator(), _words("reason"), until, now)
        return done(f"It keeps off {target} until {until:%H:%M:%S} UTC.", home())

    @routes.post("/maintenance/<int:number>/end")
    def end_maintenance(number: int) -> Response:
        desk.orders.end_maintenance(number, operator(), desk.clock())
        desk.wake()
        return done("The maintenance has ended.", home())


def _answers(routes: Blueprint, desk: Desk, done: Tell) -> None:
    @routes.post("/approvals/<int:run_id>")
    def answer(run_id: int) -> Response:
        said = {"approve": Decision.APPROVED, "deny": Decision.DENIED}
        decision = said.get(request.form.get("decision", ""))
        if decision is None:
            abort(400, "Say approve or deny.")
        plan_hash = request.form.get("plan_hash", "")
        desk.orders.decide(run_id, plan_hash, decision, operator(), desk.clock())
        desk.wake()
        return done(f"Run {run_id} is {decision.value}.", url_for("console.home"))

    @routes.post("/incidents/<int:number>/acknowledge")
    def acknowledge_it(number: int) -> Response:
        operate.acknowledge(desk, number, by=operator(), note=_words("note", needed=False))
        return done(f"Incident {number} is yours.", url_for("console.incident", number=number))


def _runs(routes: Blueprint, desk: Desk, done: Tell) -> None:
    @routes.post("/entries/<entry>/<target>/run")
    def run_it(entry: str, target: str) -> Response:
        note = _words("note", needed=False)
        plan_hash = request.form.get("plan_hash", "")
        order = operate.order_run(
            desk, entry, target, plan_hash=plan_hash, by=operator(), note=note
        )
        to = url_for("console.incident", number=order["incident_id"])
        return done(f"{entry} is ordered on {target}; the guards judge it now.", to)

    @routes.post("/breakers/reset")
    def reset_breaker() -> Response:
        runbook, target = request.form.get("runbook", ""), request.form.get("target", "")
        if runbook not in desk.policy.runbooks or target not in desk.policy.topology:
            abort(404, f"There is no entry {runbook!r} or no target {target!r}.")
        desk.orders.reset_breaker(runbook, target, operator(), desk.clock())
        desk.wake()
        back = url_for("console.entry", entry=runbook)
        return done(f"The breaker of {runbook} on {target} is closed.", back)


def _words(key: str, *, needed: bool = True) -> str:
    """Errors: BadRequest."""
    text = " ".join(request.form.get(key, "").split())[:MAX_CHARS]
    if needed and not text:
        abort(400, f"Say a {key}, for whoever reads this later.")
    return text


def _until(now: datetime) -> datetime | None:
    """None: until it is ended. Errors: BadRequest."""
    given = request.form.get("minutes", "")
    if not given:
        return None
    if given not in MINUTES:
        abort(400, f"It may be for {', '.join(MINUTES)} minutes.")
    return now + timedelta(minutes=MINUTES[given])

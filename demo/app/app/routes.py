"""What the backend answers."""

import hmac
import logging
import time
from typing import Any

import psycopg
from flask import Blueprint, Response, request
from kombu.exceptions import OperationalError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app import queries, settings
from app.cache import Cache
from app.celery.tasks import score_practice, wait_for_ever
from app.database import Database
from app.faults import SLOW_SECONDS, Faults
from app.health import Health

log = logging.getLogger(__name__)

Answer = tuple[dict[str, Any], int]
WARM_SECONDS = 3600
PRACTICE_FIELDS = ("user_id", "lesson_id", "notes_played", "mistakes")


def routes(database: Database, cache: Cache, health: Health, faults: Faults) -> Blueprint:
    site = Blueprint("site", __name__)
    _health_routes(site, health, faults)
    _lesson_routes(site, database, cache)
    _practice_routes(site, database)
    _admin_routes(site, database, cache, faults)

    @site.before_request
    def be_slow() -> None:
        if request.path.startswith("/api/") and faults.active("slow"):
            time.sleep(SLOW_SECONDS)

    return site


def _health_routes(site: Blueprint, health: Health, faults: Faults) -> None:
    @site.get("/health")
    def alive() -> Answer:
        said = {"status": "healthy", "version": settings.VERSION, "colour": settings.COLOUR}
        return said, 200

    @site.get("/health/ready")
    def ready() -> Answer:
        parts = {"database": health.database(), "cache": health.cache()}
        checks = {name: part["status"] for name, part in parts.items()}
        if faults.active("not_ready") or settings.RELEASE == "bad-ready":
            log.error("not ready: the lesson catalogue could not be loaded")
            checks["catalogue"] = "unhealthy"
        if all(status == "healthy" for status in checks.values()):
            return {"status": "ready"}, 200
        return {"status": "not_ready", "checks": checks}, 503

    @site.get("/health/detailed")
    def detailed() -> Answer:
        said = health.detailed()
        return said, 503 if said["status"] == "unhealthy" else 200

    @site.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)


def _lesson_routes(site: Blueprint, database: Database, cache: Cache) -> None:
    @site.get("/api/lessons")
    def lessons() -> Answer:
        if settings.RELEASE.startswith("bad-"):
            return {"lessons": _rows(database, queries.LESSONS_BY_DIFFICULTY)}, 200
        found = cache.get_or("lessons:all", lambda: _rows(database, queries.LESSONS))
        return {"lessons": found, "colour": settings.COLOUR}, 200


def _practice_routes(site: Blueprint, database: Database) -> None:
    @site.post("/api/practice")
    def practice() -> Answer:
        body = request.get_json(silent=True)
        if not isinstance(body, dict) or not all(
            isinstance(body.get(field), int) for field in PRACTICE_FIELDS
        ):
            return {"error": f"wants the numbers {', '.join(PRACTICE_FIELDS)}"}, 400
        try:
            session = _rows(database, queries.NEW_SESSION, body)[0]["id"]
        except psycopg.errors.ForeignKeyViolation:
            return {"error": "no such user or lesson"}, 404
        try:
            task = score_practice.delay(session)
        except OperationalError:
            log.exception("session %s is stored, but the queue does not take it", session)
            return {"session_id": session, "error": "the queue is away"}, 503
        return {"session_id": session, "task_id": task.id}, 202

    @site.get("/api/practice/<int:session>")
    def practice_result(session: int) -> Answer:
        rows = _rows(database, queries.SESSION, {"id": session})
        return (rows[0], 200) if rows else ({"error": "no such session"}, 404)


def _admin_routes(site: Blueprint, database: Database, cache: Cache, faults: Faults) -> None:
    @site.post("/admin/cache/warm")
    def warm() -> Answer:
        """All lessons as one, and each by itself; the latter only warming puts there."""
        lessons = _rows(database, queries.LESSONS)
        wanted = {f"lesson:{lesson['id']}": lesson for lesson in lessons}
        warmed = [key for key, lesson in wanted.items() if cache.put(key, lesson, WARM_SECONDS)]
        if cache.put("lessons:all", lessons):
            warmed.append("lessons:all")
        return {"warmed": warmed}, 200 if len(warmed) == len(wanted) + 1 else 503

    @site.post("/admin/break")
    def break_it() -> Answer:
        token = settings.secret("break_token")
        said = request.headers.get("Authorization", "")
        if not token or not hmac.compare_digest(said, f"Bearer {token}"):
            return {"error": "wants the bearer token"}, 401
        body = request.get_json(silent=True)
        wanted = body if isinstance(body, dict) else {}
        name, on = str(wanted.get("fault")), not wanted.get("off", False)
        try:
            faults.switch(name, on=on)
        except ValueError as error:
            return {"error": str(error)}, 400
        if name == "stuck_task" and on:
            wait_for_ever.delay()
        return {"fault": name, "on": on}, 200


def _rows(
    database: Database, query: str, parameters: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    with database.connection() as connection:
        return connection.execute(query.encode(), parameters).fetchall()


def failed(error: Exception) -> Answer:
    """Whatever was not caught above: logged with its traceback, and told in one word."""
    log.error("%s %s failed", request.method, request.path, exc_info=error)
    return {"error": type(error).__name__}, 500

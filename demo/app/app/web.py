"""The backend: wires its parts and serves until SIGTERM."""

import logging
import signal
import sys
import time
from types import FrameType

import waitress
from flask import Flask, Response, g, request
from prometheus_client import Counter, Histogram
from werkzeug.exceptions import HTTPException

from app import logs, queries, settings
from app.cache import Cache
from app.database import Database
from app.faults import Faults
from app.health import Health
from app.routes import failed, routes

log = logging.getLogger(__name__)

REQUESTS = Counter("http_requests_total", "Requests answered.", ["method", "path", "status"])
DURATION = Histogram(
    "http_request_duration_seconds", "Time until the answer was ready.", ["method", "path"]
)


def main() -> None:
    logs.to_stdout()
    signal.signal(signal.SIGTERM, _stop)
    database, cache = Database(), Cache()
    faults = Faults(lambda: _misspell(database))
    application = Flask(__name__)
    application.register_blueprint(routes(database, cache, Health(database, cache), faults))
    application.register_error_handler(Exception, _answer_error)
    _measure(application)
    database.open()
    faults.start()
    log.info("serving version %s as %s", settings.VERSION, settings.COLOUR)
    waitress.serve(application, host="0.0.0.0", port=8000, threads=8)  # noqa: S104 - a container
    database.close()
    log.info("stopped")


def _stop(signum: int, _: FrameType | None) -> None:
    log.info("stopping on signal %s", signum)
    sys.exit(0)


def _answer_error(error: Exception) -> tuple[dict[str, object], int]:
    if isinstance(error, HTTPException):
        return {"error": error.name}, error.code or 500
    return failed(error)


def _measure(application: Flask) -> None:
    @application.before_request
    def begin() -> None:
        g.begun = time.monotonic()

    @application.after_request
    def end(response: Response) -> Response:
        # The route's pattern, not the path asked for: anybody can ask for any path.
        path = request.url_rule.rule if request.url_rule else "unknown"
        REQUESTS.labels(request.method, path, response.status_code).inc()
        DURATION.labels(request.method, path).observe(time.monotonic() - g.begun)
        return response


def _misspell(database: Database) -> None:
    with database.connection() as connection:
        connection.execute(queries.MISSPELT)


if __name__ == "__main__":
    main()

"""POST /webhook/alertmanager: authenticate -> cap -> validate -> store -> 200.

Rule: 200 means stored on disk. What cannot be stored is 503, which Alertmanager sends
again; a body that can never be right is 400; an alert without a runbook is 200 and counted.
"""

import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge

from remediator.alerts import Alert, AlertStatus, Delivery, Malformed, read_webhook
from remediator.metrics import WATCHDOG
from remediator.outcomes import Reason
from remediator.planner import triage
from remediator.web.auth import require_token

if TYPE_CHECKING:
    from remediator.web import Parts


def blueprint(parts: "Parts") -> Blueprint:
    routes = Blueprint("webhook", __name__)

    @routes.post("/webhook/alertmanager")
    def receive() -> Response:
        require_token(parts.token)
        delivery = _read(parts.max_body_bytes)
        alerts, beats = _beats(delivery.alerts, parts)
        told, counts = triage(alerts, parts.desk.policy)
        if beats:
            counts[WATCHDOG] += beats
        if delivery.oversized:
            counts[Reason.OVERSIZED.value] += delivery.oversized
        taken = parts.intake.deliver(told, counts, parts.desk.clock())
        parts.desk.metrics.alerts_received(counts)
        parts.desk.metrics.incidents_opened(taken.opened)
        if delivery.truncated:
            parts.desk.metrics.delivery_truncated()
        if told or delivery.truncated:  # what was cut off is read from Prometheus
            parts.desk.wake()
        return jsonify(stored=True, alerts=dict(Counter(counts)))

    @routes.after_app_request
    def count(response: Response) -> Response:
        if request.path == "/webhook/alertmanager":
            parts.desk.metrics.webhook_answered(response.status_code)
        return response

    return routes


def _beats(alerts: Sequence[Alert], parts: "Parts") -> tuple[Sequence[Alert], int]:
    """The alerts but the one that only proves that alerts arrive; how often it was there."""
    if parts.desk.watchdog is None:
        return alerts, 0
    name = parts.desk.watchdog.alert
    left = [alert for alert in alerts if alert.name != name]
    if any(alert.name == name and alert.status is AlertStatus.FIRING for alert in alerts):
        parts.desk.watchdog.seen(parts.desk.clock())
    return left, len(alerts) - len(left)


def _read(max_body_bytes: int) -> Delivery:
    """Errors: RequestEntityTooLarge, BadRequest."""
    too_large = RequestEntityTooLarge(f"The body is over {max_body_bytes} bytes.")
    if (request.content_length or 0) > max_body_bytes:
        raise too_large
    body = request.stream.read(max_body_bytes + 1)  # whatever length was promised
    if len(body) > max_body_bytes:
        raise too_large
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest("The body is not JSON.") from None
    delivery = read_webhook(parsed)
    if isinstance(delivery, Malformed):
        raise BadRequest(delivery.sentence)
    return delivery

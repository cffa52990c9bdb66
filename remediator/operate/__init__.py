"""What operators see and order: the functions behind the command line, the API and the console.

Rule: plain functions of a `Desk`; what they return is JSON. Nothing here acts: an order is
written down and the worker woken. Text of labels, notes and logs in it is untrusted.
"""

from remediator.journal import Refusal, Wanted
from remediator.operate.desk import Busy, Desk, Unknown
from remediator.operate.entries import entries
from remediator.operate.explaining import explain_alert, explain_order
from remediator.operate.health import status
from remediator.operate.incidents import incident, incidents
from remediator.operate.ordering import acknowledge, order_run
from remediator.operate.running import approvals, running

__all__ = [
    "Busy",
    "Desk",
    "Refusal",
    "Unknown",
    "Wanted",
    "acknowledge",
    "approvals",
    "entries",
    "explain_alert",
    "explain_order",
    "incident",
    "incidents",
    "order_run",
    "running",
    "status",
]

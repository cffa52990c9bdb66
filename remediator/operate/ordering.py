"""What operators order: an entry on a target, and that somebody is on an incident.

Rule: written down, then the worker is woken; nothing is done here.
"""

from typing import Any

from remediator.journal import Refusal
from remediator.operate.desk import Desk, Unknown
from remediator.operate.explaining import joins, ordered_plan

Json = dict[str, Any]


def order_run(
    desk: Desk, entry: str, target: str, *, plan_hash: str, by: str, note: str = ""
) -> Json:
    """Run it as its plan was shown. It is judged by all guards soon, once.

    Errors: Unknown, Refusal, JournalUnavailable.
    """
    plan = ordered_plan(desk, entry, target, by)
    if plan_hash != plan.hash:
        raise Refusal(f"The plan is {plan.hash} now, not {plan_hash}. Look at it again.")
    placed = desk.run_orders.place(plan, joins(desk.policy, entry), by, note, desk.clock())
    if placed.opened:
        desk.metrics.incident_ordered(entry)
    desk.wake()
    return {"order_id": placed.order_id, "incident_id": placed.incident_id}


def acknowledge(desk: Desk, number: int, *, by: str, note: str = "") -> Json:
    """Say who is on it. Errors: Unknown, Refusal when it is closed, JournalUnavailable."""
    if desk.records.story(number) is None:
        raise Unknown(f"There is no incident {number}.")
    desk.orders.acknowledge(number, by, note, desk.clock())
    desk.wake()
    story = desk.records.story(number)
    return {"incident_id": number, "acknowledged": story and story["acknowledged"]}

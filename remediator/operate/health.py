"""Whether the chain holds from a fault to its mending: each link, with when it last worked.

Rule: asks nobody; it tells what the loops have seen. What nobody can tell is None, not true.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from remediator.journal import Sharer
from remediator.operate.desk import Desk
from remediator.rfc3339 import rfc3339
from remediator.runs import DeployLock

Json = dict[str, Any]


def status(desk: Desk) -> Json:
    """Errors: JournalUnavailable."""
    records, now = desk.records, desk.clock()
    links = list(_links(desk, now))
    waiting = records.approvals_waiting()
    lock = desk.orders.deploy_lock()
    held = lock if lock is not None and now < lock.ends_at else None
    return {
        "version": desk.version,
        "mode": desk.policy.mode.value,
        "targets": list(desk.policy.topology),
        "runbooks": list(desk.policy.runbooks),
        "runs_in_progress": records.runs_in_progress(),
        "runs_not_mended": records.runs_not_mended(),
        "acknowledged": records.acknowledged(),
        "open_incidents": records.open_incidents(),
        "approvals_waiting": sum(waiting.values()),
        "paused": records.paused(),
        "pauses": [
            {
                "source": pause.source,
                "reason": pause.reason,
                "by": pause.by,
                "at": rfc3339(pause.at),
                "until": pause.until and rfc3339(pause.until),
            }
            for pause in desk.orders.pauses()
        ],
        "deploy_lock": held and _lock(held),
        "maintenance": [
            {
                "id": work.id,
                "target": work.target,
                "by": work.by,
                "reason": work.reason,
                "until": rfc3339(work.until),
            }
            for work in desk.orders.maintenance(now)
        ],
        "remediators": [_sharer(one, now) for one in desk.sharers()],
        "worker_late": desk.late(),
        "watchdog": _watchdog(desk, now),
        "healthy": all(link["ok"] is not False for link in links),
        "health": links,
    }


def _lock(lock: DeployLock) -> Json:
    return {"by": lock.by, "reason": lock.reason, "until": rfc3339(lock.until)}


def _sharer(one: Sharer, now: datetime) -> Json:
    return {
        "name": one.name,
        "state": one.presence.value,
        "is_this": one.is_this,
        "leads": one.leads,
        "incidents": one.incidents,
        "begun_at": rfc3339(one.begun_at),
        "last_word_at": rfc3339(one.heard_at),
        "silent_seconds": round(max((now - one.heard_at).total_seconds(), 0.0), 1),
    }


def _watchdog(desk: Desk, now: datetime) -> Json | None:
    if desk.watchdog is None:
        return None
    seen_at = desk.watchdog.seen_at
    return {"last_seen_at": seen_at and rfc3339(seen_at), "missing": desk.watchdog.missing(now)}


def _links(desk: Desk, now: datetime) -> Iterator[Json]:
    at = desk.records.last_webhook()
    told = "none has come yet" if at is None else f"the last came {_ago(at, now)}"
    yield _link("webhook", None if at is None else True, at, told)
    if desk.watchdog is not None:
        seen, missing = desk.watchdog.seen_at, desk.watchdog.missing(now)
        told = "it has not come since the start" if seen is None else f"it came {_ago(seen, now)}"
        yield _link("watchdog", False if missing else (seen is not None) or None, seen, told)
    sight = desk.metrics.sight
    asked = None if sight.asked_at is None else sight.trouble is None
    yield _link("prometheus", asked, sight.asked_at, sight.trouble or "it answers")
    read = sight.read_at
    told = "it was not read yet" if read is None else f"it was last read {_ago(read, now)}"
    yield _link("reconcile", asked, read, told)
    trouble = desk.trouble()
    yield _link("journal", trouble is None, now, trouble or "it can be written")
    late = desk.late()
    yield _link("worker", not late, now, "it does not go round" if late else "it goes round")


def _link(name: str, ok: bool | None, at: datetime | None, detail: str) -> Json:  # noqa: FBT001
    return {"link": name, "ok": ok, "at": at and rfc3339(at), "detail": detail}


def _ago(at: datetime, now: datetime) -> str:
    return f"{max((now - at).total_seconds(), 0):.0f} s ago"

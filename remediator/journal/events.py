"""Writes an event of the timeline.

Rule: inside the transaction that makes it true.
"""

import json
from collections.abc import Mapping
from datetime import datetime

from remediator.journal.database import Database, to_text


def write_event(
    database: Database,
    now: datetime,
    kind: str,
    detail: Mapping[str, object],
    *,
    incident_id: int | None = None,
    run_id: int | None = None,
) -> None:
    database.do(
        "add_event",
        at=to_text(now),
        incident_id=incident_id,
        run_id=run_id,
        kind=kind,
        detail=json.dumps(dict(detail)),
    )

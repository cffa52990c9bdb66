"""What the remediator remembers, in one database: told alerts, judged runs, steps, calls.

Rule: claim before acting, record after, and one transaction for whatever must be true
together. `Intake` takes alerts in, `RunLog` keeps runs, `Records` is read by people;
`Orders` keeps what people order, `Calls` what they
are told, `Issues` what is written about it.
"""

from remediator.journal.calls import Calls
from remediator.journal.database import Database, JournalLocked, JournalUnavailable
from remediator.journal.intake import Intake, Opened
from remediator.journal.issues import Issues
from remediator.journal.lease import Lease, LeaseLost, Presence, Sharer
from remediator.journal.orders import Orders, Refusal
from remediator.journal.pruning import Housekeeping, prune
from remediator.journal.records import Records, Wanted
from remediator.journal.run_orders import Placed, RunOrders
from remediator.journal.runlog import RunLog
from remediator.journal.sqlite import SqliteDatabase

__all__ = [
    "Calls",
    "Database",
    "Housekeeping",
    "Intake",
    "Issues",
    "JournalLocked",
    "JournalUnavailable",
    "Lease",
    "LeaseLost",
    "Opened",
    "Orders",
    "Placed",
    "Presence",
    "Records",
    "Refusal",
    "RunLog",
    "RunOrders",
    "Sharer",
    "SqliteDatabase",
    "Wanted",
    "prune",
]

"""What somebody else does to a database that must end before maintenance begins.

Rule: reads only. What ends by itself is NotYet; a standby is Refused.
"""

from remediator.actions.database.session import Connection
from remediator.ports import NotYet, Ready, Refused
from remediator.topology import Target

_BACKUPS = """
SELECT 'a base backup runs (pid ' || pid || ')' FROM pg_stat_progress_basebackup
UNION ALL
SELECT application_name || ' runs (pid ' || pid || ')' FROM pg_stat_activity
WHERE application_name IN ('pg_restore', 'pg_dump', 'pg_dumpall', 'pg_basebackup')
LIMIT 1
"""
_BUILDS = """
SELECT 'CREATE INDEX or REINDEX runs (pid ' || pid || ')' FROM pg_stat_progress_create_index
LIMIT 1
"""


def ready(connection: Connection, target: Target, *, builds: bool) -> Ready | Refused | NotYet:
    """Whether maintenance may begin; `builds`: other work on indexes is in the way, too."""
    recovery = connection.execute("SELECT pg_is_in_recovery()").fetchone()
    if recovery is not None and recovery[0]:
        return Refused(f"{target.key}: it is in recovery, where nothing can be written")
    found = connection.execute(_BACKUPS).fetchone()
    if found is None and builds:
        found = connection.execute(_BUILDS).fetchone()
    return Ready() if found is None else NotYet(f"{target.key}: {found[0]}; let it end first")

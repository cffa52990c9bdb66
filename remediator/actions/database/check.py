"""Looks at a database before something is done to it, and stops what must not follow.

Rule: reads only. A look that found something is Done with what it saw; damaged files and a
full disk are Permanent, because a restart would make them worse.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import psycopg
from psycopg.rows import dict_row
from pydantic import Field

from remediator.actions import engine
from remediator.actions.clients import Clients, Deadline, Params
from remediator.actions.database.disk import disk
from remediator.actions.database.session import (
    Connection,
    address_of,
    connected,
    one_line,
)
from remediator.actions.evidence import log_tail, redacted
from remediator.ports import Done, Effect, Permanent, Ready, Refused, RemediationError
from remediator.topology import Target

_LOOK_SECONDS = 5.0
_LOG_LINES = 100
_LOG_BYTES = 4096
_SHOWN_OF_A_QUERY = 120

_SERVER = """
SELECT split_part(version(), ' ', 2) AS version, pg_is_in_recovery() AS in_recovery,
  current_setting('data_checksums') AS data_checksums,
  (SELECT coalesce(sum(checksum_failures), 0)::bigint FROM pg_stat_database) AS checksum_failures,
  (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
  current_setting('max_connections')::int AS max_connections
"""
_TRANSACTIONS = """
SELECT pid, application_name AS application, state, pg_blocking_pids(pid) AS blocked_by,
  extract(epoch FROM now() - xact_start)::int AS seconds, left(query, 1000) AS query
FROM pg_stat_activity
WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid() AND backend_type = 'client backend'
ORDER BY xact_start LIMIT 5
"""
_BLOCKERS = """
SELECT blocker AS pid, count(*) AS blocks FROM pg_stat_activity a
CROSS JOIN LATERAL unnest(pg_blocking_pids(a.pid)) AS blocker
WHERE a.wait_event_type = 'Lock' GROUP BY blocker ORDER BY count(*) DESC, blocker LIMIT 5
"""
# What a postgres writes about files that no restart mends: its own words, right after the level,
# and not those of a client's statement that it repeats.
_LEVEL = r"\b(?:LOG|WARNING|ERROR|FATAL|PANIC):\s{1,4}"
_DAMAGE = re.compile(
    _LEVEL + r"(?:invalid page in block|page verification failed|could not read block"
    r"|could not locate a valid checkpoint record|invalid primary checkpoint record"
    r"|\"[^\"]{1,500}\" is not a valid data directory|database files are incompatible"
    r"|could not (?:open|read) file \"(?:global|base|pg_xact|pg_multixact)/)"
)
_FULL = re.compile(_LEVEL + r"could not [^\n]{1,1000}: No space left on device$", re.MULTILINE)


class CheckDatabaseParams(Params):
    """A disk fuller than `max_disk` counts as full."""

    max_disk: Annotated[float, Field(gt=0, le=1)] = 0.98


@dataclass(frozen=True, slots=True)
class CheckDatabase:
    """Say what the database, its disk and its log look like."""

    params: CheckDatabaseParams
    clients: Clients

    def precheck(self, target: Target) -> Ready | Refused:
        address_of(target)
        return Ready()

    def run(self, target: Target, *, timeout_seconds: float) -> Done:
        address = address_of(target)
        deadline = Deadline.after(self.clients.clock, timeout_seconds)
        evidence: dict[str, object] = {}
        try:
            with connected(address, deadline.at_most(_LOOK_SECONDS)) as connection:
                evidence |= _asked(connection)
        except psycopg.Error as error:
            evidence["answers"] = f"no: {redacted(one_line(error))[:500]}"
        known = disk(self.clients.exporter_url, address.mountpoint)
        if known is not None:
            evidence["disk"] = {"free_bytes": known.free_bytes, "size_bytes": known.size_bytes}
        log = self._log(target, evidence, deadline.at_most(_LOOK_SECONDS))
        found = _damage(evidence, log) or self._full_disk(evidence, log)
        if found is not None:
            raise Permanent(f"{target.key}: {found}", evidence)
        return Done(f"{target.key} answers: {evidence['answers']}", evidence)

    def probe(self, target: Target, *, intended_at: datetime) -> Effect:  # noqa: ARG002 - a look leaves no trace
        return Effect.NOT_DONE

    def _log(self, target: Target, evidence: dict[str, object], seconds: float) -> str:
        if target.container is None:
            return ""
        try:
            with engine.connect(self.clients.docker_url, timeout_seconds=seconds / 3) as docker:
                text = docker.last_log_lines(target.container, _LOG_LINES)
        except RemediationError as error:
            evidence["log_missing"] = str(error)
            return ""
        evidence["log"] = log_tail(text, lines=_LOG_LINES, max_bytes=_LOG_BYTES)
        return text

    def _full_disk(self, evidence: dict[str, object], log: str) -> str | None:
        known = evidence.get("disk")
        if isinstance(known, dict):
            used = 1 - known["free_bytes"] / max(1, known["size_bytes"])
            if used < self.params.max_disk:
                return None  # whatever an old line of the log says
            return (
                f"the disk of its data is {used:.1%} full: a restart would have no room to "
                "recover; free space first (`df -h`), never by deleting files of pg_wal"
            )
        if evidence["answers"] != "yes" and _FULL.search(log):
            return "its log says that no space is left: free space first, then start it"
        return None


def _asked(connection: Connection) -> dict[str, object]:
    """What the server says of itself. A part that it does not answer is missing."""
    with connection.cursor(row_factory=dict_row) as cursor:
        facts: dict[str, object] = {"answers": "yes"}
        facts |= cursor.execute(_SERVER).fetchone() or {}
        rows = cursor.execute(_TRANSACTIONS).fetchall()
        facts["longest_transactions"] = [
            {**row, "query": redacted(" ".join(row["query"].split()))[:_SHOWN_OF_A_QUERY]}
            for row in rows
        ]
        facts["blockers"] = cursor.execute(_BLOCKERS).fetchall()
    return facts


def _damage(evidence: dict[str, object], log: str) -> str | None:
    failures = evidence.get("checksum_failures", 0)
    if isinstance(failures, int) and failures > 0:
        return (
            f"{failures} pages had a wrong checksum: its files are damaged, and a restart may "
            "lose more; keep a copy of the data directory, then restore the last good backup"
        )
    line = next((line for line in log.splitlines() if _DAMAGE.search(line)), None)
    if line is None:
        return None
    return (
        f"its log speaks of damaged files ({redacted(line.strip())[:300]}); do not restart it: "
        "keep a copy of the data directory, then restore the last good backup"
    )

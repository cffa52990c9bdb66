"""pg_stat_statements_*: the dear statements, and all the rest as queryid="other".

Rule: as in server.py; `other` never falls.
"""

from exporter.families.metric import Family, counter, gauge
from exporter.families.postgres.shape import SERVICE
from exporter.readings import Statements

_STATEMENT = (*SERVICE, "user", "datname", "queryid")
COUNTERS = {
    column: counter(f"pg_stat_statements_{column}_total", text, _STATEMENT)
    for column, text in {
        "calls": "Times the statement ran.",
        "seconds": "Time spent in the statement.",
        "rows": "Rows it returned or changed.",
        "block_read_seconds": "Time it spent reading shared blocks.",
        "block_write_seconds": "Time it spent writing shared blocks.",
        "shared_blks_hit": "Shared blocks found in the buffer cache.",
        "shared_blks_read": "Shared blocks read from disk.",
        "temp_blks_read": "Temporary blocks read.",
        "temp_blks_written": "Temporary blocks written.",
        "plan_seconds": "Time spent planning it.",
        "wal_bytes": "Bytes of WAL it made.",
    }.items()
}
TRACKED = gauge("pg_stat_statements_tracked", "Statements the server keeps counters of.", SERVICE)
DEALLOC = counter(
    "pg_stat_statements_dealloc_total", "Times the server forgot its least used ones.", SERVICE
)
RESET = gauge(
    "pg_stat_statements_stats_reset_timestamp_seconds", "When these counters began.", SERVICE
)
QUERY_ID = gauge(
    "pg_stat_statements_query_id",
    "1, with the start of the statement's text.",
    (*SERVICE, "queryid", "query"),
)


def families(service: str, statements: Statements) -> list[Family]:
    keys = [(service, *key) for key in statements.rows]
    columns = zip(*statements.rows.values(), strict=True)
    found = [
        Family(COUNTERS[column], list(zip(keys, numbers, strict=True)))
        for column, numbers in zip(statements.columns, columns, strict=False)
    ]
    found.append(TRACKED.family([((service,), statements.tracked)]))
    if statements.dealloc is not None:
        found.append(DEALLOC.family([((service,), statements.dealloc)]))
    if statements.stats_reset_at is not None:
        found.append(RESET.family([((service,), statements.stats_reset_at)]))
    if statements.texts:
        found.append(QUERY_ID.family(((service, *pair), 1) for pair in statements.texts.items()))
    return found

"""PostgreSQL and its backups: connections, what waits, what is slow, what could be restored."""

from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

from grafana import runbook
from grafana.board import Board
from grafana.parts import (
    GREEN,
    NONE_IS_GOOD,
    RED,
    YELLOW,
    bands,
    limited,
    lines,
    most,
    now,
    number,
    query,
    row,
    rows,
    stacked,
    steps,
    timeline,
    word,
)

SERVER = 'service=~"$server"'
STATEMENTS = f"pg_stat_statements_seconds_total{{{SERVER}}}"
# States that connections are in.
OF_USERS = 'state!~"|disabled|fastpath function call"'
NO_TEMPLATE = 'datname!~"template.+"'
USED = (
    f'sum by (service) (pg_stat_activity_count{{{SERVER},datname!=""}})'
    f" / (max by (service) (pg_settings_max_connections{{{SERVER}}})"
    f" - max by (service) (pg_settings_superuser_reserved_connections{{{SERVER}}}))"
)


def cached(function: str, window: str) -> str:
    hit = f"sum by (service) ({function}(pg_stat_database_blks_hit{{{SERVER}}}[{window}]))"
    read = f"sum by (service) ({function}(pg_stat_database_blks_read{{{SERVER}}}[{window}]))"
    return f"{hit} / ({hit} + {read} > 0)"


IS_IT_WELL = (
    word(
        (1, "Server"),
        "1 if the server answered the exporter's query.",
        now(f"min(pg_up{{{SERVER}}})"),
        {"1": ("answers", GREEN), "0": ("DOWN", RED)},
        explains=["PostgresDown"],
    ).span(3),
    number(
        (2, "Connections used"),
        "Of those that are not reserved for the superuser. Alert at 85 %.",
        now(USED),
        unit="percentunit",
        colours=bands(runbook.CONNECTIONS),
    ).span(3),
    number(
        (3, "Found in cache, 1 h"),
        "Share of the blocks that need not be read from disk. Alert below 95 %.",
        now(cached("increase", "1h")),
        unit="percentunit",
        colours=bands(runbook.PG_CACHE_HITS),
    ).span(3),
    number(
        (4, "Longest transaction"),
        "A transaction that stays open keeps locks and dead rows. Alert at 15 minutes.",
        now(f"max(pg_stat_activity_max_tx_duration{{{SERVER}}})"),
        unit="s",
        colours=steps((None, GREEN), (60, YELLOW), (runbook.TRANSACTION_SECONDS, RED)),
    ).span(3),
    number(
        (5, "Sessions that wait"),
        "For a lock that another session holds.",
        now(f"sum(pg_blocked_sessions{{{SERVER}}})"),
        colours=steps((None, GREEN), (1, YELLOW), (10, RED)),
    ).span(3),
    number(
        (8, "Wrong checksums"),
        "Pages whose checksum was wrong. One is a disk that dies: restore the backup.",
        now(f"sum(pg_stat_database_checksum_failures{{{SERVER}}}) or vector(0)"),
        colours=NONE_IS_GOOD,
        explains=["PostgresDataCorrupt"],
    ).span(3),
    number(
        (6, "Backup age / limit"),
        "How old the newest good one is, of what it may be. Above 100 % too much could be lost.",
        now(
            "max by (backup) ((time() - backup_last_success_timestamp_seconds)"
            " / backup_max_age_seconds)",
            "{{backup}}",
        ),
        unit="percentunit",
        colours=steps((None, GREEN), (0.95, YELLOW), (1, RED)),
        explains=["BackupTooOld", "BackupMissing"],
    )
    .span(3)
    .decimals(0),
    number(
        (7, "Restore test / limit"),
        "How long ago the last one was, of what it may be. A backup never restored is a hope.",
        now(
            "max by (backup) ((time() - backup_last_verification_timestamp_seconds)"
            " / backup_verification_max_age_seconds)",
            "{{backup}}",
        ),
        unit="percentunit",
        colours=steps((None, GREEN), (0.95, YELLOW), (1, RED)),
        explains=["BackupVerificationDue"],
    )
    .span(3)
    .decimals(0),
)

WHAT_IS_WRONG = (
    limited(
        (14, "Longest transactions"),
        "Age of the oldest transaction by state. Alert at 15 minutes.",
        query(
            f"max by (service, state) (pg_stat_activity_max_tx_duration{{{SERVER},{OF_USERS}}})",
            "{{service}} {{state}}",
        ),
        limits=steps((None, GREEN), (runbook.TRANSACTION_SECONDS, RED)),
        unit="s",
        explains=["LongTransaction"],
    ).span(8),
    lines(
        (13, "Locks waited for"),
        "Sessions that wait, and how long the longest has waited.",
        query(
            f"sum by (datname) (pg_blocked_sessions{{{SERVER},{NO_TEMPLATE}}})",
            "{{datname}} sessions",
        ),
        query(
            f"max by (datname) (pg_lock_wait_max_seconds{{{SERVER},{NO_TEMPLATE}}})",
            "{{datname}} longest",
        ),
        unit="short",
    )
    .span(8)
    .axis_soft_max(1)
    .override_by_query(
        "B", [DynamicConfigValue("unit", "s"), DynamicConfigValue("custom.axisPlacement", "right")]
    ),
    stacked(
        (20, "Connection failures in logs"),
        "Messages of the application about its database connection.",
        query(
            "sum by (service) (increase(container_log_matches_total"
            '{pattern="database-connection"}[$__rate_interval]))',
            "{{service}}",
        ),
        explains=["DbConnectionFailures"],
    ).span(8),
)

HOW_MUCH = (
    limited(
        (9, "Connections used, over time"),
        "Of those that are not reserved for the superuser. Alert at 85 %.",
        query(USED, "{{service}}"),
        limits=bands(runbook.CONNECTIONS),
        explains=["DbConnectionsSaturated"],
    ).axis_soft_max(1),
    lines(
        (22, "Connections by state"),
        "Idle in transaction is what hurts.",
        query(f"sum by (state) (pg_stat_activity_count{{{SERVER},{OF_USERS}}})", "{{state}}"),
        unit="short",
    ),
    lines(
        (10, "Transactions a second"),
        "Committed, by database.",
        query(
            "sum by (datname) (rate(pg_stat_database_xact_commit"
            f"{{{SERVER},{NO_TEMPLATE}}}[$__rate_interval]))",
            "{{datname}}",
        ),
        unit="ops",
    ),
    lines(
        (12, "Deadlocks and rollbacks"),
        "Deadlocks within the interval, and transactions rolled back a second.",
        query(
            "sum by (service)"
            f" (increase(pg_stat_database_deadlocks{{{SERVER}}}[$__rate_interval]))",
            "{{service}} deadlocks",
        ),
        query(
            "sum by (service)"
            f" (rate(pg_stat_database_xact_rollback{{{SERVER}}}[$__rate_interval]))",
            "{{service}} rollbacks a second",
        ),
        unit="short",
        explains=["Deadlocks"],
    ),
    limited(
        (11, "Found in cache"),
        "Share of the blocks that need not be read from disk. Alert below 95 %.",
        query(cached("rate", "$__rate_interval"), "{{service}}"),
        limits=bands(runbook.PG_CACHE_HITS),
        explains=["PgCacheHitLow"],
    ).max(1),
    lines(
        (17, "Size of the databases"),
        "On disk.",
        query(f"max by (datname) (pg_database_size_bytes{{{SERVER}}})", "{{datname}}"),
        unit="bytes",
    ),
    lines(
        (21, "WAL, slots and archiving"),
        "WAL on disk and what replication slots keep back. One that nobody reads fills the disk.",
        query(f"max by (service) (pg_wal_size_bytes{{{SERVER}}})", "{{service}} WAL"),
        query(
            f"max by (slot_name) (pg_replication_slots_pg_wal_lsn_diff{{{SERVER}}})",
            "kept by {{slot_name}}",
        ),
        unit="bytes",
        explains=["ReplicationSlotInactive", "WALArchiveFailing"],
    ),
    lines(
        (23, "Time of statements"),
        "Seconds that the server spends in statements, in a second; the dearest five.",
        query(
            most(
                5,
                f"sum by (datname, queryid) (rate({STATEMENTS}[$__rate_interval]))",
                by="datname, queryid",
                counter=STATEMENTS,
            ),
            "{{datname}} {{queryid}}",
        ),
        unit="s",
    ),
)

SLOW = (
    f"(sum by (datname, user, queryid) (increase(pg_stat_statements_seconds_total{{{SERVER}}}[1h]))"
    " / (sum by (datname, user, queryid)"
    f" (increase(pg_stat_statements_calls_total{{{SERVER}}}[1h])) > {runbook.SLOW_CALLS}))"
)

WHICH_ONE = (
    rows(
        (15, "Slowest statements"),
        "By mean time within an hour, of those that ran more than 100 times. The exporter tells the"
        " text of a queryid where that is switched on.",
        row(f"topk(10, {SLOW})"),
        row(
            "round(sum by (datname, user, queryid)"
            f" (increase(pg_stat_statements_calls_total{{{SERVER}}}[1h])))"
            f" and on (datname, user, queryid) topk(10, {SLOW})"
        ),
        columns={
            "datname": "Database",
            "user": "User",
            "queryid": "Query id",
            "Value #A": "Mean time",
            "Value #B": "Calls, 1 h",
        },
        units={"Mean time": "s"},
        sort=("Mean time", True),
        explains=["SlowQueries"],
    ),
    rows(
        (16, "Tables to vacuum"),
        "The tables with the most dead rows, and when they were last vacuumed.",
        row(f"topk(20, sum by (datname, relname) (pg_stat_user_tables_n_dead_tup{{{SERVER}}}))"),
        row(f"max by (datname, relname) (pg_stat_user_tables_dead_tuple_ratio{{{SERVER}}})"),
        row(f"max by (datname, relname) (pg_stat_user_tables_vacuum_age_seconds{{{SERVER}}})"),
        columns={
            "datname": "Database",
            "relname": "Table",
            "Value #A": "Dead rows",
            "Value #B": "Dead",
            "Value #C": "Vacuumed before",
        },
        units={"Dead": "percentunit", "Vacuumed before": "s"},
        sort=("Dead rows", True),
        explains=["VacuumDue"],
    ),
    timeline(
        (19, "Backup good"),
        "Big enough, of its format and readable.",
        query("min by (backup) (backup_valid)", "{{backup}}"),
        explains=["BackupInvalid"],
    ),
    lines(
        (18, "Size of the backups"),
        "Of the newest one. Half of the week's mean is a backup with something missing.",
        query("max by (backup) (backup_last_size_bytes)", "{{backup}}"),
        query(
            "max by (backup) (avg_over_time(backup_last_size_bytes[7d])) * 0.5",
            "half of {{backup}}'s mean",
        ),
        unit="bytes",
        explains=["BackupSizeAnomaly"],
    ),
)

BOARD = Board(
    uid="stackmedic-postgres",
    title="PostgreSQL",
    text="Connections, what waits, what is slow, and what could be restored.",
    variables={"server": ("Server", "label_values(pg_up, service)")},
    shows_services=False,
    rows={
        "Is it well?": IS_IT_WELL,
        "What is wrong": WHAT_IS_WRONG,
        "How it got there": HOW_MUCH,
        "Which one exactly": WHICH_ONE,
    },
)

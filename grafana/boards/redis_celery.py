"""Redis as cache and as broker, and the workers that take tasks from it.

How long a task takes and how many succeed cannot be seen in the broker: failures are counted
from the workers' logs.
"""

from grafana import runbook
from grafana.board import Board
from grafana.parts import (
    GREEN,
    NONE_IS_GOOD,
    PLAIN,
    RED,
    YELLOW,
    bands,
    gauges,
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
COMMANDS = f"redis_commands_total{{{SERVER}}}"
COMMAND_SECONDS = f"redis_commands_duration_seconds_total{{{SERVER}}}"


def found(function: str, window: str) -> str:
    hits = f"sum by (service) ({function}(redis_keyspace_hits_total{{{SERVER}}}[{window}]))"
    misses = f"sum by (service) ({function}(redis_keyspace_misses_total{{{SERVER}}}[{window}]))"
    return f"{hits} / ({hits} + {misses} > 0)"


IS_IT_WELL = (
    word(
        (1, "Redis"),
        "1 if the server answered the exporter.",
        now(f"min(redis_up{{{SERVER}}})"),
        {"1": ("answers", GREEN), "0": ("DOWN", RED)},
        explains=["RedisDown"],
    ),
    number(
        (2, "Memory used"),
        "Of maxmemory. Expected below 70 %, alert at 85 %.",
        now("max(service:redis_memory_used:ratio)"),
        unit="percentunit",
        colours=bands(runbook.REDIS_MEMORY),
    ),
    number(
        (3, "Look-ups found, 1 h"),
        "Share of the look-ups that found their key. Expected above 80 %, alert below 50 %.",
        now(found("increase", "1h")),
        unit="percentunit",
        colours=bands(runbook.CACHE_HITS),
    ),
    number(
        (4, "Workers silent"),
        "Workers that should be there and whose heartbeat was not heard.",
        now("count(celery_worker_up == 0) or vector(0)"),
        colours=NONE_IS_GOOD,
    ),
    number(
        (5, "Tasks waiting"),
        "In all queues.",
        now("sum(celery_queue_length)"),
        colours=steps((None, GREEN), (runbook.QUEUE_LENGTH, YELLOW)),
    ),
    number(
        (6, "Oldest task in flight"),
        "Since when a worker has had the oldest task that it has not acknowledged; 0 for none.",
        now("max(time() - celery_unacked_oldest_timestamp_seconds) or vector(0)"),
        unit="s",
        colours=bands(runbook.TASK_SECONDS),
        explains=["CeleryTaskStuck"],
    ),
)

WHAT_IS_WRONG = (
    timeline(
        (15, "Workers"),
        "Whether the worker's heartbeat was heard within its timeout.",
        query("max by (service, hostname) (celery_worker_up)", "{{service}} {{hostname}}"),
        texts={"1": ("heard", GREEN), "0": ("SILENT", RED)},
        explains=["CeleryWorkerSilent"],
    ),
    lines(
        (13, "Queue length"),
        "Messages waiting. A queue that only grows is not being worked on.",
        query("max by (queue_name) (celery_queue_length)", "{{queue_name}}"),
        unit="short",
        explains=["CeleryQueueStuck", "CeleryQueueBehind"],
    ).axis_soft_max(1),
    lines(
        (16, "Queue not empty since"),
        "How long ago the queue was last seen empty.",
        query(
            "clamp_min(max by (queue_name)"
            " (time() - celery_queue_last_drained_timestamp_seconds), 0)",
            "{{queue_name}}",
        ),
        unit="s",
    ),
    stacked(
        (17, "Failed tasks in logs"),
        "Tasks that ended with an exception that nobody expected, by the workers' logs.",
        query(
            "sum by (service)"
            ' (increase(container_log_matches_total{pattern="task-failed"}[$__rate_interval]))',
            "{{service}}",
        ),
    ),
)

HOW_MUCH = (
    limited(
        (7, "Memory of maxmemory"),
        "Expected below 70 %, alert at 85 %. At the limit keys are evicted, or writes refused.",
        query("service:redis_memory_used:ratio", "{{service}}"),
        limits=bands(runbook.REDIS_MEMORY),
        explains=["RedisMemoryHigh"],
    ).axis_soft_max(1),
    limited(
        (8, "Look-ups found"),
        "Share of the look-ups that found their key. Expected above 80 %, alert below 50 %.",
        query(found("rate", "$__rate_interval"), "{{service}}"),
        limits=bands(runbook.CACHE_HITS),
        explains=["CacheHitRateLow"],
    ).max(1),
    lines(
        (9, "Commands a second"),
        "The busiest ten commands.",
        query(
            most(
                10,
                f"sum by (cmd) (rate({COMMANDS}[$__rate_interval]))",
                by="cmd",
                counter=COMMANDS,
            ),
            "{{cmd}}",
        ),
        unit="ops",
    ),
    lines(
        (18, "Time by command"),
        "Mean time of a call, of the ten commands that take the most time in all.",
        query(
            most(
                10,
                f"(sum by (cmd) (rate({COMMAND_SECONDS}[$__rate_interval]))"
                f" / (sum by (cmd) (rate({COMMANDS}[$__rate_interval])) > 0))",
                by="cmd",
                counter=COMMAND_SECONDS,
            ),
            "{{cmd}}",
        ),
        unit="s",
    ),
    lines(
        (10, "Evicted and expired keys"),
        "Evicted ones were thrown out because memory was full.",
        query(
            f"sum by (service) (rate(redis_evicted_keys_total{{{SERVER}}}[$__rate_interval]))",
            "{{service}} evicted",
        ),
        query(
            f"sum by (service) (rate(redis_expired_keys_total{{{SERVER}}}[$__rate_interval]))",
            "{{service}} expired",
        ),
        unit="ops",
        explains=["RedisEvicting"],
    ),
    lines(
        (11, "Clients"),
        "Connected clients, and connections refused within the interval.",
        query(f"max by (service) (redis_connected_clients{{{SERVER}}})", "{{service}} connected"),
        query(
            "sum by (service)"
            f" (increase(redis_rejected_connections_total{{{SERVER}}}[$__rate_interval]))",
            "{{service}} refused",
        ),
        unit="short",
        explains=["RedisRejectedConnections"],
    ),
    lines(
        (12, "Keys by group"),
        "Counted in the background; temp is what a remediation may delete.",
        query(f"max by (key_group) (redis_key_group_count{{{SERVER}}})", "{{key_group}}"),
        unit="short",
    ),
    lines(
        (14, "Tasks in flight"),
        "Taken and not acknowledged, and those that workers say they run.",
        query("sum by (broker) (celery_unacked_tasks)", "{{broker}} not acknowledged"),
        query("max by (hostname) (celery_worker_tasks_active)", "{{hostname}} runs"),
        unit="short",
    ),
)

WHICH_ONE = (
    rows(
        (19, "Workers now"),
        "When each worker was last heard, and what it runs.",
        row("max by (service, hostname) (celery_worker_last_heartbeat_timestamp_seconds) * 1000"),
        row("max by (service, hostname) (celery_worker_tasks_active)"),
        columns={
            "service": "Service",
            "hostname": "Worker",
            "Value #A": "Heard",
            "Value #B": "Tasks running",
        },
        units={"Heard": "dateTimeFromNow"},
        sort=("Service", False),
    ).span(16),
    gauges(
        (20, "Keys by database"),
        "Of the databases that hold one; the broker's is not the cache's.",
        now(f"max by (db) (redis_db_keys{{{SERVER}}}) > 0", "{{db}}"),
        limits=PLAIN,
        unit="short",
    )
    .span(8)
    .no_value("no key"),
)

BOARD = Board(
    uid="stackmedic-redis-celery",
    title="Redis and Celery",
    text="Redis as cache and as broker, and the workers that take tasks from it.",
    variables={"server": ("Server", "label_values(redis_up, service)")},
    shows_services=False,
    rows={
        "Is it well?": IS_IT_WELL,
        "What is wrong": WHAT_IS_WRONG,
        "How it got there": HOW_MUCH,
        "Which one exactly": WHICH_ONE,
    },
)

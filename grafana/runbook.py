"""The runbook's numbers, as panels draw them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Band:
    """The runbook's two columns. Where more is better, `alert` is the smaller one."""

    expected: float
    alert: float


CPU = Band(0.60, 0.80)
MEMORY = Band(0.70, 0.85)
DISK = Band(0.80, 0.90)
INODES = Band(0.80, 0.90)
CACHE_HITS = Band(0.80, 0.50)
ERRORS_24H = Band(10, 50)
ERRORS_1M = 10
SLO = 0.999
BURN_FAST, BURN_SLOW = 14.4, 6
LATENCY_P95 = 1.0
CONNECTIONS = 0.85
PG_CACHE_HITS = Band(0.99, 0.95)
TRANSACTION_SECONDS = 900
CERTIFICATE_DAYS = Band(21, 7)
VACUUM_DEAD_SHARE = 0.2
WATCHDOG_SECONDS = 300
SLOW_CALLS = 100
QUEUE = 100
TASK_SECONDS = Band(900, 1800)

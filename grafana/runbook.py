"""The numbers of the alert rules, as panels draw them: from alert_rules/thresholds.yml.

Rule: a number that an alert compares with stands there and nowhere else. What stands here is
where a panel without an alert of its own changes its colour.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).resolve().parents[1] / "alert_rules" / "thresholds.yml"
DOCUMENT: dict[str, Any] = yaml.safe_load(FILE.read_text())
RULES: dict[str, dict[str, Any]] = {entry["rule"]: entry for entry in DOCUMENT["thresholds"]}


@dataclass(frozen=True)
class Band:
    """The runbook's two columns. Where more is better, `alert` is the smaller one."""

    expected: float
    alert: float


def alert(rule: str) -> float:
    return float(RULES[rule]["alert"])


def band(rule: str) -> Band:
    return Band(float(RULES[rule]["expected"]), alert(rule))


CPU = band("HighCpu")
MEMORY = band("HighMemory")
HOST_CPU = band("HostCpuHigh")
HOST_MEMORY = band("HostMemoryHigh")
DISK = band("DiskAlmostFull")
INODES = band("InodesHigh")

ERRORS_1M = alert("ErrorBurst")
ERRORS_24H = band("Errors24hHigh")
LATENCY = band("BackendLatencyHigh")
PROBE_SECONDS = band("HealthEndpointSlow")

CONNECTIONS = band("DbConnectionsSaturated")
PG_CACHE_HITS = band("PgCacheHitLow")
TRANSACTION_SECONDS = alert("LongTransaction")
SLOW_CALLS = int(RULES["SlowQueries"]["also"]["calls in an hour at least"])

REDIS_MEMORY = band("RedisMemoryHigh")
CACHE_HITS = band("CacheHitRateLow")
TASK_SECONDS = Band(900, alert("CeleryTaskStuck"))
QUEUE_SECONDS = alert("CeleryQueueBehind")

DAY = 86400
CERTIFICATE_DAYS = Band(alert("CertificateExpiring") / DAY, alert("CertificateCritical") / DAY)

OBJECTIVE = float(DOCUMENT["objective"]["ratio"])
BUDGET = round(1 - OBJECTIVE, 6)
# Times faster than allowed. The slow pair's rule looks at a day, its panel at the pages' six hours.
BURN_PAGE = round(alert("BackendErrorBudgetBurnFast") / BUDGET, 2)
BURN_PAGE_LONGER = round(
    RULES["BackendErrorBudgetBurnFast"]["also"]["burn of 6 for the longer windows"] / BUDGET, 2
)

# -- no alert compares with these ------------------------------------------------------------

WATCHDOG_SECONDS = Band(
    120, 300
)  # it comes each minute; WatchdogMissing has the second in its rule
RECONCILE_SECONDS = Band(60, 300)
QUEUE_LENGTH = 100

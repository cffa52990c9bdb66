"""The weekly review: what recurs, what is slow, what grows, what was mended.

Rule: ten or twenty of each, the worst first; what has no threshold in the runbook is told and
not judged.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from remediator.ports import RemediationError
from remediator.prometheus import Sample
from remediator.replay import told
from remediator.reports.asking import Ask, bounded, label, section
from remediator.reports.rows import (
    Report,
    Row,
    Section,
    Thresholds,
    Verdict,
    number,
    size,
    unknown,
)

WEEK = timedelta(days=7)
ERRORS = (
    "topk(20, sum by (service, fingerprint) "
    '(increase(container_log_fingerprint_total{service!=""}[7d])) >= 1)'
)
_CALLS = (
    "sum by (service, datname, queryid) "
    '(increase(pg_stat_statements_calls_total{queryid!="other"}[7d]))'
)
_SECONDS = (
    "sum by (service, datname, queryid) "
    '(increase(pg_stat_statements_seconds_total{queryid!="other"}[7d]))'
)
SLOW = f"topk(10, {_SECONDS} / ({_CALLS} > 100))"
_TABLE = "(service, datname, schemaname, relname)"
TABLES = (
    f"topk(10, max by {_TABLE} (pg_stat_user_tables_table_size_bytes)"
    f" + max by {_TABLE} (pg_stat_user_tables_index_size_bytes))"
)
BLOAT = f"topk(10, max by {_TABLE} (pg_stat_user_tables_bloat_estimate_bytes) > 0)"
CACHE_HITS = (
    "sum by (service) (increase(redis_keyspace_hits_total[7d])) / "
    "(sum by (service) (increase(redis_keyspace_hits_total[7d]))"
    " + sum by (service) (increase(redis_keyspace_misses_total[7d])) > 0)"
)
REDIS_MEMORY = (
    "max by (service) (max_over_time(redis_memory_used_bytes[7d]) / (redis_memory_max_bytes > 0))"
)
FIRED = 'topk(10, count_over_time((sum by (alertname) (ALERTS{alertstate="firing",severity!="none"}))[7d:1m]))'  # noqa: E501 - one query
BEGUN = "sum by (alertname) (changes(ALERTS_FOR_STATE[7d]) + 1)"

Texts = Callable[[], Mapping[str, str]]
"""By fingerprint or query id; empty when they cannot be had."""


def weekly(
    ask: Ask,
    thresholds: Thresholds,
    *,
    errors: Texts,
    queries: Texts,
    incidents: Callable[[], Sequence[Mapping[str, Any]]],
    at: datetime,
) -> Report:
    """`incidents` as the API lists them. Errors of it: RemediationError."""
    hits, memory = thresholds["cache_hits"], thresholds["redis_memory"]
    return Report(
        "Weekly review",
        at,
        (
            section(
                ask,
                "Recurring errors, 7 days",
                ERRORS,
                partial(_error, texts=errors()),
                none=Row("all", "none", Verdict.GOOD),
                sort=False,
            ),
            section(
                ask,
                "Slowest queries, 7 days, more than 100 calls",
                SLOW,
                partial(_query, texts=queries()),
                none=Row("all", "none was called so often", Verdict.INFO),
                sort=False,
            ),
            section(ask, "Biggest tables", TABLES, _table, sort=False),
            section(ask, "Bloat", BLOAT, _table, none=Row("all", "none", Verdict.GOOD), sort=False),
            bounded(ask, "Cache hit rate, 7 days", CACHE_HITS, hits, "service"),
            bounded(ask, "Most memory of Redis, 7 days", REDIS_MEMORY, memory, "service"),
            _incidents(incidents, at),
            _fired(ask),
        ),
    )


def _error(sample: Sample, *, texts: Mapping[str, str]) -> Row:
    fingerprint = sample.labels.get("fingerprint", "")
    text = texts.get(fingerprint, "")
    what = f"{label(sample.labels, 'service', 'fingerprint')} {text}".strip()
    return Row(what, number(sample.value), Verdict.WATCH)


def _query(sample: Sample, *, texts: Mapping[str, str]) -> Row:
    queryid = sample.labels.get("queryid", "")
    what = f"{label(sample.labels, 'datname', 'queryid')} {texts.get(queryid, '')}".strip()
    return Row(what, f"{sample.value * 1000:.1f} ms", Verdict.INFO)


def _table(sample: Sample) -> Row:
    what = label(sample.labels, "datname", "schemaname", "relname")
    return Row(what, size(sample.value), Verdict.INFO)


def _incidents(listed: Callable[[], Sequence[Mapping[str, Any]]], at: datetime) -> Section:
    title = "Incidents of the week"
    try:
        found = listed()
    except RemediationError as error:
        return Section(title, (unknown(title, str(error)),))
    since = at - WEEK
    rows = [
        Row(
            f"{story['opened_at'][:16].replace('T', ' ')} {story['target']} {story['runbook']}",
            told.outcome(story),
            Verdict.WATCH if story["escalated"] else Verdict.INFO,
        )
        for story in found
        if datetime.fromisoformat(story["opened_at"]) >= since
    ]
    return Section(title, tuple(rows) or (Row("all", "none", Verdict.GOOD),))


def _fired(ask: Ask) -> Section:
    title = "Alerts that fired most, 7 days"
    try:
        begun = Counter({s.labels.get("alertname", ""): s.value for s in ask(BEGUN)})
        minutes = ask(FIRED)
    except RemediationError as error:
        return Section(title, (unknown(title, str(error)),))
    rows = [
        Row(
            label(sample.labels, "alertname"),
            f"{number(sample.value)} minutes, begun or pending "
            f"{number(begun[sample.labels.get('alertname', '')])} times",
            Verdict.INFO,
        )
        for sample in sorted(minutes, key=lambda sample: -sample.value)
    ]
    return Section(title, tuple(rows) or (Row("all", "none", Verdict.GOOD),))

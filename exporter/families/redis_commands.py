"""redis_commands_*, redis_errors_total and latencies: what the server counts by command.

Rule: pure. A name of the server's is a label only up to a cap; the rest is `other`.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from exporter.families.metric import Family, Kind, Metric, Sample, counter
from exporter.families.redis_info import number_of, numbers
from exporter.readings import LatencyHistogram, Redis

_S = ("service",)
FIELD = "cmdstat_"
_COMMANDS_KEPT = 300
_ERRORS_KEPT = 64
_OTHER = "other"

COMMANDS = counter("redis_commands_total", "Calls by command.", (*_S, "cmd"))
COMMAND_SECONDS = counter(
    "redis_commands_duration_seconds_total", "Time spent by command.", (*_S, "cmd")
)
COMMANDS_REJECTED = counter(
    "redis_commands_rejected_calls_total", "Calls refused before they ran.", (*_S, "cmd")
)
COMMANDS_FAILED = counter("redis_commands_failed_calls_total", "Calls that failed.", (*_S, "cmd"))
ERRORS = counter("redis_errors_total", "Error replies by kind.", (*_S, "err"))
PERCENTILES = Metric(
    "redis_latency_percentiles_usec",
    Kind.SUMMARY,
    "Microseconds of the command's calls, as the server's percentiles tell.",
    (*_S, "cmd", "quantile"),
)
HISTOGRAM = Metric(
    "redis_commands_latencies_usec",
    Kind.HISTOGRAM,
    "Microseconds of the command's calls.",
    (*_S, "cmd", "le"),
)
_COMMAND = re.compile(r"[A-Za-z0-9_|.\-]{1,64}")
# The third field is named for speed only.
_COMMAND_ROW = re.compile(
    r"calls=(\d+),usec=(\d+)(?:,usec_per_call=[\d.]+)?"
    r"(?:.*?,rejected_calls=(\d+),failed_calls=(\d+))?"
)


def calls(key: tuple[str], commands: Mapping[str, str]) -> list[Family]:
    calls: list[Sample] = []
    seconds: list[Sample] = []
    rejected: list[Sample] = []
    failed: list[Sample] = []
    for name, text in commands.items():
        row = _command(text)
        if row is None:
            continue
        labels = _labels(key, name)
        called, microseconds, refused, broken = row
        calls.append((labels, called))
        seconds.append((labels, microseconds / 1e6))
        if refused is not None and broken is not None:
            rejected.append((labels, refused))
            failed.append((labels, broken))
    return [
        Family(COMMANDS, _capped(calls, _COMMANDS_KEPT)),
        Family(COMMAND_SECONDS, _capped(seconds, _COMMANDS_KEPT)),
        Family(COMMANDS_REJECTED, _capped(rejected, _COMMANDS_KEPT)),
        Family(COMMANDS_FAILED, _capped(failed, _COMMANDS_KEPT)),
    ]


@lru_cache(maxsize=1024)  # most commands were not called since the last scrape
def _command(text: str) -> tuple[int, int, int | None, int | None] | None:
    """Calls, microseconds, refused and failed calls, as far as the server counts them."""
    row = _COMMAND_ROW.match(text)
    if row is None:
        return None
    calls, microseconds, refused, failed = row.groups()
    if refused is None:
        return int(calls), int(microseconds), None, None
    return int(calls), int(microseconds), int(refused), int(failed)


def errors(key: tuple[str], rest: Mapping[str, str]) -> Iterator[Family]:
    errors: list[Sample] = []
    for field, text in rest.items():
        if field.startswith("errorstat_"):
            count = numbers(text).get("count")
            if count is not None:
                errors.append(((*key, _word(field[10:])), count))
    yield Family(ERRORS, _capped(errors, _ERRORS_KEPT))


@lru_cache(maxsize=4096)  # the same tuple each time is compared fastest
def _labels(key: tuple[str], name: str) -> tuple[str, ...]:
    return (*key, _word(name))


@lru_cache(maxsize=4096)
def _word(text: str) -> str:
    return text if _COMMAND.fullmatch(text) else _OTHER


def _capped(rows: list[Sample], kept: int) -> list[Sample]:
    """Counters by the server's words; what is past the cap or no word is summed up as other.

    By name, so that whoever is kept stays kept while no new word comes.
    """
    if len(rows) <= kept and _OTHER not in [labels[-1] for labels, _ in rows]:
        return rows
    good = sorted(row for row in rows if row[0][-1] != _OTHER)[:kept]
    rest = sum(number for _, number in rows) - sum(number for _, number in good)
    return [*good, ((*rows[0][0][:-1], _OTHER), rest)]


def percentiles(
    key: tuple[str], rest: Mapping[str, str], commands: Mapping[str, str]
) -> list[Family]:
    """The server says p50, p99, p99.9; a quantile is a ratio."""
    quantiles: list[Sample] = []
    sums: list[Sample] = []
    counts: list[Sample] = []
    prefix = "latency_percentiles_usec_"
    fields = [f for f in rest if f.startswith(prefix)][:_COMMANDS_KEPT]
    for field in fields:
        cmd = field.removeprefix(prefix)
        row = _command(commands.get(cmd, ""))
        if row is None or not _COMMAND.fullmatch(cmd):
            continue
        for name, number in numbers(rest[field]).items():
            percent = number_of(name.removeprefix("p"))
            if percent is not None:
                quantiles.append(((*key, cmd, f"{percent / 100:.10g}"), number))
        sums.append(((*key, cmd, ""), row[1]))
        counts.append(((*key, cmd, ""), row[0]))
    return [
        PERCENTILES.family(quantiles),
        PERCENTILES.family(sums, "_sum"),
        PERCENTILES.family(counts, "_count"),
    ]


def histograms(key: tuple[str], reading: Redis, commands: Mapping[str, str]) -> list[Family]:
    buckets: list[Sample] = []
    sums: list[Sample] = []
    counts: list[Sample] = []
    spent = _spent(commands) if reading.latency_histograms else {}
    for cmd, seen in list(reading.latency_histograms.items())[:_COMMANDS_KEPT]:
        if not _COMMAND.fullmatch(cmd) or not _sound(seen):
            continue
        buckets += [((*key, cmd, str(limit)), calls) for limit, calls in seen.buckets]
        buckets.append(((*key, cmd, "+Inf"), seen.calls))
        sums.append(((*key, cmd, ""), spent.get(cmd, 0)))
        counts.append(((*key, cmd, ""), seen.calls))
    return [
        HISTOGRAM.family(buckets, "_bucket"),
        HISTOGRAM.family(sums, "_sum"),
        HISTOGRAM.family(counts, "_count"),
    ]


def _sound(seen: LatencyHistogram) -> bool:
    counts = [calls for _, calls in seen.buckets]
    return counts == sorted(counts) and (not counts or counts[-1] <= seen.calls)


def _spent(commands: Mapping[str, str]) -> dict[str, float]:
    """Microseconds by command; a command with subcommands has theirs as well."""
    spent: dict[str, float] = {}
    for name, text in commands.items():
        if row := _command(text):
            for cmd in {name, name.partition("|")[0]}:
                spent[cmd] = spent.get(cmd, 0) + row[1]
    return spent

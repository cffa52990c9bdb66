"""container_log_*: messages by level, counted from the logs themselves.

Rule: text of a message is never a label. All levels, patterns and reasons are there from the
start, so increase() sees the first error.
"""

from exporter.families.containers import label_values
from exporter.families.metric import Family, counter, gauge
from exporter.families.scrape import SOURCE
from exporter.readings import Logs, Unreachable
from exporter.targets import LogFolder

# nonsense: not the engine's JSON. too_long: no end within 1 MiB. unfinished: a file ended in the
# line. rotated_away: one a gap; how many lines it took is not known.
DROP_REASONS = ("nonsense", "too_long", "unfinished", "rotated_away")

_LABELS = ("service", "name")
MESSAGES = counter(
    "container_log_messages_total",
    "Log messages by level; other is every line that begins no critical, error or warning event, "
    "a traceback is one event, a long message is one message.",
    (*_LABELS, "stream", "level"),
)
BYTES = counter("container_log_bytes_total", "Bytes of log as the engine stores it.", _LABELS)
MATCHES = counter(
    "container_log_matches_total",
    "Messages that match a configured pattern.",
    (*_LABELS, "pattern"),
)
FINGERPRINTS = counter(
    "container_log_fingerprint_total",
    "Recurring errors, each form under the hash of its text without what varies; the text is on "
    "the page of the exporter. other: all forms without a place among the most frequent.",
    (*_LABELS, "fingerprint"),
)
LAST_MESSAGE = gauge(
    "container_log_last_message_timestamp_seconds",
    "When the last log message was written.",
    _LABELS,
)
LAG = gauge("container_log_read_lag_bytes", "Bytes written but not read yet.", _LABELS)
ROTATIONS = counter("container_log_rotations_total", "Rotations followed.")
TRUNCATIONS = counter(
    "container_log_truncations_total", "Truncations followed; what was not read before is lost."
)
PARTIALS = counter("container_log_partials_joined_total", "Messages joined from pieces.")
DROPPED = counter(
    "container_log_lines_dropped_total",
    "Lines that could not be counted; rotated_away counts gaps, not lines.",
    ("reason",),
)


def families(folder: LogFolder, reading: Logs | Unreachable) -> list[Family]:
    if isinstance(reading, Unreachable):
        return []
    keys = folder.engine.service_keys()
    logs = [
        (label_values(keys, item.container)[-1], item.container.name, item) for item in reading.logs
    ]
    return [
        MESSAGES.family(
            ((service, name, stream, level), count)
            for service, name, item in logs
            for (stream, level), count in item.messages.items()
        ),
        BYTES.family(((service, name), item.size_bytes) for service, name, item in logs),
        MATCHES.family(
            ((service, name, pattern), count)
            for service, name, item in logs
            for pattern, count in item.matches.items()
        ),
        FINGERPRINTS.family(
            ((service, name, fingerprint), count)
            for service, name, item in logs
            for fingerprint, count in item.fingerprints.items()
        ),
        LAST_MESSAGE.family(
            ((service, name), item.last_message_at)
            for service, name, item in logs
            if item.last_message_at
        ),
        LAG.family(((service, name), item.lag_bytes) for service, name, item in logs),
        ROTATIONS.family([((), reading.rotations)]),
        TRUNCATIONS.family([((), reading.truncations)]),
        PARTIALS.family([((), reading.partials_joined)]),
        DROPPED.family(
            ((reason,), reading.lines_dropped.get(reason, 0)) for reason in DROP_REASONS
        ),
        # Both where some are read in files and some through the engine.
        SOURCE.family(
            (("logs", source), 1)
            for source in sorted({item.source for item in reading.logs if item.source})
        ),
    ]

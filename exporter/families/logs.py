"""container_log_*: messages by level, counted from the logs themselves.

Rule: text of a message is never a label. All levels are there from the start, so increase()
sees the first error.
"""

from exporter.families.containers import label_values
from exporter.families.metric import Family, counter, gauge
from exporter.readings import Logs, Unreachable
from exporter.targets import LogFolder

_LABELS = ("service", "name", "stream")
MESSAGES = counter(
    "container_log_messages_total",
    "Log events by level; a traceback is one event, a long message is one event.",
    (*_LABELS, "level"),
)
BYTES = counter("container_log_bytes_total", "Bytes of log text, escaped as in the file.", _LABELS)
LAG = gauge("container_log_read_lag_bytes", "Bytes written but not read yet.", ("service", "name"))
ROTATIONS = counter("container_log_rotations_total", "Rotations followed.")
TRUNCATIONS = counter("container_log_truncations_total", "Truncations followed.")
PARTIALS = counter("container_log_partials_joined_total", "Messages joined from pieces.")
DROPPED = counter("container_log_lines_dropped_total", "Lines that are not the engine's JSON.")


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
        BYTES.family(
            ((service, name, stream), size)
            for service, name, item in logs
            for stream, size in item.sizes.items()
        ),
        LAG.family(((service, name), item.lag_bytes) for service, name, item in logs),
        ROTATIONS.family([((), reading.rotations)]),
        TRUNCATIONS.family([((), reading.truncations)]),
        PARTIALS.family([((), reading.partials_joined)]),
        DROPPED.family([((), reading.lines_dropped)]),
    ]

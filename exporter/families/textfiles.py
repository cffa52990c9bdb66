"""What textfiles say, under their own names, and node_textfile_* about the files.

Rule: the names come from the files, so they are checked by the encoder like any others: a
family that contradicts one of the exporter's own is dropped and counted.
"""

from exporter.families.metric import Family, Kind, Metric, gauge
from exporter.readings import Textfiles, TextSamples, Unreachable

MTIME = gauge("node_textfile_mtime_seconds", "When the file was last written.", ("file",))
ERROR = gauge(
    "node_textfile_scrape_error", "1 if a file, or the folder, could not be read or understood."
)


def families(_: object, reading: Textfiles | Unreachable) -> list[Family]:
    if isinstance(reading, Unreachable):
        return [ERROR.family([((), 1)])]
    return [
        MTIME.family(((f.file,), f.modified_at) for f in reading.files if not f.error),
        ERROR.family([((), any(f.error for f in reading.files))]),
        *_merged([samples for f in reading.files for samples in f.found]),
    ]


def _merged(found: list[TextSamples]) -> list[Family]:
    """One family a name, also when several files speak of it. Absent labels are empty."""
    by_name: dict[str, list[TextSamples]] = {}
    for samples in found:
        by_name.setdefault(samples.name, []).append(samples)
    return [_family(name, group) for name, group in by_name.items()]


def _family(name: str, group: list[TextSamples]) -> Family:
    every = [sample for samples in group for sample in samples.samples]
    labels = tuple(sorted({label for told, _ in every for label in told}))
    kind = Kind.COUNTER if group[0].counter else Kind.GAUGE
    metric = Metric(name, kind, group[0].help or f"From a textfile: {name}.", labels)
    return metric.family((tuple(told.get(label, "") for label in labels), n) for told, n in every)

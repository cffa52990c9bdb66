"""*.prom files of a folder: what cron jobs and backup scripts have to say.

Rule: a file is taken whole or not at all. Timestamps are refused, as node_exporter does, for
they would outlive what they tell of; so are names of the exporter's own.
"""

from itertools import islice
from pathlib import Path

from prometheus_client import Metric as Parsed
from prometheus_client.parser import text_string_to_metric_families

from exporter.readings import Cause, Textfile, Textfiles, TextSamples, Unreachable
from exporter.targets import TextfileFolder

MAX_FILES, MAX_BYTES, MAX_SAMPLES = 50, 1 << 20, 5_000
OWN_PREFIXES = ("stackmedic_", "node_textfile_")
_COUNTER_SUFFIXES = ("_total", "_bucket", "_count", "_sum")


class Refused(Exception):
    """Why a file is not taken."""


class TextfileCollector:
    def __init__(self, folder: TextfileFolder) -> None:
        self._folder = folder

    def collect(self, deadline: float) -> Textfiles | Unreachable:  # noqa: ARG002  bounded by MAX_FILES
        root = Path(self._folder.directory)
        try:
            # iterdir, because glob is silent about a folder that is away.
            paths = sorted(islice((p for p in root.iterdir() if p.suffix == ".prom"), MAX_FILES))
        except OSError as error:
            return Unreachable(Cause.FILES, f"{root}: {error.strerror}")
        files = tuple(_textfile(path) for path in paths)
        problems = tuple(f"{file.file}: {file.error}" for file in files if file.error)
        return Textfiles(files, problems)

    def cancel(self) -> None:
        """A read of small local files is not worth interrupting."""

    def close(self) -> None:
        """Nothing is kept open."""


def _textfile(path: Path) -> Textfile:
    try:
        return Textfile(path.name, path.stat().st_mtime, samples_of(_content(path)))
    except OSError as error:
        return Textfile(path.name, error=error.strerror or str(error))
    except Refused as refused:
        return Textfile(path.name, error=str(refused))


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise Refused("not a file")
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def samples_of(content: bytes) -> tuple[TextSamples, ...]:
    """Errors: Refused."""
    if len(content) > MAX_BYTES:
        raise Refused(f"more than {MAX_BYTES} bytes")
    try:
        families = list(text_string_to_metric_families(content.decode("utf-8")))
    # The parser raises whatever its slices and conversions run into.
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise Refused(f"not the text format: {error}") from error
    if sum(len(family.samples) for family in families) > MAX_SAMPLES:
        raise Refused(f"more than {MAX_SAMPLES} samples")
    return tuple(part for family in families for part in _parts(family))


def _parts(family: Parsed) -> list[TextSamples]:
    """One per name: a histogram's three kinds of samples are three counters."""
    names: dict[str, list[tuple[dict[str, str], float]]] = {}
    for sample in family.samples:
        if sample.timestamp is not None:
            raise Refused(f"{sample.name}: client side timestamps are not taken")
        if sample.name.startswith(OWN_PREFIXES):
            raise Refused(f"{sample.name}: is a name of the exporter's own")
        names.setdefault(sample.name, []).append((sample.labels, sample.value))
    whole = family.type in {"counter", "histogram", "summary"}
    return [
        TextSamples(
            name,
            family.documentation,
            whole and (name == family.name or name.endswith(_COUNTER_SUFFIXES)),
            tuple(samples),
        )
        for name, samples in names.items()
    ]

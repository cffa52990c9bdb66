"""One scrape for a person at a terminal: what failed first, then every series, aligned.

Rule: pure. Bytes, seconds since 1970 and ratios are told as people say them; the exact text is
what `--print | cat` gives.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from exporter.families.metric import Family, Row, families_of
from exporter.scrape import Scrape

_BOLD, _DIM, _RED, _GREEN, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[0m"
_WIDEST = 80
_STEPS = ("B", "KiB", "MiB", "GiB", "TiB")


def report(scrape: Scrape, more: Iterable[Family | Row] = ()) -> str:
    lines = list(_outcomes(scrape))
    families = families_of((*scrape.families, *more))
    for family in sorted(families, key=lambda family: family.metric.name):
        if family.samples:
            lines += _family(family)
    return "\n".join(lines) + "\n"


def _outcomes(scrape: Scrape) -> Iterator[str]:
    yield f"{_BOLD}Collectors{_PLAIN}"
    for outcome in sorted(scrape.outcomes, key=lambda o: (not o.error, o.collector)):
        colour, word = (_RED, "failing") if outcome.error else (_GREEN, "good")
        took = f"{outcome.duration_seconds * 1000:8.1f} ms"
        error = _printable(outcome.error)
        yield f"  {colour}{word:8}{_PLAIN}{outcome.collector:14}{took}  {error}".rstrip()


def _family(family: Family) -> Iterator[str]:
    name = family.metric.name
    yield ""
    yield f"{_BOLD}{name}{_PLAIN} {_DIM}{_printable(family.metric.help)}{_PLAIN}"
    labels = [_labels(family.metric.labels, values) for values, _ in family.samples]
    width = min(_WIDEST, max(map(len, labels)))
    for label, (_, number) in zip(labels, family.samples, strict=True):
        yield f"  {label:{width}}  {_figure(name, float(number))}"


def _labels(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    pairs = zip(names, values, strict=True)
    return " ".join(f"{name}={_printable(value)}" for name, value in pairs if value)


def _figure(name: str, number: float) -> str:
    plain = f"{number:.15g}"
    if "timestamp" in name and 0 < number < 253402300800:  # noqa: PLR2004  the year 9999
        return f"{datetime.fromtimestamp(number, UTC):%Y-%m-%d %H:%M:%S} UTC"
    if "_bytes" not in name or abs(number) < 1024:  # noqa: PLR2004  one KiB
        return plain
    size, step = number, 0
    while abs(size) >= 1024 and step < len(_STEPS) - 1:  # noqa: PLR2004  one KiB
        size, step = size / 1024, step + 1
    return f"{size:.1f} {_STEPS[step]}"


def _printable(text: str) -> str:
    """Without what a terminal would obey."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)

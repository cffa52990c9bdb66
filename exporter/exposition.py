"""Families -> bytes of the Prometheus text format 0.0.4.

Rule: pure apart from a bounded memory of what it wrote, and it never fails: bad text is
replaced; a series written before, or one that cannot be written, is dropped and counted. Speed
is the point: what was written last time is kept as a template, and while the same series come
again only their numbers are filled in, into bytes, where %a writes a number as repr does.
Metrics that have one series each, such as those of a server's settings, stand first and
together: a template for each would cost more than its line.
"""

import math
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from exporter.families.metric import Family, Metric, Row, Sample, families_of

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LONGEST_LABEL = 1024
_KEPT_LINES = 100_000
_KEPT_SHEETS = 8
_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL_NAME = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_LARGEST = sys.float_info.max
_NUMBERS = frozenset({int, float})
Texts = dict[tuple[str, ...], str]  # label values -> as they are written


@dataclass(frozen=True, slots=True)
class Exposition:
    parts: tuple[bytes, ...]  # of the body, to be copied once
    samples: int
    dropped: int  # duplicate series and families that contradict an earlier one

    @property
    def body(self) -> bytes:
        return b"".join(self.parts)


@dataclass(slots=True)
class _Page:
    """One metric as it was written last, to be filled with new numbers."""

    shape: list[tuple[str, int]]  # suffix and samples of each family
    keys: tuple[tuple[str, ...], ...]
    template: bytes  # empty: thrown away, for the text stays
    # A tuple of samples cannot change: the same one again is the same text. Most containers do
    # nothing most of the time, so the same numbers come again as well.
    same: Sequence[Sample] | None = None
    values: tuple[float, ...] = ()
    body: bytes = b""


@dataclass(slots=True)
class _Lonely:
    """Metrics with one sample each, column by column."""

    metrics: list[Metric] = field(default_factory=list)
    suffixes: list[str] = field(default_factory=list)
    keys: list[tuple[str, ...]] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def take(self, row: Row) -> None:
        count = len(row.numbers)
        self.metrics += row.metrics
        self.suffixes += [""] * count
        self.keys += [row.labels] * count
        self.values += row.numbers

    def same_series(self, other: "_Lonely") -> bool:
        return (
            self.metrics == other.metrics
            and self.keys == other.keys
            and self.suffixes == other.suffixes
        )


@dataclass(slots=True)
class _Sheet:
    """Those as they were written last, in one text, to be filled with new numbers."""

    lonely: _Lonely
    names: frozenset[str]  # whose series are in the text
    order: list[int]  # places of the numbers: one name's stand together
    template: bytes
    whole: bool  # all are in the text


@dataclass(slots=True)
class Encoder:
    """Keeps the text of earlier scrapes. One per process; not for concurrent use."""

    _pages: dict[Metric, _Page] = field(default_factory=dict)
    _paged: int = 0  # lines of all pages
    # By how many families, so that scrapers of different collectors do not drive out each other.
    _sheets: dict[int, _Sheet] = field(default_factory=dict)

    def encode(self, found: Iterable[Family | Row]) -> Exposition:
        found = list(found)
        # By label names. Metrics of a container share them; who keeps a page needs them no more.
        texts: dict[tuple[str, ...], Texts] = {}
        parts: list[bytes] = []
        dropped = 0
        lonely, others = _parted(found)
        sheet = self._fill_sheet(lonely, others, parts) if lonely.values else None
        samples = len(sheet.order) if sheet else 0
        if sheet is None or not sheet.whole:
            done = sheet.names if sheet else frozenset()
            others = [family for family in families_of(found) if family.metric.name not in done]
        for metric, group in _grouped(others).items():
            body = self._filled(metric, group)
            if body is not None:
                parts.append(body)
                samples += len(self._pages[metric].keys)
                continue
            lines = [_head(metric)]
            seen: set[str] = set()
            for family in group:
                if family.metric.labels != metric.labels or not _valid(family.metric):
                    dropped += len(family.samples)
                    continue
                labels = texts.setdefault(metric.labels, {})
                written = _write(family, labels, seen, lines)
                samples += written
                dropped += len(family.samples) - written
            if not seen:
                continue
            parts.append("".join(lines).encode("utf-8"))
            if len(seen) == sum(len(family.samples) for family in group):
                self._learn(metric, group, texts[metric.labels])
        return Exposition(tuple(parts), samples, dropped)

    def _fill_sheet(
        self, lonely: _Lonely, others: list[Family], parts: list[bytes]
    ) -> _Sheet | None:
        """Write the metrics of one sample; None when that must be done one by one."""
        values = lonely.values
        sheet = self._sheets.get(len(values))
        taken = {family.metric.name for family in others}
        if (
            sheet is None
            or not sheet.lonely.same_series(lonely)
            or not taken.isdisjoint(sheet.names)
        ):
            sheet = _sheet(lonely, taken)
            if len(self._sheets) >= _KEPT_SHEETS:
                self._sheets.clear()
            self._sheets[len(values)] = sheet
        figures = tuple([values[place] for place in sheet.order])
        try:
            parts.append(sheet.template % _figures(figures))
        except (TypeError, ValueError):
            return None  # one of them is no number
        return sheet

    def _filled(self, metric: Metric, group: list[Family]) -> bytes | None:
        """The page with the numbers of now; None when the series are not those of last time."""
        page = self._pages.get(metric)
        if page is None:
            return None
        samples = group[0].samples
        if len(group) == 1 and samples is page.same:
            page.template = b""  # made again should they ever change, which costs less than a copy
            return page.body
        if page.shape != _shape(group):
            return None
        keys, values = _columns(group)
        same = values == page.values
        if keys != page.keys or not (same or page.template):
            return None
        if not same:
            try:
                page.body = page.template % _figures(values)
            except (TypeError, ValueError):
                return None
            page.values = values
        page.same = samples if len(group) == 1 and isinstance(samples, tuple) else None
        return page.body

    def _learn(self, metric: Metric, group: list[Family], texts: Texts) -> None:
        lines = [_head(metric).replace("%", "%%")]
        for family in group:
            for key, _ in family.samples:
                lines.append(f"{metric.name}{family.suffix}{texts[key].replace('%', '%%')} %a\n")
        before = self._pages.pop(metric, None)
        self._paged += len(lines) - (len(before.keys) + 1 if before else 0)
        if self._paged > _KEPT_LINES:
            self._pages.clear()  # rare, so simpler than choosing whom to forget
            self._paged = 0
            return
        template = "".join(lines).encode("utf-8")
        self._pages[metric] = _Page(_shape(group), _columns(group)[0], template)


def _write(family: Family, texts: Texts, seen: set[str], lines: list[str]) -> int:
    name, names = family.metric.name + family.suffix, family.metric.labels
    written = 0
    for values, number in family.samples:
        kind = type(number)
        try:
            if (kind is float or kind is int) and -_LARGEST < number < _LARGEST:
                figure = repr(number)
            else:
                figure = _figure(number)
            text = texts.get(values)
            if text is None:
                text = texts[values] = _label_text(names, values)
        except (TypeError, ValueError):
            continue  # a collector's mistake costs its sample, never the scrape
        series = family.suffix + text
        if series in seen:
            continue
        seen.add(series)
        written += 1
        lines.append(f"{name}{text} {figure}\n")
    return written


def _parted(found: Iterable[Family | Row]) -> tuple[_Lonely, list[Family]]:
    """Metrics with one sample, and families of more; one of none is not written."""
    lonely = _Lonely()
    others: list[Family] = []
    for item in found:
        if isinstance(item, Row):
            lonely.take(item)
            continue
        metric, samples, suffix = item
        if len(samples) == 1:
            ((key, value),) = samples
            lonely.metrics.append(metric)
            lonely.suffixes.append(suffix)
            lonely.keys.append(key)
            lonely.values.append(value)
        elif samples:
            others.append(item)
    return lonely, others


def _sheet(lonely: _Lonely, taken: set[str]) -> _Sheet:
    """taken: names that have larger families as well, and must stand beside those."""
    metrics = lonely.metrics
    by_name: dict[str, dict[str, int]] = {}  # -> line -> its place
    unsound = set(taken)
    series = zip(metrics, lonely.suffixes, lonely.keys, strict=True)
    for place, (metric, suffix, key) in enumerate(series):
        lines = by_name.setdefault(metric.name, {})
        try:
            line = f"{metric.name}{suffix}{_label_text(metric.labels, key)}"
        except (TypeError, ValueError):
            unsound.add(metric.name)
            continue
        first = metrics[next(iter(lines.values()), place)]
        if line in lines or metric != first or not _valid(metric):
            unsound.add(metric.name)
        lines[line] = place
    sound = {name: lines for name, lines in by_name.items() if name not in unsound}
    text = [
        _head(metrics[next(iter(lines.values()))]).replace("%", "%%")
        + "".join(f"{line.replace('%', '%%')} %a\n" for line in lines)
        for lines in sound.values()
    ]
    return _Sheet(
        _Lonely(metrics, lonely.suffixes, lonely.keys),
        frozenset(sound),
        [place for lines in sound.values() for place in lines.values()],
        "".join(text).encode("utf-8"),
        whole=len(sound) == len(by_name),
    )


def _shape(group: list[Family]) -> list[tuple[str, int]]:
    return [(family.suffix, len(family.samples)) for family in group]


def _columns(group: list[Family]) -> tuple[tuple[tuple[str, ...], ...], tuple[float, ...]]:
    samples = group[0].samples if len(group) == 1 else [s for f in group for s in f.samples]
    keys, values = zip(*samples, strict=True) if samples else ((), ())
    return keys, values


def _figures(values: tuple[float, ...]) -> tuple[object, ...]:
    """What %a writes as Prometheus reads it. Errors: TypeError or ValueError for no number."""
    if _everyday(values):
        return values
    return tuple(
        [
            value
            if type(value) in _NUMBERS and -_LARGEST < value < _LARGEST
            else _Written(_figure(value))
            for value in values
        ]
    )


class _Written(str):
    """The text of a number, which %a leaves as it is."""

    __slots__ = ()
    __repr__ = str.__str__


def _everyday(values: tuple[float, ...]) -> bool:
    if not set(map(type, values)) <= _NUMBERS:
        return False
    try:
        total = float(sum(values))
    except OverflowError:
        return False
    # NaN is found by the sum, for it makes min and max say anything.
    return not math.isnan(total) and min(values) > -_LARGEST and max(values) < _LARGEST


def _grouped(families: Iterable[Family]) -> dict[Metric, list[Family]]:
    """Families of one name side by side, as the format demands, under the first declaration."""
    first: dict[str, Metric] = {}
    groups: dict[Metric, list[Family]] = {}
    for family in families:
        metric = first.setdefault(family.metric.name, family.metric)
        groups.setdefault(metric, []).append(family)
    return groups


@lru_cache(maxsize=4096)
def _head(metric: Metric) -> str:
    text = clean(metric.help).replace("\\", "\\\\").replace("\n", "\\n")
    return f"# HELP {metric.name} {text}\n# TYPE {metric.name} {metric.kind}\n"


@lru_cache(maxsize=4096)
def _valid(metric: Metric) -> bool:
    return bool(_METRIC_NAME.fullmatch(metric.name)) and all(
        _LABEL_NAME.fullmatch(label) for label in metric.labels
    )


def _figure(number: float) -> str:
    """Any number, also NaN, infinity, a bool, a Decimal, 2 ** 5000.

    Prometheus refuses the whole scrape for one number that a double cannot hold.
    Errors: TypeError or ValueError when it is no number.
    """
    if type(number) in _NUMBERS and -_LARGEST < number < _LARGEST:
        return repr(number)
    try:
        value = float(number)
    except OverflowError:
        value = math.inf if number > 0 else -math.inf
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else repr(int(value) if value.is_integer() else value)


def _label_text(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    # An empty value is the same as no label to Prometheus, and no label is shorter.
    pairs = [
        f'{name}="{_escape(value)}"' for name, value in zip(names, values, strict=True) if value
    ]
    return "{" + ",".join(pairs) + "}" if pairs else ""


def _escape(value: object) -> str:
    if not isinstance(value, str):
        value = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return (
        clean(value)[:LONGEST_LABEL].replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    )


def clean(text: str) -> str:
    """Text that UTF-8 can hold: what was an undecodable byte becomes U+FFFD."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)

"""The encoder against prometheus_client's parser, and what it does with bad input."""

import math

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from exporter.exposition import LONGEST_LABEL, Encoder
from exporter.families.metric import Family, Kind, Metric, counter, gauge

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)
# Any code point, also the lone surrogates that an undecodable byte becomes.
TEXTS = st.text(st.characters(codec=None, exclude_categories=()), max_size=40)
NUMBERS = st.one_of(st.integers(-(2**53), 2**53), st.floats(allow_nan=True, allow_infinity=True))


@st.composite
def families(draw: st.DrawFn) -> list[Family]:
    found = []
    for name in draw(st.lists(NAMES, unique=True, max_size=4)):
        labels = tuple(draw(st.lists(NAMES, unique=True, max_size=3)))
        values = st.tuples(*[TEXTS for _ in labels])
        samples = draw(st.lists(st.tuples(values, NUMBERS), max_size=5))
        found.append(Family(Metric(name, Kind.GAUGE, draw(TEXTS), labels), samples))
    return found


def cleaned(text: str) -> str:
    return "".join("\ufffd" if 0xD800 <= ord(c) <= 0xDFFF else c for c in text)


def parsed(body: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


@given(families())
def test_the_parser_reads_back_what_was_written(found: list[Family]) -> None:
    expected: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for family in found:
        for values, number in family.samples:
            pairs = zip(family.metric.labels, map(cleaned, values), strict=True)
            key = (family.metric.name, frozenset((k, v) for k, v in pairs if v))
            expected.setdefault(key, number)

    body = Encoder().encode(found).body
    read = parsed(body)

    assert read.keys() == expected.keys()
    for key, number in expected.items():
        assert read[key] == number or (math.isnan(read[key]) and math.isnan(number))


@given(families())
def test_a_second_scrape_is_written_like_the_first(found: list[Family]) -> None:
    encoder = Encoder()

    assert encoder.encode(found) == encoder.encode(found)


@given(families())
def test_what_is_not_written_is_counted(found: list[Family]) -> None:
    done = Encoder().encode(found)

    assert done.samples + done.dropped == sum(len(family.samples) for family in found)
    assert done.samples == len(parsed(done.body))


def test_a_series_is_written_once() -> None:
    metric = gauge("a", "A.", ("x",))

    done = Encoder().encode(
        [metric.family([(("1",), 1), (("1",), 2)]), metric.family([(("1",), 3)])]
    )

    assert done.body == b'# HELP a A.\n# TYPE a gauge\na{x="1"} 1\n'
    assert done.dropped == 2


def test_families_of_one_name_stand_together() -> None:
    a, b = gauge("a", "A.", ("x",)), gauge("b", "B.")

    done = Encoder().encode([a.family([(("1",), 1)]), b.family([((), 2)]), a.family([(("2",), 3)])])

    assert done.body.decode().splitlines() == [
        "# HELP a A.",
        "# TYPE a gauge",
        'a{x="1"} 1',
        'a{x="2"} 3',
        "# HELP b B.",
        "# TYPE b gauge",
        "b 2",
    ]


def test_a_family_that_contradicts_an_earlier_one_is_dropped_and_counted() -> None:
    first, second = gauge("a", "A.", ("x",)), gauge("a", "A.", ("y",))

    done = Encoder().encode([first.family([(("1",), 1)]), second.family([(("1",), 1)])])

    assert done.dropped == 1
    assert b'a{x="1"} 1' in done.body


def test_a_bad_name_is_dropped_and_counted() -> None:
    done = Encoder().encode([gauge("no name", "A.").family([((), 1)])])

    assert (done.body, done.dropped) == (b"", 1)


def test_numbers_are_written_as_prometheus_reads_them() -> None:
    metric = gauge("a", "A.", ("x",))
    samples = [(("n",), math.nan), (("p",), math.inf), (("m",), -math.inf), (("t",), True)]

    lines = Encoder().encode([metric.family(samples)]).body.decode().splitlines()

    assert lines[2:] == ['a{x="n"} NaN', 'a{x="p"} +Inf', 'a{x="m"} -Inf', 'a{x="t"} 1']


def test_counters_keep_their_legacy_name() -> None:
    body = Encoder().encode([counter("pg_stat_database_xact_commit", "C.").family([((), 1)])]).body

    assert b"# TYPE pg_stat_database_xact_commit counter\npg_stat_database_xact_commit 1\n" in body


def test_an_endless_label_is_cut() -> None:
    body = Encoder().encode([gauge("a", "A.", ("x",)).family([(("y" * 5000,), 1)])]).body

    assert len(body) < LONGEST_LABEL + 100

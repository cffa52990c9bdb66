"""The encoder against prometheus_client's parser, and what it does with bad input."""

import math
import subprocess
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any, cast

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from exporter.exposition import LONGEST_LABEL, Encoder
from exporter.families.metric import Family, Kind, Metric, Row, counter, families_of, gauge

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)
# Any code point, also the lone surrogates that an undecodable byte becomes.
TEXTS = st.text(st.characters(codec=None, exclude_categories=()), max_size=40)
# Also what no double holds: Prometheus refuses a whole scrape for one such number.
NUMBERS = st.one_of(
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=True, allow_infinity=True),
    st.integers(-(10**400), 10**400),
    st.booleans(),
    st.decimals(allow_nan=False),
)
# What a collector's mistake could hand over, whatever the types say.
JUNK = st.one_of(st.none(), st.binary(max_size=9), st.lists(st.integers(), max_size=1), TEXTS)


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


def as_double(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


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
        wanted = as_double(number)
        assert float(read[key]) == wanted or (math.isnan(read[key]) and math.isnan(wanted))


@given(families())
def test_a_second_scrape_is_written_like_the_first(found: list[Family]) -> None:
    encoder = Encoder()

    assert encoder.encode(found) == encoder.encode(found)


@given(families())
def test_what_is_not_written_is_counted(found: list[Family]) -> None:
    done = Encoder().encode(found)

    assert done.samples + done.dropped == sum(len(family.samples) for family in found)
    assert done.samples == len(parsed(done.body))


@given(st.lists(families(), max_size=3))
def test_families_that_come_twice_are_written_as_one(rounds: list[list[Family]]) -> None:
    found = [family for each in rounds for family in each]
    done = Encoder().encode(found)
    heads = [line for line in done.body.decode().split("\n") if line.startswith("# TYPE ")]

    assert len(heads) == len(set(heads))
    assert done.samples == len(parsed(done.body))
    assert done.samples + done.dropped == sum(len(family.samples) for family in found)


@given(st.lists(st.tuples(st.lists(JUNK, max_size=3), st.one_of(JUNK, NUMBERS)), max_size=6))
def test_what_is_no_sample_costs_itself_and_nothing_else(junk: list[tuple[Any, Any]]) -> None:
    samples = cast("Any", [(tuple(values), number) for values, number in junk])
    good = gauge("good", "G.").family([((), 1)])

    done = Encoder().encode([gauge("bad", "B.", ("x", "y")).family(samples), good])

    assert parsed(done.body)["good", frozenset()] == 1
    assert done.samples == len(parsed(done.body))
    assert done.samples + done.dropped == len(samples) + 1


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(families())
def test_prometheus_own_parser_reads_it_too(
    tool: Callable[[str], str], found: list[Family]
) -> None:
    done = subprocess.run(
        [tool("promtool"), "check", "metrics"],
        input=Encoder().encode(found).body,
        capture_output=True,
        check=False,
    )

    # 3: read, but a name or a help text is not to its taste.
    assert done.returncode in {0, 3}, done.stderr.decode()


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


def test_numbers_of_other_types_are_written_as_numbers() -> None:
    metric = gauge("a", "A.", ("x",))
    numbers: dict[str, Any] = {
        "huge": 2**5000,
        "low": -(10**400),
        "decimal": Decimal("0.5"),
        "whole": Decimal(3),
        "fraction": Fraction(1, 4),
        "largest": 1.7976931348623157e308,
    }

    done = Encoder().encode([metric.family([((name,), n) for name, n in numbers.items()])])

    read = {dict(labels)["x"]: value for (_, labels), value in parsed(done.body).items()}
    assert read["huge"] == math.inf
    assert read["low"] == -math.inf
    assert (read["decimal"], read["whole"], read["fraction"]) == (0.5, 3, 0.25)
    assert read["largest"] == numbers["largest"]
    assert b'a{x="huge"} +Inf\n' in done.body


def test_bytes_in_a_label_are_read_as_utf8() -> None:
    samples = cast("Any", [((b"caf\xc3\xa9 \xff",), 1)])

    body = Encoder().encode([gauge("a", "A.", ("x",)).family(samples)]).body

    assert 'a{x="caf\u00e9 \ufffd"} 1' in body.decode()


def test_a_sample_with_a_label_too_many_is_dropped_and_counted() -> None:
    metric = gauge("a", "A.", ("x",))

    done = Encoder().encode([metric.family([(("1", "2"), 1), (("1",), 1)])])

    assert (done.samples, done.dropped) == (1, 1)


def test_a_million_label_sets_do_not_stay_in_memory() -> None:
    encoder = Encoder()
    metric = gauge("a", "A.", ("x",))
    for turn in range(3):
        encoder.encode([metric.family([((f"{turn}-{n}",), n) for n in range(60_000)])])

    assert sum(len(page.keys) for page in encoder._pages.values()) <= 100_000


def test_counters_keep_their_legacy_name() -> None:
    body = Encoder().encode([counter("pg_stat_database_xact_commit", "C.").family([((), 1)])]).body

    assert b"# TYPE pg_stat_database_xact_commit counter\npg_stat_database_xact_commit 1\n" in body


def test_an_endless_label_is_cut() -> None:
    body = Encoder().encode([gauge("a", "A.", ("x",)).family([(("y" * 5000,), 1)])]).body

    assert len(body) < LONGEST_LABEL + 100


def test_new_numbers_of_known_series_are_written_like_the_first() -> None:
    encoder = Encoder()
    metric = gauge("a", "100 % of A.", ("x",))
    keys = [("1",), ("50 %s",), ("",)]
    for numbers in ([1, 2.5, 3], [1, 2.5, 3], [7, 8.25, 1e300], [math.nan, -math.inf, 2**5000]):
        families = [metric.family(list(zip(keys, numbers, strict=True)))]

        assert encoder.encode(families) == Encoder().encode(families)


def test_samples_that_stayed_the_same_for_long_change_like_any_other() -> None:
    encoder = Encoder()
    metric = gauge("a", "A.", ("x",))
    still = (metric.family([(("1",), 1), (("2",), 2)]),)
    for families in (still, still, still, [metric.family([(("1",), 1), (("2",), 3)])], still):
        assert encoder.encode(families) == Encoder().encode(families)


def test_series_that_come_and_go_are_written_like_the_first() -> None:
    encoder = Encoder()
    metric = gauge("a", "A.", ("x",))
    for keys in ("ab", "b", "abc", "", "cab", "aab"):
        families = [metric.family([((key,), 1) for key in keys]), metric.family([(("z",), 2)])]

        assert encoder.encode(families) == Encoder().encode(families)


@given(st.lists(families(), max_size=4))
def test_an_encoder_that_remembers_writes_what_a_fresh_one_writes(
    scrapes: list[list[Family]],
) -> None:
    encoder = Encoder()
    for found in scrapes * 2:
        assert parsed_equal(encoder.encode(found).body, Encoder().encode(found).body)


def parsed_equal(one: bytes, other: bytes) -> bool:
    ours, theirs = parsed(one), parsed(other)
    return ours.keys() == theirs.keys() and all(
        ours[key] == theirs[key] or (math.isnan(ours[key]) and math.isnan(theirs[key]))
        for key in ours
    )


@st.composite
def rows(draw: st.DrawFn) -> list[Family | Row]:
    """Rows and families whose names meet, in any order."""
    names = draw(st.lists(NAMES, unique=True, min_size=1, max_size=3))
    metrics = [Metric(name, Kind.GAUGE, "%", ("x",)) for name in names]
    found: list[Family | Row] = []
    for _ in range(draw(st.integers(0, 4))):
        some = tuple(draw(st.lists(st.sampled_from(metrics), max_size=4)))
        numbers = draw(st.lists(NUMBERS, min_size=len(some), max_size=len(some)))
        found.append(Row(some, (draw(TEXTS),), cast("Any", tuple(numbers))))
    samples: Any = st.lists(st.tuples(st.tuples(TEXTS), NUMBERS), max_size=3)
    found.extend(
        metric.family(draw(samples))
        for metric in draw(st.lists(st.sampled_from(metrics), max_size=3))
    )
    return draw(st.permutations(found))


@settings(max_examples=50)
@given(st.lists(rows(), min_size=1, max_size=2))
def test_a_row_is_written_as_its_metrics_one_by_one(scrapes: list[list[Family | Row]]) -> None:
    encoder = Encoder()
    for found in scrapes * 2:
        done, plain = encoder.encode(found), Encoder().encode(families_of(found))
        heads = [line for line in done.body.decode().split("\n") if line.startswith("# TYPE ")]

        assert parsed_equal(done.body, plain.body)
        assert (done.samples, done.dropped) == (plain.samples, plain.dropped)
        assert len(heads) == len(set(heads))


def test_one_of_many_that_is_no_number_costs_itself_only() -> None:
    metrics = tuple(gauge(name, "A.", ("x",)) for name in "abc")
    encoder = Encoder()
    for bad in (1, None, "1e3x", 2):
        done = encoder.encode([Row(metrics, ("1",), cast("Any", (1, bad, 3.5)))])

        assert done.dropped == (0 if isinstance(bad, int) else 1)
        assert parsed(done.body)["c", frozenset({("x", "1")})] == 3.5


def test_scrapers_of_different_collectors_and_many_layouts_stay_right() -> None:
    encoder = Encoder()
    metrics = [gauge(f"m{number}", "A.") for number in range(20)]
    for turn in range(3):
        for count in range(1, 21):
            found = [metric.family([((), turn)]) for metric in metrics[:count]]

            assert encoder.encode(found).samples == count
            assert len(encoder._sheets) <= 8

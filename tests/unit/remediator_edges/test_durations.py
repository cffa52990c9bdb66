import pytest

from remediator.durations import parse_duration_seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0),
        ("500ms", 0.5),
        ("10s", 10),
        ("5m", 300),
        ("1h30m", 5400),
        ("1d2h3m4s5ms", 93784.005),
    ],
)
def test_a_duration_is_read_as_seconds(text: str, seconds: float) -> None:
    assert parse_duration_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "10", "s", "1.5h", "-1s", "5m1h", "10 s", " 1s", "1s\n", "\u0661s"]
)
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write it like 500ms, 10s, 5m or 1h30m"):
        parse_duration_seconds(text)


@pytest.mark.parametrize("value", [10, 1.5, None, True, ["10s"]])
def test_a_bare_number_is_refused_because_it_has_no_unit(value: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration_seconds(value)

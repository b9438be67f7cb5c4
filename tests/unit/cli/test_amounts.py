"""Spans and counts as people write them; what is wrong says so with right ones."""

from __future__ import annotations

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from aiplat.cli import amounts
from aiplat.domain.accounts import MAX_LIMIT

COUNTS = st.integers(1, amounts.MAX_COUNT)


def test_the_bound_is_that_of_the_limits() -> None:
    assert amounts.MAX_COUNT == MAX_LIMIT


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("45s", 45), ("30m", 1800), ("12h", 43_200), ("90d", 7_776_000), ("2w", 1_209_600),
     (" 0s ", 0), ("36500d", amounts.MAX_SPAN)],
)  # fmt: skip
def test_spans(text: str, seconds: int) -> None:
    assert amounts.span(text, "--expires") == seconds


@pytest.mark.parametrize(
    "text",
    ["", "90", "d", "1.5h", "-1h", "1y", "1h30m", "9 d", "1D", "٣d", "1" * 30 + "d", "never",
     "1\n2d"],
)  # fmt: skip
def test_what_is_no_span_is_shown_with_one_that_is(text: str) -> None:
    with pytest.raises(typer.BadParameter) as wrong:
        amounts.span(text, "--expires")
    assert "is no span of time" in wrong.value.message
    assert "24h or 90d" in wrong.value.message
    assert len(wrong.value.message) < 200
    assert wrong.value.param_hint == "--expires"


@pytest.mark.parametrize("text", ["36501d", "999999999w"])
def test_a_span_has_a_bound(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=f"'{text}' is more than 36500d"):
        amounts.span(text, "--overlap")


@given(st.integers(0, 36_500), st.sampled_from("smhd"))
def test_any_number_of_a_unit_is_read(number: int, unit: str) -> None:
    seconds = {"s": 1, "m": 60, "h": 3600, "d": 86_400}[unit]
    assert amounts.span(f"{number}{unit}", "x") == number * seconds


def test_never_and_none_are_no_bound() -> None:
    assert amounts.span_or_never("Never", "--expires") is None
    assert amounts.span_or_never("1h", "--expires") == 3600
    assert amounts.count_or_none(" none ", "--rpm") is None
    assert amounts.count_or_none("7", "--rpm") == 7
    with pytest.raises(typer.BadParameter, match="or none for no limit"):
        amounts.count_or_none("never", "--rpm")
    with pytest.raises(typer.BadParameter, match="or never"):
        amounts.span_or_never("none", "--expires")


@pytest.mark.parametrize(
    ("text", "number"),
    [("20000", 20_000), ("20k", 20_000), ("20K", 20_000), ("5M", 5_000_000), ("5m", 5_000_000),
     ("1.5M", 1_500_000), ("1G", 10**9), ("1000G", 10**12), ("0.001k", 1), ("2.0", 2), (" 3 ", 3)],
)  # fmt: skip
def test_counts(text: str, number: int) -> None:
    assert amounts.count(text, "--tpm") == number


@pytest.mark.parametrize(
    ("text", "why"),
    [("", "is no number"), ("k", "is no number"), ("-1", "is no number"), ("1e3", "is no number"),
     ("20 k", "is no number"), ("٢٠", "is no number"), ("1,000", "is no number"), ("1T", "is no"),
     (".5k", "is no number"), ("1.", "is no number"), ("1.5", "is no whole number"),
     ("1.2345k", "is no whole number"), ("0", "is not from 1 to 1000000000000"),
     ("0k", "is not from 1"), ("1001G", "is not from 1"), ("9" * 13, "is not from 1"),
     ("9" * 14, "is no number"), ("none", "is no number")],
)  # fmt: skip
def test_what_is_no_count_is_shown_with_one_that_is(text: str, why: str) -> None:
    with pytest.raises(typer.BadParameter) as wrong:
        amounts.count(text, "--rpm")
    assert why in wrong.value.message
    assert repr(text) in wrong.value.message
    assert wrong.value.message.endswith("such as 20, 20k or 1.5M")
    assert wrong.value.param_hint == "--rpm"


@given(COUNTS)
def test_a_limit_is_written_as_it_is_read(number: int) -> None:
    assert amounts.count(amounts.exactly(number), "x") == number
    assert amounts.count(str(number), "x") == number


@given(COUNTS.map(lambda n: n // 1000 * 1000 + 1000).filter(lambda n: n <= amounts.MAX_COUNT))
def test_a_round_limit_is_written_short(number: int) -> None:
    assert amounts.exactly(number)[-1] in "kMG"


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused_as_wrong_use(text: str) -> None:
    for read in (amounts.span, amounts.count):
        try:
            assert read(text, "x") >= 0
        except typer.BadParameter as wrong:
            assert wrong.message.isprintable()  # noqa: PT017 - most examples raise it


@given(st.integers(0, 10**13))
def test_what_is_written_about_is_near_and_short(number: int) -> None:
    text = amounts.about(number)
    unit = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}.get(text[-1], 1)
    value = float(text.rstrip("kMGT")) * unit
    assert len(text) <= 5
    assert abs(value - number) <= 0.05 * unit or abs(value - number) <= 0.006 * number


def test_about_in_words() -> None:
    numbers = (0, 7, 999, 1000, 12_345, 999_499, 999_500, 1_500_000, 99_940, 99_950, 10**12)
    assert [amounts.about(n) for n in numbers] == [
        "0", "7", "999", "1k", "12.3k", "999k", "1M", "1.5M", "99.9k", "100k", "1T",
    ]  # fmt: skip

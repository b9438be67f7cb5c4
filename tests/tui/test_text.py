"""Texts of others are made harmless, and numbers short."""

from __future__ import annotations

import pytest

from aiplat.tui.text import amount, clean, cut, flat, size, span


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]52;c;aGk=\x1b\\after", "after"),
        ("\x1bPq#0\x1b\\x", "x"),
        ("a\x9b31mb", "a31mb"),
        ("one\r\ntwo\rthree", "one\ntwo\nthree"),
        ("a\tb", "a   b"),
        ("\u202egnp.exe", "gnp.exe"),
        ("zero\x00width\u2066\u2069", "zerowidth"),
        ("[bold]kept[/bold]", "[bold]kept[/bold]"),
        ("שלום 漢字 é 👩‍👩‍👧", "שלום 漢字 é 👩‍👩‍👧"),
    ],
)
def test_what_controls_a_terminal_is_taken_away(raw: str, said: str) -> None:
    assert clean(raw) == said


def test_flat_is_one_line() -> None:
    assert flat(" a\nb\t c \x1b[2J") == "a b c"


def test_cut_counts_cells() -> None:
    assert cut("漢字漢字", 5) == "漢字…"
    assert cut("short", 5) == "short"
    assert cut("anything", 0) == ""


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0"), (999, "999"), (1000, "1.0k"), (12_345, "12.3k"), (999_949, "1.0M"), (1.5e6, "1.5M")],
)
def test_amounts(number: float, said: str) -> None:
    assert amount(number) == said


@pytest.mark.parametrize(
    ("count", "said"), [(512, "512 B"), (1536, "1.5 KiB"), (3 * 1024**3, "3.0 GiB")]
)
def test_sizes(count: float, said: str) -> None:
    assert size(count) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.85, "850 ms"), (4.24, "4.2 s"), (59.6, "60 s"), (192, "3 m 12 s"), (7500, "2 h 5 m"),
     (3600, "1 h"), (86_400 * 6 + 3 * 3600, "6 d 3 h")],
)  # fmt: skip
def test_spans(seconds: float, said: str) -> None:
    assert span(seconds) == said

"""Amounts without a command line: the same readings, refused as `InvalidRequest` with the field.

`tests/unit/cli/test_amounts.py` goes through every form; here is what differs.
"""

from __future__ import annotations

import pytest

from aiplat.domain import amounts
from aiplat.domain.errors import InvalidRequest


def test_right_amounts_are_read() -> None:
    assert amounts.span("90d") == 7_776_000
    assert amounts.span_or_never(" Never ") is None
    assert amounts.count("1.5M") == 1_500_000
    assert amounts.count_or_none("none") is None
    assert amounts.exactly(20_000) == "20k"


@pytest.mark.parametrize(
    ("read", "text", "said"),
    [
        (amounts.span, "soon", ("'soon' is no span of time: give a number and s, m, h, d or w, "
         "such as 24h or 90d.")),
        (amounts.span_or_never, "none", ("'none' is no span of time: give a number and s, m, h, d "
         "or w, such as 12h or 90d, or never.")),
        (amounts.count, "0", ("'0' is not from 1 to 1000000000000: give one such as 20, 20k or "
         "1.5M.")),
        (amounts.count_or_none, "1.5", ("'1.5' is no whole number: give one such as 20000, 20k or "
         "1.5M, or none for no limit.")),
    ],
)  # fmt: skip
def test_wrong_ones_are_refused_in_a_sentence_with_their_field(
    read: object, text: str, said: str
) -> None:
    with pytest.raises(InvalidRequest) as wrong:
        read(text, param="field")  # type: ignore[operator]  # one of four functions
    assert wrong.value.message == said
    assert wrong.value.param == "field"


def test_a_secret_that_was_pasted_is_not_told_again() -> None:
    with pytest.raises(InvalidRequest) as wrong:
        amounts.count("sk-aip-abcdefghijklabcdefghijkl-ABCDEFGHIJKLMNOPQ")
    assert "ABCDEF" not in wrong.value.message

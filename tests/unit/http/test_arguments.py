"""A call's arguments, as text and as an object."""

from __future__ import annotations

import pytest

from aiplat.domain.errors import InvalidRequest
from aiplat.http.arguments import INVALID, arguments_object, arguments_text


def test_there_and_back() -> None:
    value: dict[str, object] = {"place": "Oslo", "days": [1, 2.5, None]}
    assert arguments_object(arguments_text(value, "input")) == value
    assert arguments_object("") == {}


@pytest.mark.parametrize("text", ["{", "[1]", "null", '"x"', '{"a":1} and', "[" * 5000])
def test_what_is_no_object_is_told_as_text(text: str) -> None:
    assert arguments_object(text) == {INVALID: text}


def test_depth_is_bounded() -> None:
    value: dict[str, object] = {}
    for _ in range(20_000):
        value = {"a": value}
    with pytest.raises(InvalidRequest, match="x is nested too deeply"):
        arguments_text(value, "x")
    while value:  # an object that deep is not freed by recursion
        value = value["a"]  # type: ignore[assignment]  # it is one

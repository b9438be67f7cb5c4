"""How deep a value is: objects and arrays count, what they hold does not."""

from __future__ import annotations

import pytest

from aiplat.domain.nesting import inside, is_deeper


def nested(depth: int) -> object:
    value: object = 1
    for level in range(depth):
        value = ({"a": 1, "b": value}, [value], (value, 2))[level % 3]
    return value


@pytest.mark.parametrize("depth", [0, 1, 2, 3, 64, 5000])
def test_it_is_as_deep_as_its_objects_and_arrays(depth: int) -> None:
    assert not is_deeper(nested(depth), depth)
    assert not is_deeper(nested(depth), depth + 1)
    assert depth == 0 or is_deeper(nested(depth), depth - 1)


def test_empty_ones_count_and_texts_do_not() -> None:
    assert is_deeper([{}], 1)
    assert not is_deeper(["deep"], 1)
    assert not is_deeper("deep", 0)


def test_what_stands_inside() -> None:
    assert inside({"a": 1, "b": [2]}) == [1, [2]]
    assert inside([1, "ab"]) == [1, "ab"]
    assert inside("ab") == []

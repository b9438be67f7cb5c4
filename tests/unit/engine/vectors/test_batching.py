"""Which texts are read by one forward."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aiplat.engine.backends.vectors.batching import alike


@given(st.lists(st.integers(1, 500), max_size=60), st.integers(1, 2000))
def test_each_once_with_those_of_about_its_length(lengths: list[int], most: int) -> None:
    groups = list(alike(lengths, most))
    assert sorted(place for group in groups for place in group) == list(range(len(lengths)))
    for group in groups:
        own = [lengths[place] for place in group]
        assert len(group) == 1 or max(own) * len(own) <= most
        assert max(own) <= max(1.25 * min(own), min(own) + 8)


def test_equal_texts_go_together() -> None:
    assert list(alike([10] * 5, 1000)) == [[0, 1, 2, 3, 4]]
    assert list(alike([10, 200, 11], 1000)) == [[0, 2], [1]]
    assert list(alike([], 10)) == []

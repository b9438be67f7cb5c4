"""Which texts of a step are read by one forward: those of about one length. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

_WASTE = 1.25
"""A text is filled up to at most so many times its length..."""
_FEW = 8
"""...or by so many tokens, where texts are short."""


def alike(lengths: Sequence[int], most: int) -> Iterator[list[int]]:
    """The places of texts that go together, the shortest first.

    Arguments:
        lengths: of the texts, in tokens.
        most: tokens of one forward, with what it is filled up with; one text always goes.
    """
    group: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        shortest = lengths[group[0]] if group else 0
        is_alike = lengths[place] <= max(shortest * _WASTE, shortest + _FEW)
        if group and not (is_alike and lengths[place] * (len(group) + 1) <= most):
            yield group
            group = []
        group.append(place)
    if group:
        yield group

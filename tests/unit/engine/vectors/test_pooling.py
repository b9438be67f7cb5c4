"""A text's vector from the states of its tokens: padding never counts."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from aiplat.engine.backends.vectors.pooling import cut, pooled  # noqa: E402  # needs torch

STATES = torch.tensor([
    [[1.0, -4.0], [3.0, -2.0], [1e9, 1e9]],
    [[2.0, 5.0], [0.0, 1.0], [1.0, 0.0]],
])  # fmt: skip
MASK = torch.tensor([[1, 1, 0], [1, 1, 1]])


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("mean", [[2.0, -3.0], [1.0, 2.0]]),
        ("cls", [[1.0, -4.0], [2.0, 5.0]]),
        ("max", [[3.0, -2.0], [2.0, 5.0]]),
    ],
)
def test_each_way(how: str, expected: list[list[float]]) -> None:
    found = pooled(STATES, MASK, how)  # type: ignore[arg-type]  # one of the three
    assert torch.allclose(found, torch.tensor(expected))


def test_sums_of_half_numbers_are_whole_ones() -> None:
    assert pooled(STATES.bfloat16(), MASK, "mean").dtype == torch.float32


def test_what_is_cut_has_length_1_again() -> None:
    found = cut(torch.tensor([[3.0, 4.0, 100.0]]), 2)
    assert torch.allclose(found, torch.tensor([[0.6, 0.8]]))

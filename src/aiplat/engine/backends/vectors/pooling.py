"""From the states of a text's tokens to its vector."""

from __future__ import annotations

from collections.abc import Callable

import torch

from aiplat.engine.vector_folder import Pooling


def pooled(states: torch.Tensor, mask: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """One vector of each text, in float32.

    Arguments:
        states: of tokens, (texts, tokens, numbers).
        mask: 1 where there is a token and 0 where there is padding, (texts, tokens).
        pooling: what is taken.

    Returns:
        (texts, numbers), of length as it comes.
    """
    return _WAYS[pooling](states.float(), mask)


def _mean(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    weights = mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1).clamp(min=1.0)


def _cls(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return states[:, 0]  # padding is on the right


def _max(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return states.masked_fill(mask.unsqueeze(-1) == 0, float("-inf")).amax(1)


_WAYS: dict[Pooling, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "mean": _mean, "cls": _cls, "max": _max,
}  # fmt: skip


def cut(vectors: torch.Tensor, size: int) -> torch.Tensor:
    """The first `size` numbers of each, made one of length 1."""
    return torch.nn.functional.normalize(vectors[:, :size], dim=1)

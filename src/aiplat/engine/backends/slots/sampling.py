"""Chooses tokens from logits, each request its own way."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from aiplat.engine.draws import uniform
from aiplat.engine.rows import Draw, Drawn, Fault, Row

_FIRST_LOOK = 64


def choose(logits: Tensor, rows: Sequence[Row]) -> list[Drawn | Fault]:
    """One token for each row of `logits`.

    Arguments:
        logits: ``[rows, vocabulary]``.
        rows: the requests, in that order.
    """
    logits = logits.float()
    most, best = logits.max(-1)
    good = most.isfinite().tolist()  # a NaN anywhere in a row is its maximum
    likeliest: list[int] = best.tolist()
    chosen: list[Drawn | Fault] = []
    for at, row in enumerate(rows):
        if not good[at]:
            chosen.append(Fault("The model computed no probabilities for the next token (NaN)."))
        elif row.draw.greedy:
            chosen.append(Drawn(likeliest[at]))
        else:
            chosen.append(_draw(logits[at] - most[at], row.draw, row.said))
    return chosen


def _draw(logits: Tensor, draw: Draw, position: int) -> Drawn | Fault:
    """One row's token; what goes wrong in it is that row's alone."""
    try:
        return Drawn(_sample(logits, draw, uniform(draw.seed, position)))
    except Exception as error:  # noqa: BLE001  # whatever it is, the other rows go on
        return Fault(f"The next token could not be drawn ({type(error).__name__}).")


def _sample(logits: Tensor, draw: Draw, at: float) -> int:
    """The token at `at` (0 to 1) of the distribution; `logits` are at most 0."""
    odds = torch.softmax(logits.double() / draw.temperature, -1)
    if draw.top_p >= 1.0:
        return _pick(odds, at)
    kept, ids = _nucleus(odds, draw.top_p)
    return int(ids[_pick(kept, at)])


def _nucleus(odds: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """The fewest tokens, likeliest first, that together have `top_p` (Holtzman et al., 2019)."""
    count = min(_FIRST_LOOK, odds.numel())
    while True:
        kept, ids = odds.topk(count)
        sums = kept.cumsum(0)
        if float(sums[-1]) >= top_p or count == odds.numel():
            last = min(int(torch.searchsorted(sums, top_p)), count - 1)
            return kept[: last + 1], ids[: last + 1]
        count = min(count * 16, odds.numel())


def _pick(odds: Tensor, at: float) -> int:
    sums = odds.cumsum(0)
    found = int(torch.searchsorted(sums, at * float(sums[-1]), right=True))
    return min(found, odds.numel() - 1)

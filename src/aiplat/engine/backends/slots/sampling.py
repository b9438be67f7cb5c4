"""Chooses tokens from logits, each request its own way and whatever its company.

The order of what is done to a row of logits is vLLM's (``vllm/v1/sample/sampler.py``): logprobs
are taken of the raw logits; then the bias is added, then the penalties count (repetition first,
then frequency and presence); then what a grammar does not allow is left out; then the likeliest is
taken, or the logits are divided by the temperature, and min_p, top_k and top_p leave out what shall
not be drawn, in that order.

Every number of a row comes from that row alone, one row after another, so that the same logits
give the same token bit for bit, alone or among others. All but the likeliest is
found on the CPU, where that holds. The vocabulary is never sorted: only those of its tokens are
that can be drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aiplat.engine.backends.slots.shaping import shape
from aiplat.engine.draws import uniform
from aiplat.engine.rows import Draw, Drawn, Fault, Row

_Floats = NDArray[np.float32]
_BLOCK = 256
_NAN = Fault("The model computed no probabilities for the next token (NaN).")


def choose(logits: Tensor, rows: Sequence[Row]) -> list[Drawn | Fault]:
    """One token for each row of `logits`.

    Arguments:
        logits: ``[rows, vocabulary]``, on any device.
        rows: the requests, in that order.
    """
    if not rows:
        return []  # a step that only reads prompts
    logits = logits.float()
    best, most = _likeliest(logits)
    good = np.isfinite(most)  # a NaN anywhere in a row is its maximum
    chosen: list[Drawn | Fault] = [Drawn(int(token)) for token in best]
    wanting = []
    for at, row in enumerate(rows):
        if not good[at]:
            chosen[at] = _NAN
        elif not _is_likeliest(row):
            wanting.append(at)
    if wanting:
        own = (logits if len(wanting) == len(rows) else logits[wanting]).cpu()
        for place, at in enumerate(wanting):
            chosen[at] = _own(own[place], rows[at], best[at])
    return chosen


def _is_likeliest(row: Row) -> bool:
    """Whether a row takes the likeliest token and tells nothing of it."""
    draw = row.draw
    return draw.greedy and draw.plain and draw.logprobs is None and row.matcher is None


def _likeliest(logits: Tensor) -> tuple[list[int], list[float]]:
    """Of each row the first of its largest values: where it stands, and what it is.

    By blocks: ten times as fast as `argmax`, which looks at one number after another.
    """
    rows, width = logits.shape
    if logits.device.type != "cpu" or width % _BLOCK:
        values, places = logits.max(-1)
        return places.tolist(), values.tolist()
    blocks = logits.view(rows, -1, _BLOCK)
    most, block = blocks.amax(-1).max(-1)
    place = blocks[torch.arange(rows), block].argmax(-1)
    return (block * _BLOCK + place).tolist(), most.tolist()


def _own(logits: Tensor, row: Row, best: int) -> Drawn | Fault:
    """The token of a row that wants more than the likeliest; its faults are its own."""
    draw, shaped = row.draw, logits
    try:
        if not draw.plain:
            shaped = logits.clone()
            shape(shaped.numpy(), row)
        if row.matcher is not None:
            token = _within(shaped, row, row.matcher.allowed(len(logits)))
        elif not draw.greedy:
            odds = torch.softmax(shaped / draw.temperature, -1).numpy()
            token = _pick(odds, draw, uniform(draw.seed, row.said))
        else:
            token = best if draw.plain else int(shaped.numpy().argmax())
        return _told(logits, token, draw.logprobs)
    except Exception as error:  # noqa: BLE001  # whatever it is, the other rows go on
        return Fault(f"The next token could not be drawn ({type(error).__name__}).")


def _within(shaped: Tensor, row: Row, allowed: NDArray[np.intp]) -> int:
    """The token of a row that keeps to a grammar, as if there were no others than those allowed.

    What is not allowed is left out rather than given no odds: nothing can round to it.
    """
    draw, left = row.draw, shaped[torch.from_numpy(allowed)]
    if draw.greedy:
        return int(allowed[int(left.numpy().argmax())])
    odds = torch.softmax(left / draw.temperature, -1).numpy()
    return int(allowed[_pick(odds, draw, uniform(draw.seed, row.said))])


def _pick(odds: _Floats, draw: Draw, at: float) -> int:
    """The token at `at` (0 to 1) of what may be drawn."""
    if draw.top_p >= 1.0 and not draw.top_k and not draw.min_p:
        return _pick_any(odds, at)
    ids, kept = _kept(odds, draw)
    sums = kept.cumsum(dtype=np.float64)
    return int(ids[_place(sums, at * float(sums[-1]))])


def _pick_any(odds: _Floats, at: float) -> int:
    """Of all tokens: first the block, then the place in it."""
    starts = np.arange(0, len(odds), _BLOCK)
    sums = np.add.reduceat(odds, starts).cumsum(dtype=np.float64)
    block = _place(sums, at * float(sums[-1]))
    before = float(sums[block - 1]) if block else 0.0
    inside = odds[starts[block] : starts[block] + _BLOCK].cumsum(dtype=np.float64)
    return int(starts[block]) + _place(inside, at * float(sums[-1]) - before)


def _kept(odds: _Floats, draw: Draw) -> tuple[NDArray[np.intp], _Floats]:
    """What may be drawn: token ids, in their order, and their probabilities."""
    width = len(odds)
    top_k = draw.top_k if 0 < draw.top_k < width else 0
    # All together that are less likely than this have less than 1 - top_p: none is of the nucleus.
    least = (1.0 - draw.top_p) / width
    if top_k or draw.min_p:
        least = max(draw.min_p * float(odds.max()), _floor(odds, top_k) if top_k else 0.0)
    ids = np.flatnonzero(odds >= np.float32(least))
    kept = odds[ids]
    if not top_k and draw.top_p >= 1.0:
        return ids, kept
    values = np.sort(kept)[::-1]
    if top_k:
        values = values[:top_k]
    if draw.top_p < 1.0:  # the fewest that together have top_p (Holtzman et al., 2019)
        sums = values.cumsum(dtype=np.float64)
        whole = float(sums[-1]) if top_k or draw.min_p else 1.0
        values = values[: int(np.searchsorted(sums, draw.top_p * whole)) + 1]
    first = _largest(kept, values)
    return ids[first], kept[first]


def _largest(kept: _Floats, values: _Floats) -> NDArray[np.intp]:
    """Where the largest stand, as many as `values`, whose last is the least of them.

    Of those that are alike the first are taken.
    """
    last = values[-1]
    found = np.flatnonzero(kept >= last)
    if len(found) > len(values):
        alike = found[kept[found] == last]
        found = np.setdiff1d(found, alike[len(values) - len(found) :], assume_unique=True)
    return found


def _floor(odds: _Floats, top_k: int) -> float:
    """A value that at least `top_k` tokens reach, and few more."""
    blocks = np.maximum.reduceat(odds, np.arange(0, len(odds), _BLOCK))
    of = blocks if top_k <= len(blocks) else odds
    return float(np.partition(of, len(of) - top_k)[len(of) - top_k])


def _place(sums: NDArray[np.float64], at: float) -> int:
    """Where `at` falls between the sums."""
    return min(int(np.searchsorted(sums, at, side="right")), len(sums) - 1)


def _told(logits: Tensor, token: int, count: int | None) -> Drawn:
    """The token with its logprob, and those of the `count` likeliest, if they are asked for."""
    if count is None:
        return Drawn(token)
    logprobs: _Floats = torch.log_softmax(logits, -1).numpy()
    if not count:
        return Drawn(token, float(logprobs[token]))
    ids = np.flatnonzero(logprobs >= np.float32(_floor(logprobs, min(count, len(logprobs)))))
    first = ids[np.argsort(-logprobs[ids], kind="stable")[:count]]
    top = tuple((int(one), float(logprobs[one])) for one in first)
    return Drawn(token, float(logprobs[token]), top)

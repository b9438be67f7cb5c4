"""Compares what a forward of ours says with what the model says by itself, when it is loaded."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from aiplat.engine.backends.slots.loading import first_line
from aiplat.engine.backends.slots.runners import Slots
from aiplat.engine.backends.slots.shapes import vocabulary_of
from aiplat.engine.rows import Opening, Piece, Row

_TOKENS = 12
_TOLERANCE = {"float32": 1e-3, "float16": 1e-2, "bfloat16": 0.1, "4bit": 0.1}
"""Of the largest logit."""
_COMPANY = (1, 2, 5)


def own_logits(model: Any) -> Tensor:
    """What the model says by itself to a few tokens, ``[tokens, vocabulary]``."""
    ids = torch.tensor([_ids(vocabulary_of(model), _TOKENS)])
    with torch.inference_mode():
        got = model(input_ids=ids.to(model.device), use_cache=False)
    return cast(Tensor, got.logits[0].float().cpu())


def differs(runner: Slots, expected: Tensor, way: str) -> str:
    """Compare what the runner says of the same tokens, in pieces; why not, or nothing.

    Arguments:
        expected: of `own_logits`.
        way: what the weights are kept in.
    """
    ids = _ids(expected.shape[1], _TOKENS)
    ends = (_TOKENS // 2, _TOKENS - 1, _TOKENS)
    try:
        said = _read(runner, ids, ends)
    except (NotImplementedError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        return first_line(error)
    wanted = torch.stack([expected[end - 1] for end in ends])
    off = float((said - wanted).abs().max() / wanted.abs().max().clamp(min=1.0))
    if off < _TOLERANCE[way]:
        return ""
    return f"its numbers differ from its own forward's by {off:.2g} of the largest logit"


def is_steady(runner: Slots, vocabulary: int, places: int) -> bool:
    """Whether the runner says the same, bit for bit, however it is cut and in any company.

    Arguments:
        places: how many it has.
    """
    ids = _ids(vocabulary, 40)
    whole = _read(runner, ids, (40,))
    cuts = ((39, 40), (7, 23, 40), (16, 32, 38, 39, 40))
    alone = all(torch.equal(_read(runner, ids, cut)[-1:], whole) for cut in cuts)
    return alone and all(
        torch.equal(_read(runner, ids, (39, 40), company=count)[-1:], whole)
        for count in sorted({min(count, places - 1) for count in _COMPANY})
    )


def _ids(vocabulary: int, count: int) -> list[int]:
    return [7 * n % vocabulary for n in range(count)]


def _read(runner: Slots, ids: list[int], ends: tuple[int, ...], *, company: int = 0) -> Tensor:
    """Logits at each end of a piece, ``[pieces, vocabulary]``, beside others that answer too."""
    said, begin = [], 0
    places = range(company + 1)
    for place in places:
        runner.open(Opening(place, len(ids) + 1, 0, place))
    with torch.inference_mode():
        for end in ends:
            pieces = [
                Piece(
                    _row(ids), place, begin if not place else 0, _part(ids, begin, end, place), True
                )
                for place in places
            ]
            drawn, logits = runner.read(pieces)
            at = next(n for n, piece in enumerate(drawn) if not piece.place)
            said.append(logits[at].float().cpu())
            begin = end
    for place in places:
        runner.close(place)
    return torch.stack(said)


def _part(ids: list[int], begin: int, end: int, place: int) -> list[int]:
    return ids[begin:end] if not place else ids[:1]


def _row(ids: list[int]) -> Row:
    """A row of which only the tokens are there."""
    row = object.__new__(Row)
    row.ids = ids
    return row

"""Reads pieces of rows that are nothing but tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from aiplat.engine.backends.slots.runners import Runner
from aiplat.engine.outbox import Outbox
from aiplat.engine.rows import Draw, Opening, Piece, Row

GREEDY = Draw(0.0, 1.0, 0)


def row_of(ids: Sequence[int], number: int = 1) -> Row:
    """A row that holds `ids`."""
    return Row(
        number=number, ids=list(ids), prompt_tokens=len(ids), limit=8, draw=GREEDY, voice=None,  # type: ignore[arg-type]  # nobody speaks
        outbox=Outbox(1024), arrived=0.0, deadline=1e9,
    )  # fmt: skip


def piece_of(place: int, ids: Sequence[int], begin: int, end: int) -> Piece:
    """The piece of `ids` from `begin` to `end`, which draws."""
    return Piece(row_of(ids, place + 1), place, begin, list(ids[begin:end]), True)


def open_place(runner: Runner, place: int, length: int = 128) -> None:
    """Make a place ready that keeps nothing."""
    runner.open(Opening(place, length, 0, place))


def read(runner: Runner, *pieces: Piece) -> dict[int, Tensor]:
    """The logits of each place's piece."""
    with torch.inference_mode():
        drawn, logits = runner.read(pieces)
    return {piece.place: logits[n] for n, piece in enumerate(drawn)}


def own(model: Any, ids: Sequence[int]) -> Tensor:
    """What a model of transformers says by itself after each of `ids`."""
    with torch.inference_mode():
        logits: Tensor = model(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0]
    return logits

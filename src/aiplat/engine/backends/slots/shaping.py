"""What a request changes of its logits before anything is drawn: bias and penalties."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aiplat.engine.rows import Row
from aiplat.engine.tally import Tally


def shape(logits: NDArray[np.float32], row: Row) -> None:
    """Change the logits of one row in place, as vLLM does it and in its order.

    The repetition penalty is CTRL's (Keskar et al., 2019), over prompt and answer as in
    transformers; presence and frequency are OpenAI's, over the answer, of which the tokens that
    were said elsewhere are a part.
    """
    draw = row.draw
    if draw.bias:
        biased = np.array([token for token, _ in draw.bias], np.intp)
        logits[biased] += np.array([bias for _, bias in draw.bias], np.float32)
    if draw.repetition == 1.0 and not draw.presence and not draw.frequency:
        return
    if row.tally is None:
        row.tally = Tally()
    row.tally.follow(row.ids, row.prompt_tokens)
    said = row.tally.answer
    if draw.repetition != 1.0:
        seen = np.fromiter(row.tally.prompt.union(said), np.intp)
        old = logits[seen]
        penalty = np.float32(draw.repetition)
        logits[seen] = np.where(old > 0, old / penalty, old * penalty)
    if said and (draw.presence or draw.frequency):
        ids = np.fromiter(said, np.intp, len(said))
        counts = np.fromiter(said.values(), np.float32, len(said))
        logits[ids] -= np.float32(draw.frequency) * counts
        logits[ids] -= np.float32(draw.presence)

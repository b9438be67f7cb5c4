"""The forward of the Llama family, written for few rows on a CPU.

What transformers computes in some thirty calls a layer is done here in about twenty: q, k and v are
one product, gate and up another, and a rotation is one product of complex numbers. (q and k have
their rows in another order for that: the halves that are turned together lie side by side, as in
the paper, Su et al. 2021, and in GGUF. Their scalar products are the same.) Everything between the
products is in float32.

Which models it fits is not believed but tried: `loading` compares it with the model's own forward.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding, silu

from aiplat.engine.backends.slots.attention import Attention
from aiplat.engine.backends.slots.batch import Batch
from aiplat.engine.backends.slots.kernels import Product


class Norm(NamedTuple):
    """A norm, in the form that takes the fewest calls: x · √n · w / √(|x|² + n · epsilon).

    Arguments:
        weights: √n · w, ``[n]``.
        least: √(n · epsilon), ``[1]``.
    """

    weights: Tensor
    least: Tensor

    @classmethod
    def of(cls, weights: Tensor, epsilon: float) -> Norm:
        """From the weights w that a model has."""
        size = len(weights)
        return cls(weights.float() * size**0.5, torch.tensor([(size * epsilon) ** 0.5]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One block.

    Arguments:
        before, between: the norms before attention and before the rest.
        qkv, out, gate_up, down: the products; q and k with the rows of each head interleaved.
        qkv_bias, out_bias: added after them, where the model has such.
        query_norm, key_norm: the norms of each head, interleaved alike.
    """

    before: Norm
    between: Norm
    qkv: Product
    out: Product
    gate_up: Product
    down: Product
    qkv_bias: Tensor | None = None
    out_bias: Tensor | None = None
    query_norm: Norm | None = None
    key_norm: Norm | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Llama:
    """A whole model.

    Arguments:
        heads, key_heads: how many.
        size: of a head, in numbers.
        words: the embedding, ``[vocabulary, hidden]``.
        layers: in order.
        norm: the last one.
        head: from hidden to vocabulary.
        turns: of each position, ``[positions, 1, head size / 2]``, complex: cosine and sine of its
            angles, times the model's own scale of attention.
    """

    heads: int
    key_heads: int
    size: int
    words: Tensor
    layers: tuple[Layer, ...]
    norm: Norm
    head: Product
    turns: Tensor

    def __call__(self, batch: Batch, attend: Attention) -> Tensor:
        """Logits of the tokens of the batch that are answered, ``[drawn, vocabulary]``."""
        hidden = embedding(batch.ids, self.words).float()
        turns = self.turns[batch.positions]
        for number, layer in enumerate(self.layers):
            self._attention(batch, attend, number, layer, hidden, turns)
            inner = layer.gate_up(_normed(hidden, layer.between))
            gate, up = inner.chunk(2, -1)
            hidden.add_(layer.down(silu(gate).mul_(up)))
        if not len(batch.last):
            return hidden.new_empty(0, len(self.words))
        return self.head(_normed(hidden[batch.last], self.norm))

    def _attention(
        self,
        batch: Batch,
        attend: Attention,
        number: int,
        layer: Layer,
        hidden: Tensor,
        turns: Tensor,
    ) -> None:
        got = layer.qkv(_normed(hidden, layer.before))
        if layer.qkv_bias is not None:
            got = got.add_(layer.qkv_bias)
        heads = got.view(len(hidden), -1, self.size)
        keys_end = self.heads + self.key_heads
        if layer.query_norm is not None and layer.key_norm is not None:
            query, key = heads[:, : self.heads], heads[:, self.heads : keys_end]
            query.copy_(_normed(query, layer.query_norm))
            key.copy_(_normed(key, layer.key_norm))
        turned = heads[:, :keys_end].view(len(heads), keys_end, self.size // 2, 2)
        torch.view_as_complex(turned).mul_(turns)
        attended = attend(
            batch, number, heads[:, : self.heads], heads[:, self.heads :], self.size**-0.5
        )
        got = layer.out(attended)
        if layer.out_bias is not None:
            got = got.add_(layer.out_bias)
        hidden.add_(got)


def _normed(rows: Tensor, norm: Norm) -> Tensor:
    """Each row over its root mean square (Zhang and Sennrich, 2019), times the weights."""
    length: Tensor = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    return rows.div(torch.hypot(length, norm.least)).mul_(norm.weights)

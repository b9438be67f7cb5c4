"""Makes the fused forward of a model that transformers loaded, in a way that its weights allow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from aiplat.engine.backends.slots.kernels import (
    ByRows,
    Four,
    Full,
    Groups,
    Half,
    Product,
    most_rows,
)
from aiplat.engine.backends.slots.llama import Layer, Llama, Norm
from aiplat.engine.ways import FAMILY

_ROPES = ("default", "linear", "llama3", "yarn")  # those whose angles do not depend on the length


class Weights:
    """How matrices become products.

    Arguments:
        way: ``float32``, ``float16`` or ``4bit``.
        groups: of matrices by their names, for ``4bit``.
        fixed: one way only, the same whatever the number of rows.
    """

    def __init__(self, way: str, groups: Mapping[str, Groups], *, fixed: bool) -> None:
        self._way, self._groups, self._fixed = way, groups, fixed
        self._pairs: dict[tuple[int, int], list[ByRows]] = {}
        self.most_four = 0
        """Rows up to which some product takes the 4-bit kernel."""

    @property
    def words(self) -> torch.dtype:
        """What the embedding is kept in."""
        return torch.float32 if self._way == "float32" else torch.float16

    def fine(self, weights: Tensor) -> Product:
        """The product of a matrix that is not cut to 4 bits: the head, and what feeds outliers."""
        if self._way == "float32":
            return Full(weights.float())
        return Half(weights, fixed=self._fixed)

    def joined(
        self,
        names: Sequence[str],
        matrices: Sequence[Tensor],
        arrange: Sequence[Callable[[Tensor], Tensor]] | None = None,
    ) -> Product:
        """The product of several matrices with the same inputs, their rows rearranged."""
        arrange = arrange or [lambda rows: rows] * len(matrices)
        found = [self._groups.get(name) for name in names]
        if self._way != "4bit" or any(one is None for one in found):
            return self.fine(torch.cat([f(m) for f, m in zip(arrange, matrices, strict=True)]))
        groups = Groups.joined(
            [Groups(*map(f, one)) for f, one in zip(arrange, found, strict=True) if one is not None]
        ).rounded()
        many = Half(groups.weights(), fixed=self._fixed)
        if self._fixed:
            return many
        pair = ByRows(Four(groups), many)
        outputs, inputs = groups.codes.shape
        self._pairs.setdefault((outputs, inputs), []).append(pair)
        return pair

    def measure(self) -> None:
        """Choose by measuring, for each shape of matrix, how many rows the 4-bit kernel takes."""
        for (_, inputs), pairs in self._pairs.items():
            few, many = [pair.few for pair in pairs], [pair.many for pair in pairs]
            most = most_rows(few, many, inputs)
            for pair in pairs:
                pair.most = most
            self.most_four = max(self.most_four, most)


def why_not_fused(model: Any) -> str:
    """Why a model is not of the shape that the fused forward has; empty if it is."""
    config = model.config
    inner = getattr(model, "model", None)
    if config.model_type not in FAMILY or inner is None:
        return f"it is a {config.model_type}"
    if getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True):
        return "it has a sliding window"
    if config.hidden_act != "silu":
        return f"its activation is {config.hidden_act}"
    kind = getattr(inner.rotary_emb, "rope_type", "default")
    if kind not in _ROPES:
        return f"its rotary embedding is {kind}"
    if 2 * len(inner.rotary_emb.inv_freq) != _head_size(config):
        return "only a part of each head is turned"
    if getattr(config, "mlp_bias", False):
        return "its feed-forward layers have biases"
    return ""


def _head_size(config: Any) -> int:
    own = getattr(config, "head_dim", None)
    return int(own or config.hidden_size // config.num_attention_heads)


def fuse(model: Any, weights: Weights, positions: int) -> Llama:
    """Make the fused forward; the model's own matrices are let go one after the other.

    Arguments:
        model: a causal language model of transformers.
        positions: most tokens of a request.
    """
    config, inner = model.config, model.model
    size = _head_size(config)
    words = inner.embed_tokens.weight.data
    head = weights.fine(model.lm_head.weight.data)
    made = Llama(
        heads=config.num_attention_heads,
        key_heads=config.num_key_value_heads,
        size=size,
        words=words.to(weights.words),
        layers=tuple(
            _layer(layer, f"model.layers.{n}.", weights, config, size)
            for n, layer in enumerate(inner.layers)
        ),
        norm=Norm.of(inner.norm.weight.data, config.rms_norm_eps),
        head=head,
        turns=_turns(inner.rotary_emb, positions),
    )
    weights.measure()
    return made


def _layer(layer: Any, name: str, weights: Weights, config: Any, size: int) -> Layer:
    attention, rest = layer.self_attn, layer.mlp
    heads, key_heads = config.num_attention_heads, config.num_key_value_heads
    epsilon = config.rms_norm_eps

    def interleaved(count: int) -> Callable[[Tensor], Tensor]:
        return lambda rows: _interleaved(rows, count)

    arrange: list[Callable[[Tensor], Tensor]] = [
        interleaved(heads), interleaved(key_heads), lambda rows: rows,
    ]  # fmt: skip
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    names = [f"{name}self_attn.{which}_proj.weight" for which in "qkv"]
    biases = [projection.bias for projection in projections]
    bias = None
    if biases[0] is not None:
        bias = torch.cat([f(b.data.float()) for f, b in zip(arrange, biases, strict=True)])
    own_norms = [getattr(attention, which, None) for which in ("q_norm", "k_norm")]
    query_norm, key_norm = (
        None if norm is None else Norm.of(_interleaved(norm.weight.data, 1), epsilon)
        for norm in own_norms
    )
    out_bias = attention.o_proj.bias
    made = Layer(
        before=Norm.of(layer.input_layernorm.weight.data, epsilon),
        between=Norm.of(layer.post_attention_layernorm.weight.data, epsilon),
        qkv=weights.joined(names, [p.weight.data for p in projections], arrange),
        out=weights.joined([f"{name}self_attn.o_proj.weight"], [attention.o_proj.weight.data]),
        gate_up=weights.joined(
            [f"{name}mlp.gate_proj.weight", f"{name}mlp.up_proj.weight"],
            [rest.gate_proj.weight.data, rest.up_proj.weight.data],
        ),
        down=weights.fine(rest.down_proj.weight.data),
        qkv_bias=bias,
        out_bias=None if out_bias is None else _own(out_bias.data),
        query_norm=query_norm,
        key_norm=key_norm,
    )
    for module in (*projections, attention.o_proj, rest.gate_proj, rest.up_proj, rest.down_proj):
        module.weight = None
    return made


def _own(weights: Tensor) -> Tensor:
    """A copy in float32: a view would keep the whole file of weights in memory."""
    return weights.to(torch.float32, copy=True)


def _interleaved(rows: Tensor, heads: int) -> Tensor:
    """Bring the rows (or numbers) that are turned together side by side, in each head."""
    half = rows.shape[0] // heads // 2
    return rows.view(heads, 2, half, *rows.shape[1:]).transpose(1, 2).reshape(rows.shape)


def _turns(rotary: Any, positions: int) -> Tensor:
    steps = rotary.inv_freq.float()
    angles = torch.arange(positions).float()[:, None] * steps
    scale = float(getattr(rotary, "attention_scaling", 1.0))
    return torch.polar(torch.full_like(angles, scale), angles)[:, None]

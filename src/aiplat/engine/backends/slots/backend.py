"""A transformers model that serves many requests at once (`Backend`)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from jinja2 import TemplateError
from torch import Tensor

from aiplat.domain.chat import Generate, Sampling
from aiplat.domain.errors import ConfigError, InvalidRequest, clip
from aiplat.domain.models import Manifest
from aiplat.engine import store
from aiplat.engine.backend import LoadError, Plan
from aiplat.engine.backends.slots.attention import Batch, Segment
from aiplat.engine.backends.slots.loading import (
    choose_dtype,
    key_value_shape,
    load_model,
    load_tokenizer,
    use_threads,
)
from aiplat.engine.backends.slots.sampling import choose
from aiplat.engine.backends.slots.spelling import Spellings
from aiplat.engine.rows import Drawn, Fault, Opening, Piece
from aiplat.engine.speech import Speech

_MIB = 1024 * 1024


def load(plan: Plan) -> SlotsBackend:
    """Load what `plan` names.

    Raises:
        LoadError: it cannot be loaded, and why.
    """
    warnings.filterwarnings("ignore")  # of torch and transformers: nobody reads them here
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    use_threads(plan.threads)
    try:
        stored = store.describe(plan.name, Path(plan.folder), Path(plan.cache))
    except ConfigError as error:
        raise LoadError(str(error)) from error
    return SlotsBackend(plan, stored, choose_dtype(plan.dtype, Path(plan.folder)))


class SlotsBackend:
    """The model in memory.

    Arguments:
        plan: what to load, and its bounds.
        stored: what is known of it.
        dtype: what it computes in.
    """

    def __init__(self, plan: Plan, stored: store.Stored, dtype: torch.dtype) -> None:
        self._model = load_model(Path(plan.folder), dtype)
        self._tokenizer = load_tokenizer(Path(plan.folder))
        self._shape = key_value_shape(self._model)
        layers, heads, size = self._shape
        self._token_bytes = 2 * layers * heads * size * dtype.itemsize
        self._stores: dict[int, Tensor] = {}
        self._spellings: Spellings | None = None
        self._ends = _end_tokens(self._model, self._tokenizer)
        self.capacity = plan.cache_mib * _MIB // self._token_bytes
        self.defaults = _defaults(self._model, stored)
        self.manifest = Manifest(
            name=stored.name,
            weights=stored.weights,
            tokenizer=stored.tokenizer,
            template=stored.template,
            recipe=stored.recipe,
            dtype=str(dtype).removeprefix("torch."),
            quantisation=stored.quantisation,
            context=min(stored.context, self.capacity),
            vocabulary=stored.vocabulary,
            backend=f"transformers-{transformers.__version__}-slots-1",
            kernels=f"torch-{torch.__version__}-{torch.backends.cpu.get_cpu_capability()}",
        )

    def encode(self, work: Generate) -> list[int]:
        """The prompt's tokens (`Backend`)."""
        messages = [{"role": m.role, "content": m.content} for m in work.messages]
        try:
            ids: Any = self._tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=True, return_dict=False
            )
        except (TemplateError, TypeError, ValueError, KeyError) as error:
            raise InvalidRequest(
                f"The model's chat template does not take these messages: {clip(str(error), 200)}",
                param="messages",
            ) from None
        return list(ids)

    def voice(self, stops: tuple[str, ...]) -> Speech:
        """What makes text of tokens (`Backend`)."""
        return Speech(self._decode, self._ends, stops)

    def spell(self, token: int) -> bytes:
        """The token's bytes (`Backend`)."""
        if self._spellings is None:
            self._spellings = Spellings(self._tokenizer)
        return self._spellings.of(token)

    def open(self, opening: Opening) -> None:
        """Make the place's memory; the system gives it page by page as it fills (`Backend`)."""
        layers, heads, size = self._shape
        store = torch.empty(layers, 2, heads, opening.length, size, dtype=self._model.dtype)
        if opening.kept:
            store[..., : opening.kept, :] = self._stores[opening.source][..., : opening.kept, :]
        self._stores[opening.place] = store

    def close(self, place: int) -> None:
        """Give the place's memory back (`Backend`)."""
        del self._stores[place]

    def run(self, pieces: Sequence[Piece]) -> Mapping[int, Drawn | Fault]:
        """Read the pieces in one forward, and draw (`Backend`)."""
        ids: list[int] = []
        positions: list[int] = []
        segments, last = [], []
        for piece in pieces:
            begin = len(ids)
            ids += piece.ids
            positions += range(piece.start, piece.start + len(piece.ids))
            segments.append(Segment(begin, len(ids), piece.start, self._stores[piece.place]))
            if piece.draws:
                last.append(len(ids) - 1)
        with torch.inference_mode():
            logits = self._model(
                input_ids=torch.tensor([ids]),
                position_ids=torch.tensor([positions]),
                use_cache=False,
                slots=Batch(segments),
                logits_to_keep=torch.tensor(last, dtype=torch.long),
            ).logits[0]
            drawing = [piece.row for piece in pieces if piece.draws]
            chosen = choose(logits, drawing)
        return {row.number: token for row, token in zip(drawing, chosen, strict=True)}

    def _decode(self, ids: Sequence[int]) -> str:
        text = self._tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return str(text)


def _end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    config = getattr(model, "generation_config", None)
    ends = getattr(config, "eos_token_id", None)
    listed = ends if isinstance(ends, list) else [ends]
    return frozenset(end for end in [*listed, tokenizer.eos_token_id] if end is not None)


def _defaults(model: Any, stored: store.Stored) -> Sampling:
    """What the model's authors recommend: our catalogue, then its own generation config."""
    config = getattr(model, "generation_config", None)
    temperature, top_p = stored.sampling.temperature, stored.sampling.top_p
    if temperature is None:
        sampled = getattr(config, "do_sample", None)
        temperature = getattr(config, "temperature", None) if sampled else None
    if top_p is None:
        top_p = getattr(config, "top_p", None)
    return Sampling(
        temperature=1.0 if temperature is None else float(temperature),
        top_p=1.0 if top_p is None else float(top_p),
    )

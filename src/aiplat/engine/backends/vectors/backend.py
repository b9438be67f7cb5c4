"""An encoder of transformers that makes vectors (`VectorBackend`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

from aiplat.domain.errors import ConfigError
from aiplat.domain.models import Manifest
from aiplat.engine import store
from aiplat.engine.backend import LoadError, Plan
from aiplat.engine.backends.slots import devices
from aiplat.engine.backends.slots.loading import prepare, read_tokenizer
from aiplat.engine.backends.vectors.batching import alike
from aiplat.engine.backends.vectors.loading import load_encoder
from aiplat.engine.backends.vectors.pooling import cut, pooled
from aiplat.engine.vector_folder import Layout, layout_of

_REVISION = 1  # of our own arithmetic


def load(plan: Plan) -> Encoder:
    """Load what `plan` names.

    Raises:
        LoadError: it cannot be loaded, and why.
    """
    prepare(plan.threads)
    # It plans anew for each shape, which are never the same here: 28,000 tokens a second of an H100
    # in float16 in place of 570,000.
    torch.backends.cuda.enable_cudnn_sdp(False)
    folder = Path(plan.folder)
    try:
        stored = store.describe(plan.name, folder, Path(plan.cache))
        layout = layout_of(folder)
    except ConfigError as error:
        raise LoadError(str(error)) from error
    return Encoder(plan, stored, layout, _choice(plan, folder))


def _choice(plan: Plan, folder: Path) -> devices.Choice:
    """Where, and in what: on a CPU float32, whatever it was stored in.

    Half numbers would save little there, and cost the last digits of all vectors.
    """
    choice = devices.choose(plan.device, "float32" if plan.dtype == "auto" else plan.dtype,
                            folder, groups=False)  # fmt: skip
    if choice.device.type != "cpu" and plan.dtype == "auto":
        choice = devices.choose(plan.device, "auto", folder, groups=False)
    return choice._replace(spread=False)


class Encoder:
    """The model in memory.

    Arguments:
        plan: what to load, and its bounds.
        stored: what is known of it.
        layout: how its vectors are made.
        choice: where it is computed, and in what.
    """

    def __init__(
        self, plan: Plan, stored: store.Stored, layout: Layout, choice: devices.Choice
    ) -> None:
        folder = Path(plan.folder)
        self._tokenizer: Any = read_tokenizer(folder)
        self._model: Any = load_encoder(folder, choice)
        self._layout = layout
        self._device = choice.device
        self._most = plan.vector_tokens
        self._padding = _padding(self._tokenizer)
        self.size = int(self._model.config.hidden_size)
        self.cuts = layout.cuts
        self.capacity = 0
        self.note = ""
        self.manifest = Manifest(
            name=stored.name,
            weights=stored.weights,
            tokenizer=stored.tokenizer,
            template=stored.template,
            recipe=stored.recipe,
            dtype=str(choice.dtype).removeprefix("torch."),
            quantisation=stored.quantisation,
            context=stored.context,
            vocabulary=stored.vocabulary,
            backend=f"transformers-{transformers.__version__}-{layout.pooling}-{_REVISION}",
            kernels=f"torch-{torch.__version__}-{choice.device.type}",
        )

    def encode(self, texts: Sequence[str], most: int | None) -> list[list[int]]:
        """The tokens of texts (`VectorBackend`)."""
        # As sentence-transformers does it, so that the same text is the same vector.
        cleaned = [text.strip() for text in texts]
        if self._layout.lower:
            cleaned = [text.lower() for text in cleaned]
        found: Any = self._tokenizer(
            cleaned, add_special_tokens=True, padding=False, truncation=most is not None,
            max_length=most, return_attention_mask=False, return_token_type_ids=False,
            verbose=False,
        )  # fmt: skip
        return [list(ids) for ids in found["input_ids"]]

    def vectors(self, texts: Sequence[Sequence[int]], sizes: Sequence[int]) -> list[bytes]:
        """Make the vectors (`VectorBackend`): of texts of about one length together."""
        made = [b""] * len(texts)
        with torch.inference_mode():
            for group in alike([len(ids) for ids in texts], self._most):
                found = self._read([texts[place] for place in group])
                for row, place in enumerate(group):
                    one = cut(found[row : row + 1], sizes[place])[0]
                    made[place] = one.numpy().astype("<f4").tobytes()
        return made

    def _read(self, texts: Sequence[Sequence[int]]) -> torch.Tensor:
        """One forward; texts are filled up on the right, and what they are filled with is masked.

        Returns:
            (texts, numbers), on the CPU.
        """
        longest = max(map(len, texts))
        ids = [[*text, *[self._padding] * (longest - len(text))] for text in texts]
        mask = [[1] * len(text) + [0] * (longest - len(text)) for text in texts]
        inputs = torch.tensor(ids, device=self._device)
        masks = torch.tensor(mask, device=self._device)
        states = self._model(input_ids=inputs, attention_mask=masks).last_hidden_state
        return pooled(states, masks, self._layout.pooling).cpu()


def _padding(tokenizer: Any) -> int:
    """Its token of padding, or any: it is masked."""
    return int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0)

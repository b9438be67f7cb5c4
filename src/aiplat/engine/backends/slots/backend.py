"""A transformers model that serves many requests at once (`Backend`)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

from aiplat.domain.chat import Generate, Sampling
from aiplat.domain.errors import ConfigError
from aiplat.domain.models import Ability, Manifest
from aiplat.engine import store
from aiplat.engine.backend import LoadError, Plan
from aiplat.engine.backends.slots import devices
from aiplat.engine.backends.slots.choosing import serve
from aiplat.engine.backends.slots.grammars import Grammars
from aiplat.engine.backends.slots.groups import StoredGroups
from aiplat.engine.backends.slots.loading import load_tokenizer, prepare
from aiplat.engine.backends.slots.sampling import choose
from aiplat.engine.backends.slots.spelling import Spellings
from aiplat.engine.backends.slots.templates import Templates
from aiplat.engine.backends.slots.threads import Threads
from aiplat.engine.rows import Drawn, Fault, Matcher, Opening, Piece, Voice

_REVISION = 3  # of our own arithmetic: what another one began is not gone on with as the same


def load(plan: Plan) -> SlotsBackend:
    """Load what `plan` names.

    Raises:
        LoadError: it cannot be loaded, and why.
    """
    prepare(plan.threads)
    folder = Path(plan.folder)
    try:
        stored = store.describe(plan.name, folder, Path(plan.cache))
        groups = len(StoredGroups(folder)) > 0
        choice = devices.choose(plan.device, plan.dtype, folder, groups=groups)
    except ConfigError as error:
        raise LoadError(str(error)) from error
    return SlotsBackend(plan, stored, choice)


class SlotsBackend:
    """The model in memory.

    Arguments:
        plan: what to load, and its bounds.
        stored: what is known of it.
        choice: where it is computed, and in what.
    """

    def __init__(self, plan: Plan, stored: store.Stored, choice: devices.Choice) -> None:
        self._tokenizer = load_tokenizer(Path(plan.folder))
        model, served = serve(plan, choice, stored.context)
        self._runner = served.runner
        most = 1 if plan.deterministic or choice.device.type != "cpu" else torch.get_num_threads()
        self._threads = Threads(most, torch.set_num_threads, time.perf_counter)
        self._spellings: Spellings | None = None
        ends = _end_tokens(model, self._tokenizer)
        self._templates = Templates(stored.name, self._tokenizer, ends)
        self._grammars = Grammars(stored.name, self._tokenizer, stored.vocabulary, tuple(ends))
        self.can: tuple[Ability, ...] = (
            "generate",
            *(("tools",) if self._templates.form is not None else ()),
            *(("grammar",) if self._grammars.works else ()),
        )
        self.context = stored.context
        self.capacity = served.capacity
        self.places = served.places
        self.keeps = served.runner.keeps
        self.note = served.note
        self.defaults = _defaults(model, stored)
        # With other threads a product may add in another order: then it is another class.
        threads = f"-{torch.get_num_threads()}-threads" if plan.deterministic else ""
        self.manifest = Manifest(
            name=stored.name,
            weights=stored.weights,
            tokenizer=stored.tokenizer,
            template=stored.template,
            recipe=stored.recipe,
            dtype=served.way,
            quantisation=stored.quantisation,
            context=min(stored.context, served.length),
            vocabulary=stored.vocabulary,
            backend=f"transformers-{transformers.__version__}-{served.how}-{_REVISION}",
            kernels=f"torch-{torch.__version__}-{_kernels(choice.device)}{threads}",
        )

    def encode(self, work: Generate) -> list[int]:
        """The prompt's tokens (`Backend`)."""
        return self._templates.encode(work)

    def voice(self, work: Generate) -> Voice:
        """What makes text of tokens (`Backend`)."""
        return self._templates.voice(work)

    def matcher(self, work: Generate, said: Sequence[int]) -> Matcher | None:
        """What keeps the answer to its form (`Backend`)."""
        return self._grammars.matcher(work, self._templates.form, said)

    def spell(self, token: int) -> bytes:
        """The token's bytes (`Backend`)."""
        if self._spellings is None:
            self._spellings = Spellings(self._tokenizer)
        return self._spellings.of(token)

    def open(self, opening: Opening) -> None:
        """Make a place ready (`Backend`)."""
        self._runner.open(opening)

    def close(self, place: int) -> None:
        """Empty a place (`Backend`)."""
        self._runner.close(place)

    def run(self, pieces: Sequence[Piece]) -> Mapping[int, Drawn | Fault]:
        """Read the pieces, and draw (`Backend`)."""
        tokens = sum(len(piece.ids) for piece in pieces)
        with torch.inference_mode():
            drawing, logits = self._threads.run(tokens, lambda: self._runner.read(pieces))
            chosen = choose(logits, [piece.row for piece in drawing]) if drawing else []
        for piece, drawn in zip(drawing, chosen, strict=True):
            if isinstance(drawn, Fault):
                self._runner.spoil(piece.place)
        return {piece.row.number: got for piece, got in zip(drawing, chosen, strict=True)}


def _kernels(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return device.type if device.type != "cpu" else torch.backends.cpu.get_cpu_capability()


def _end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    config = getattr(model, "generation_config", None)
    ends = getattr(config, "eos_token_id", None)
    listed = ends if isinstance(ends, list) else [ends]
    return frozenset(end for end in [*listed, tokenizer.eos_token_id] if end is not None)


_RECOMMENDED = ("top_p", "top_k", "min_p", "repetition_penalty")


def _defaults(model: Any, stored: store.Stored) -> Sampling:
    """What the model's authors recommend: our catalogue, then its own generation config."""
    config = getattr(model, "generation_config", None)
    sampled = getattr(config, "do_sample", None)
    own: dict[str, Any] = {name: getattr(config, name, None) for name in _RECOMMENDED}
    own["temperature"] = getattr(config, "temperature", None) if sampled else None
    ours = {name: getattr(stored.sampling, name) for name in own}
    return Sampling(**{name: own[name] if ours[name] is None else ours[name] for name in own})

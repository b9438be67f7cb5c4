"""Chooses how a loaded model is served, and sees that what it says then is what it should.

In order: the fused forward where the model is of that family and on a CPU; transformers' own
forward with our attention; transformers' own with its own attention, one request after another. Each of
the first two is tried on a few tokens, in two pieces, and compared with what the model says by itself.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from aiplat.engine.backend import LoadError, Plan
from aiplat.engine.backends.slots.arena import Arena, Memory, Shape
from aiplat.engine.backends.slots.attention import attend
from aiplat.engine.backends.slots.batch import Batch
from aiplat.engine.backends.slots.devices import Choice
from aiplat.engine.backends.slots.fixed import attend_fixed
from aiplat.engine.backends.slots.fusing import NotFused, Weights, fuse
from aiplat.engine.backends.slots.generic import Generic
from aiplat.engine.backends.slots.groups import StoredGroups
from aiplat.engine.backends.slots.loading import first_line, load_model
from aiplat.engine.backends.slots.memory import Mapped, OnDevices
from aiplat.engine.backends.slots.runners import Plain, Runner, Slots
from aiplat.engine.backends.slots.shapes import shape_of, vocabulary_of
from aiplat.engine.rows import Opening, Piece

log = logging.getLogger("aiplat.engine.slots")

_CHECKED_TOKENS = 12
_TOLERANCE = {"float32": 1e-3, "float16": 1e-2, "bfloat16": 0.1, "4bit": 0.1}
"""Of the largest logit."""
_MIB = 1024 * 1024
_SLOWER = "served one request after another, because {}"


class Served(NamedTuple):
    """A model that is ready.

    Arguments:
        runner: what reads.
        way: what the weights are kept in.
        how: the name of the forward, for the manifest.
        length: most tokens of a request.
        capacity: tokens over all places.
        places: of the KV cache.
        note: why it is slower than it could be; empty where it is not.
    """

    runner: Runner
    way: str
    how: str
    length: int
    capacity: int
    places: int
    note: str = ""


def serve(plan: Plan, choice: Choice, context: int) -> tuple[Any, Served]:
    """Load the model of `plan`, and choose how it is served; the model's configuration with it.

    Arguments:
        context: tokens that the model can take at most.

    Raises:
        LoadError: it cannot be loaded, or not as the settings ask.
    """
    folder = Path(plan.folder)
    model = load_model(folder, choice)
    room = _Room.of(model, plan, choice, context)
    expected = _own(model)
    if choice.device.type == "cpu" and choice.way != "bfloat16":
        served = _fused(model, plan, choice, room, expected)
        if served is not None:
            return model, served
        model = load_model(folder, choice)  # of the other some matrices are gone
    return model, _unfused(model, plan, choice, room, expected)


class _Room(NamedTuple):
    """How much memory there is for the KV cache."""

    shape: Shape
    places: int
    length: int
    capacity: int
    devices: tuple[torch.device, ...]

    @classmethod
    def of(cls, model: Any, plan: Plan, choice: Choice, context: int) -> _Room:
        shape = shape_of(model)
        capacity = plan.cache_mib * _MIB // shape.token_bytes(choice.dtype)
        if choice.device.type == "cpu":  # memory is taken as it is used, wherever it lies
            places, length = plan.places, min(context, capacity)
        else:  # memory is taken at once: a place's share of it is all that a request gets
            places = plan.places if capacity // plan.places >= context else plan.slots
            length = min(context, capacity // places)
        if length < 1:
            raise LoadError(
                f"engine.cache_mib is {plan.cache_mib}, which holds no token for each of "
                f"{places} places: raise it, or lower engine.slots."
            )
        found = getattr(model, "hf_device_map", None) if choice.spread else None
        devices = tuple(_device_of(found, n, choice.device) for n in range(shape.layers))
        return cls(shape, places, length, capacity, devices)

    def arena(self, dtype: torch.dtype) -> Arena:
        memory: Memory
        if self.devices[0].type == "cpu":
            memory = Mapped(self.shape, self.places, self.length, dtype)
        else:
            memory = OnDevices(self.shape, self.places, self.length, dtype, self.devices)
        return Arena(memory, self.places)

    def served(self, runner: Runner, way: str, how: str, note: str = "") -> Served:
        return Served(runner, way, how, self.length, self.capacity, self.places, note)


def _device_of(found: dict[str, Any] | None, layer: int, first: torch.device) -> torch.device:
    """Where `device_map` put a layer: it names modules by their paths."""
    for name, device in (found or {}).items():
        if f".layers.{layer}." in f".{name}." or name == "":
            return torch.device("cuda", device) if isinstance(device, int) else torch.device(device)
    return first


def _fused(
    model: Any, plan: Plan, choice: Choice, room: _Room, expected: Tensor
) -> Served | None:
    weights = Weights(choice.way, StoredGroups(Path(plan.folder)), fixed=plan.deterministic)
    how = attend_fixed if plan.deterministic else attend
    try:
        llama = fuse(model, weights, room.length + 256)
    except NotFused as error:
        log.info("%s is not fused: %s", plan.name, error)
        return None

    def forward(batch: Batch) -> Tensor:
        return llama(batch, how)

    runner = Slots(forward, room.arena(choice.dtype), choice.device, alone=plan.deterministic)
    error = _differs(runner, expected, choice.way)
    if error:
        log.warning("%s is not fused: %s", plan.name, error)
        return None
    name = "fixed" if plan.deterministic else f"fused-{weights.most_four}"
    return room.served(runner, choice.way, name)


def _unfused(model: Any, plan: Plan, choice: Choice, room: _Room, expected: Tensor) -> Served:
    way = "float32" if choice.dtype == torch.float32 else choice.way
    generic = Generic(model, attend_fixed if plan.deterministic else attend)
    runner = Slots(
        generic, room.arena(choice.dtype), choice.device,
        alone=plan.deterministic, blocks=plan.deterministic,
    )  # fmt: skip
    error = _differs(runner, expected, way)
    if not error:
        return room.served(runner, way, "blocks" if plan.deterministic else "slots")
    generic.released()
    if plan.deterministic:
        raise LoadError(
            f"engine.deterministic is true, but {plan.name} cannot be served so: {error}."
        )
    note = _SLOWER.format(error)
    log.warning("%s is %s", plan.name, note)
    return room.served(Plain(model, choice.device), way, "plain", note)


def _own(model: Any) -> Tensor:
    """What the model says by itself to a few tokens."""
    ids = _checked(model)
    with torch.inference_mode():
        return model(input_ids=ids[None].to(model.device), use_cache=False).logits[0].float().cpu()  # type: ignore[no-any-return]


def _checked(model: Any) -> Tensor:
    return torch.arange(_CHECKED_TOKENS) * 7 % vocabulary_of(model)


def _differs(runner: Slots, expected: Tensor, way: str) -> str:
    """Compare what the runner says of the same tokens, in two pieces; why not, or nothing."""
    ids = (torch.arange(_CHECKED_TOKENS) * 7 % expected.shape[1]).tolist()
    runner.open(Opening(0, _CHECKED_TOKENS, 0, 0))
    half = _CHECKED_TOKENS // 2
    ends = ((0, half), (half, _CHECKED_TOKENS - 1), (_CHECKED_TOKENS - 1, _CHECKED_TOKENS))
    said = []
    try:
        with torch.inference_mode():
            for begin, end in ends:
                piece = Piece(_Fixed(ids), 0, begin, ids[begin:end], True)  # type: ignore[arg-type]
                said.append(runner.read([piece])[1][0].float().cpu())
    except (NotImplementedError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        return first_line(error)
    finally:
        runner.close(0)
    wanted = torch.stack([expected[end - 1] for _, end in ends])
    scale = wanted.abs().max().clamp(min=1.0)
    off = float((torch.stack(said) - wanted).abs().max() / scale)
    return "" if off < _TOLERANCE[way] else "its attention is not the standard one"


class _Fixed:
    """A row of which only the tokens are there."""

    def __init__(self, ids: list[int]) -> None:
        self.ids = ids



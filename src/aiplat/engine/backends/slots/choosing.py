"""Chooses how a loaded model is served, and sees that what it says then is what it should.

In order: the fused forward where the model is of that family and on a CPU; transformers' own
forward with our attention; transformers' own with its own attention, one request after another.
Each of the first two is tried on a few tokens, in pieces, and compared with what the model says
by itself.
"""

from __future__ import annotations

import gc
import logging
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from aiplat.engine.backend import LoadError, Plan
from aiplat.engine.backends.slots.arena import Arena, Memory, Shape
from aiplat.engine.backends.slots.attention import attend
from aiplat.engine.backends.slots.batch import Batch
from aiplat.engine.backends.slots.checking import differs, is_steady, own_logits
from aiplat.engine.backends.slots.devices import Choice
from aiplat.engine.backends.slots.fixed import attend_fixed
from aiplat.engine.backends.slots.fusing import Weights, fuse, why_not_fused
from aiplat.engine.backends.slots.generic import Generic
from aiplat.engine.backends.slots.groups import StoredGroups
from aiplat.engine.backends.slots.loading import load_model
from aiplat.engine.backends.slots.memory import Mapped, OnDevices
from aiplat.engine.backends.slots.runners import Plain, Runner, Slots
from aiplat.engine.backends.slots.shapes import shape_of, turns_by_length, vocabulary_of

log = logging.getLogger("aiplat.engine.slots")

_MIB = 1024 * 1024
_SHARE = 0.8  # of a GPU's free memory
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
    if plan.attention == "model":
        return model, _plain(model, plan, choice, room, "engine.attention is model")
    expected = own_logits(model)
    if choice.device.type == "cpu" and choice.way != "bfloat16":
        why_not = why_not_fused(model)
        if not why_not:
            served = _fused(model, plan, choice, room, expected)
            if served is not None:
                return model, served
            del model  # some of its matrices are gone; and no two are in memory at once
            gc.collect()
            model = load_model(folder, choice)
        else:
            log.info("%s is not fused: %s", plan.name, why_not)
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
        capacity = _cache_bytes(plan, choice) // shape.token_bytes(choice.dtype)
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
            memory = OnDevices.taken(self.shape, self.places, self.length, dtype, self.devices)
        return Arena(memory, self.places)

    def served(self, runner: Runner, way: str, how: str, note: str = "") -> Served:
        return Served(runner, way, how, self.length, self.capacity, self.places, note)


def _cache_bytes(plan: Plan, choice: Choice) -> int:
    """The setting; on CUDA devices what the weights left free, less a fifth."""
    if choice.device.type != "cuda":
        return plan.cache_mib * _MIB
    devices = range(torch.cuda.device_count()) if choice.spread else (choice.device,)
    free = min(torch.cuda.mem_get_info(device)[0] for device in devices)
    return round(_SHARE * free * (len(devices) if choice.spread else 1))


def _device_of(found: dict[str, Any] | None, layer: int, first: torch.device) -> torch.device:
    """Where `device_map` put a layer: it names modules by their paths."""
    for name, device in (found or {}).items():
        if f".layers.{layer}." in f".{name}." or name == "":
            return torch.device("cuda", device) if isinstance(device, int) else torch.device(device)
    return first


def _fused(model: Any, plan: Plan, choice: Choice, room: _Room, expected: Tensor) -> Served | None:
    weights = Weights(choice.way, StoredGroups(Path(plan.folder)), fixed=plan.deterministic)
    how = attend_fixed if plan.deterministic else attend
    llama = fuse(model, weights, room.length + 256)

    def forward(batch: Batch) -> Tensor:
        return llama(batch, how)

    fixed = plan.deterministic
    arena = room.arena(choice.dtype)
    runner = Slots(forward, arena, choice.device, alone=fixed)
    why_not = differs(runner, expected, choice.way)
    if why_not:
        log.warning("%s is not fused: %s", plan.name, why_not)
        return None
    if not fixed:
        return room.served(runner, choice.way, "fused")
    if not is_steady(runner, vocabulary_of(model), room.places):
        runner = Slots(forward, arena, choice.device, alone=True, blocks=True)
        return room.served(runner, choice.way, "fused-blocks")
    return room.served(runner, choice.way, "fused-fixed")


def _unfused(model: Any, plan: Plan, choice: Choice, room: _Room, expected: Tensor) -> Served:
    way = "float32" if choice.dtype == torch.float32 else choice.way
    generic = Generic(model, attend_fixed if plan.deterministic else attend)
    runner = Slots(
        generic, room.arena(choice.dtype), choice.device,
        alone=plan.deterministic, blocks=plan.deterministic,
    )  # fmt: skip
    error = turns_by_length(model) or differs(runner, expected, way)
    if not error:
        return room.served(runner, way, "blocks" if plan.deterministic else "slots")
    generic.released()
    return _plain(model, plan, choice, room, error)


def _plain(model: Any, plan: Plan, choice: Choice, room: _Room, why: str) -> Served:
    """In transformers' own way; `why` not in ours."""
    if plan.deterministic:
        raise LoadError(
            f"engine.deterministic is true, but {plan.name} cannot be served so: {why}."
        )
    note = _SLOWER.format(why)
    log.warning("%s is %s", plan.name, note)
    way = "float32" if choice.dtype == torch.float32 else choice.way
    return room.served(Plain(model, choice.device), way, "plain", note)

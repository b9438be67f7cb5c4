"""Places keep what was written to them, wherever they are moved; the forgotten costs nothing."""

from __future__ import annotations

import random

import pytest

torch = pytest.importorskip("torch")
from torch import Tensor  # noqa: E402  # needs torch

from aiplat.engine.backends.slots.arena import Arena, Memory, Shape  # noqa: E402  # needs torch
from aiplat.engine.backends.slots.memory import Mapped, OnDevices  # noqa: E402  # needs torch

SHAPE = Shape(layers=3, heads=2, size=32)
LENGTH, PLACES = 200, 6


def memories() -> list[Memory]:
    cpu = torch.device("cpu")
    return [
        Mapped(SHAPE, PLACES, LENGTH, torch.float32),
        OnDevices.taken(SHAPE, PLACES, LENGTH, torch.float32, [cpu] * SHAPE.layers),
    ]


def numbers_of(tokens: list[int], layer: int) -> Tensor:
    """What a layer holds of them here, ``[tokens, keys and values of each head, size]``."""
    numbers: Tensor = torch.tensor(tokens, dtype=torch.float32)[:, None, None]
    heads: Tensor = torch.arange(4)[:, None] / 16
    return (numbers + layer / 4 + heads).expand(-1, 4, 32)


def write(arena: Arena, place: int, begin: int, tokens: list[int]) -> None:
    """Write each token's number into all that it holds."""
    memory, part = arena.memory, arena.part(place)
    first = [memory.address(part, begin + n) for n in range(len(tokens))]
    addresses = memory.addresses(torch.tensor(first, dtype=torch.long))
    for layer in range(SHAPE.layers):
        memory.store(layer, addresses, numbers_of(tokens, layer))
    arena.wrote(place, begin + len(tokens))


def held(arena: Arena, place: int, length: int, layer: int) -> Tensor:
    """What a layer holds of a place, as `numbers_of` has it."""
    part = arena.part(place)
    both: Tensor = torch.cat(arena.memory.held(part, part + 1, length)[layer])
    return both.transpose(0, 1)


def holds(arena: Arena, place: int, tokens: list[int]) -> bool:
    return all(
        torch.equal(held(arena, place, len(tokens), layer), numbers_of(tokens, layer))
        for layer in range(SHAPE.layers)
    )


@pytest.mark.parametrize("memory", memories(), ids=["mapped", "on devices"])
def test_whatever_is_opened_copied_and_moved_places_hold_their_tokens(memory: Memory) -> None:
    rng, arena = random.Random(3), Arena(memory, PLACES)
    ids: dict[int, list[int]] = {place: [] for place in range(PLACES)}
    for _ in range(80):
        busy = set(rng.sample(range(PLACES), rng.randint(0, 4)))
        place = rng.choice([n for n in range(PLACES) if n not in busy])
        source = rng.choice([place, rng.randrange(PLACES)])
        kept = rng.randint(0, len(ids[source]))
        arena.open(place, kept, source, busy)
        ids[place] = ids[source][:kept]
        new = [rng.randrange(1, 1000) for _ in range(rng.randint(0, LENGTH - kept))]
        write(arena, place, kept, new)
        ids[place] += new
        if rng.random() < 0.2:
            gone = rng.randrange(PLACES)
            arena.close(gone)
            ids[gone] = []
        assert sorted(arena.part(n) for n in range(PLACES)) == list(range(PLACES))
        assert all(holds(arena, n, tokens) for n, tokens in ids.items())


def test_who_runs_lies_side_by_side() -> None:
    arena = Arena(memories()[0], PLACES)
    busy: set[int] = set()
    for place in (5, 3, 4):
        arena.open(place, 0, place, busy)
        busy.add(place)
    assert sorted(arena.part(n) for n in busy if n != 5) == [0, 1]  # the first was alone
    busy.remove(3)
    arena.open(2, 0, 2, busy)
    assert sorted(arena.part(n) for n in (4, 2)) == [0, 1]


@pytest.mark.parametrize("memory", memories(), ids=["mapped", "on devices"])
def test_what_is_closed_or_spoilt_is_zero(memory: Memory) -> None:
    arena = Arena(memory, PLACES)
    for place, count in ((0, LENGTH), (1, 40), (2, LENGTH)):  # 40 would be spared
        write(arena, place, 0, [7] * count)
    arena.close(0)
    arena.spoil(1)
    arena.open(1, 0, 1, set())
    arena.open(2, 90, 2, set())
    assert not held(arena, 0, LENGTH, 1).any()
    assert not held(arena, 1, LENGTH, 1).any()
    assert held(arena, 2, LENGTH, 1)[:90].all()
    assert not held(arena, 2, LENGTH, 1)[90:].any()


def test_a_place_that_moves_away_leaves_nothing_behind() -> None:
    arena = Arena(memories()[0], PLACES)
    write(arena, 4, 0, [7] * LENGTH)  # will lie in the way of nobody
    write(arena, 0, 0, [3] * 20)
    assert (arena.part(4), arena.part(0)) == (4, 0)
    arena.open(4, 0, 4, {5})  # begins anew, at the lowest part; what lay there goes where it was
    assert (arena.part(4), arena.part(0)) == (0, 4)
    assert holds(arena, 0, [3] * 20)
    assert not held(arena, 0, LENGTH, 1)[20:].any(), "of the long one that lay there"
    assert not held(arena, 4, LENGTH, 1)[20:].any()


def test_memory_that_is_forgotten_goes_back_to_the_system() -> None:
    resource = pytest.importorskip("resource")
    shape = Shape(layers=8, heads=8, size=64)
    arena = Arena(Mapped(shape, 16, 1024, torch.float32), 16)  # 512 MiB, if all were used
    page = resource.getpagesize()

    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * int(page)

    before = resident()
    for round_ in range(8):
        place = round_ % 16
        arena.open(place, 0, place, set())
        part = arena.part(place)
        for both in arena.memory.held(part, part + 1, 1024):
            for numbers in both:
                numbers.fill_(1.0)
        arena.wrote(place, 1024)
        arena.close(place)
    assert resident() - before < 64 * 2**20  # one place has 32 MiB

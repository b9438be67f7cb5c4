"""What the tests of stored answers have in common."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from aiplat.control.stored import StoredAnswer, StoredState
from aiplat.stored.settings import StoredSettings
from aiplat.stored.stored import Stored
from aiplat.telemetry.metrics import Metrics

START = 1_800_000_000.0


class Clock:
    """The time of day, as a test sets it."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


def answer(
    name: str,
    owner: str = "ann",
    *,
    size: int = 10,
    previous: str = "",
    created: float = START,
    state: StoredState = "ended",
) -> StoredAnswer:
    """An answer of so many bytes."""
    return StoredAnswer(
        owner=owner, id=name, created=int(created), items=b"[]", body=b"x" * (size - 2),
        previous=previous, state=state,
    )  # fmt: skip


class Home:
    """A folder with stored answers, a clock and metrics."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.path = folder / "stored.db"
        self.settings = StoredSettings(**settings)
        self.metrics = Metrics()
        self.clock = Clock()
        self.users: Callable[[], Collection[str] | None] = lambda: None

    def make(self) -> Stored:
        return Stored(self.path, self.settings, self.metrics, self.clock, lambda: self.users())

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Stored]:
        """One life of a node."""
        stored = self.make()
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                await nursery.start(stored.run)
                yield stored
                nursery.cancel_scope.cancel()

    def hits(self, bound: str) -> float:
        """How often a bound was hit."""
        value = self.metrics.bound_hits.labels(bound)._value.get()
        assert not math.isnan(value)
        return float(value)

"""How the screens reach the node: the control API, as `aiplat.control.aio` speaks it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from aiplat.control.calls import Call, Reply
    from aiplat.control.events import Event
    from aiplat.control.messages import Ask


class Link(Protocol):
    """Puts questions to the node. All raise `AiplatError`; `NoNode` where none runs."""

    async def call(self, call: Call[Reply]) -> Reply:
        """Put one question."""

    def ask(self, ask: Ask) -> AsyncGenerator[Event, None]:
        """Give the events of an answer, up to `Finished`."""

    def follow(self, request: str) -> AsyncGenerator[Event, None]:
        """The same of an answer that the node keeps."""


Say = Callable[[str], None]

Start = Callable[[Say], None]
"""Starts the node of this home, if none runs; blocks, and tells its steps. Raises `AiplatError`."""

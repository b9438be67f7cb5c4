"""Answers under way: begun, heard to their end, stopped, and taken up again where a stream broke.

Each runs in a worker of the pane, so that others go on beside it whatever is seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from textual.worker import Worker
from textual.worker_manager import WorkerManager

from aiplat.control import calls
from aiplat.control.calls import Call, Reply
from aiplat.domain.conversations import Turn
from aiplat.domain.errors import AiplatError
from aiplat.tui.chat.talk import Talk
from aiplat.tui.world import World

_STOP_SECONDS = 5.0
_CANCEL_SECONDS = 1.0
_MAX_SPEEDS = 60


class Shows(Protocol):
    """What is asked of the pane."""

    @property
    def world(self) -> World:
        """What is known of the node."""

    @property
    def workers(self) -> WorkerManager:
        """What runs beside what is seen."""

    def run_worker(
        self, work: Coroutine[Any, Any, None], name: str = "", group: str = ""
    ) -> Worker[Any]:
        """Run something beside it."""

    async def ask(self, call: Call[Reply]) -> Reply:
        """Put a question to the node."""

    def node_changed(self) -> None:
        """Show how the network is."""

    def reload(self) -> None:
        """Ask the node for the list."""


class Answers:
    """The answers that one pane hears.

    Arguments:
        pane: shows them.
    """

    def __init__(self, pane: Shows) -> None:
        self.speeds: list[float] = []
        """Tokens a second of those that ended, the newest last."""
        self._speeds: dict[str, dict[str, float]] = {}
        self._mends = False
        self._pane = pane

    def speeds_of(self, processor: str) -> dict[str, float]:
        """How fast it was last, in tokens a second, by model."""
        return self._speeds.get(processor, {})

    def begin(self, talk: Talk, question: Turn) -> None:
        """Ask a question."""
        self._hear(talk, talk.begin(question), follow=False)

    def follow(self, talk: Talk, turn: Turn) -> None:
        """Hear one that the node gives already."""
        self._hear(talk, turn, follow=True)

    def stop(self, talk: Talk) -> bool:
        """Stop the newest of a conversation, and keep what came; tells whether there is one."""
        turn = talk.stops()
        if turn:
            self._pane.run_worker(self._stop(talk, turn), group="stopping")
        return bool(turn)

    def mend(self, talks: list[Talk]) -> None:
        """Take the node's word for those whose stream broke; it may have gone on with them."""
        broken = [talk for talk in talks if talk.broken]
        if broken and not self._mends:
            self._mends = True
            self._pane.run_worker(self._mend(broken), group="mending")

    def _hear(self, talk: Talk, turn: Turn, *, follow: bool) -> None:
        answer = self._answer(talk, turn, follow=follow)
        self._pane.run_worker(answer, name=turn.id, group="answers")

    async def _answer(self, talk: Talk, turn: Turn, *, follow: bool) -> None:
        if follow:
            await talk.follow(turn)
        else:
            await talk.answer(turn, self._pane.world.settled)
        ended = talk.find(turn.id)
        facts = ended.facts if ended is not None else None
        if facts is not None and facts.tokens_per_second:
            self.speeds = [*self.speeds, facts.tokens_per_second][-_MAX_SPEEDS:]
            self._speeds.setdefault(facts.processor, {})[facts.model] = facts.tokens_per_second
        self._pane.node_changed()
        self._pane.reload()

    async def _stop(self, talk: Talk, turn: str) -> None:
        """Ask the node to end it; the answer's own task ends it where that cannot be asked."""
        run = talk.running.get(turn)
        if run is not None and run.kept and run.request:
            try:
                await self._pane.ask(calls.stop_answer(run.request))
                async with asyncio.timeout(_STOP_SECONDS):
                    await run.over.wait()
            except (AiplatError, TimeoutError):
                pass
        if turn in talk.running:
            await self._cancel(talk, turn)

    async def _cancel(self, talk: Talk, turn: str) -> None:
        run = talk.running.get(turn)
        for worker in self._pane.workers:
            if worker.group == "answers" and worker.name == turn:
                worker.cancel()
        if run is None:
            return
        try:
            async with asyncio.timeout(_CANCEL_SECONDS):
                await run.over.wait()
        except TimeoutError:  # it was cancelled before it began, and so never ends by itself
            if (found := talk.find(turn)) is not None:
                talk.abandon(found)

    async def _mend(self, broken: list[Talk]) -> None:
        try:
            for talk in broken:
                for turn in await talk.refresh(*talk.broken):
                    self.follow(talk, turn)
        finally:
            self._mends = False

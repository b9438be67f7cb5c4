"""A request for an answer at an upstream: an `Exchange` that reads a stream."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import httpx
import trio

from aiplat.domain.answers import AnswerSink, Started, Submission
from aiplat.domain.chat import Generate
from aiplat.engine.backends.upstream.body import Dialect, request_body
from aiplat.engine.backends.upstream.exchange import Desk, Exchange
from aiplat.engine.backends.upstream.hearing import Hearing
from aiplat.engine.backends.upstream.pieces import pieces_of
from aiplat.engine.backends.upstream.server import late

_TO_THE_END_SECONDS = 1.0
"""For the end of a stream that said it was done: then its connection serves again."""


class Chat(Exchange):
    """A request for an answer: a stream, which is read no further than there is credit.

    Arguments:
        submission: what is asked.
        sink: where its events go.
        work: of the submission, accepted.
        desk: the engine.
    """

    def __init__(
        self, submission: Submission, sink: AnswerSink, work: Generate, desk: Desk
    ) -> None:
        self._work = work
        self._hearing = Hearing(desk.name, submission, work, desk.server.key)
        super().__init__(submission, sink, self._hearing, desk)

    async def _ask(self, dialect: Dialect) -> None:
        desk, settings = self._desk, self._desk.settings
        body = request_body(desk.there, self._work, desk.kind, dialect)
        deadline = trio.current_time() + settings.first_token_seconds
        with trio.CancelScope(deadline=deadline) as self._stage:
            async with desk.server.chat(body, bare=self._work.prompt is not None) as response:
                desk.server.dialect = (
                    dialect  # it was understood; a refusal may only quote a prompt
                )
                self._deliver(Started(desk.manifest, 0, exact=False))
                await self._listen(response)
        if self._ended:
            return
        if self._stage.cancelled_caught and not self._hearing.finished:
            if self._first:
                limit = settings.next_token_seconds
                raise late(desk.name, "more of its answer", limit, "next_token_seconds")
            limit = settings.first_token_seconds
            raise late(desk.name, "the first word", limit, "first_token_seconds")
        self._finish()

    async def _listen(self, response: httpx.Response) -> None:
        hearing = self._hearing
        async with pieces_of(response) as pieces:
            async for piece in pieces:
                await self._hear(partial(hearing.feed, piece))
                if hearing.done:
                    break
            if not hearing.done:
                await self._hear(hearing.close)
            self._finish()
            with trio.move_on_after(_TO_THE_END_SECONDS):
                async for _ in pieces:
                    pass

    async def _hear(self, step: Callable[[], None]) -> None:
        """Take a step of the stream; what came before a failure is still said."""
        before = self._hearing.news
        try:
            step()
        finally:
            if self._hearing.news != before:
                self._came()
            await self._pass_on()

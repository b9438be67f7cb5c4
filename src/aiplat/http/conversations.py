"""The control API's routes about conversations, and answers that the node keeps in them."""

from __future__ import annotations

import msgspec
import trio

from aiplat.control.history import HistoryCall
from aiplat.control.messages import Ask, RequestName
from aiplat.control.ports import Followed, NodeOperations
from aiplat.domain.answers import Submission
from aiplat.http.answers import begin_stream, next_batch
from aiplat.http.asgi import Request, race
from aiplat.http.events import COMMENT, event
from aiplat.http.reading import read_wish
from aiplat.http.settings import HttpSettings

_READING = ("list", "show", "state")
"""Methods that change nothing: what a face does not wait for need not be done."""


class ConversationControl:
    """The routes. What they are told is a person's own: it is never logged.

    Arguments:
        operations: the node.
        settings: bounds.
    """

    def __init__(self, operations: NodeOperations, settings: HttpSettings) -> None:
        self._operations = operations
        self._settings = settings

    async def history(self, request: Request) -> None:
        """Ask something of the conversations."""
        call = await read_wish(request, self._settings, HistoryCall)

        async def work() -> None:
            reply = msgspec.json.encode(await self._operations.history(call))
            await request.reply(200, reply)

        if call.method in _READING:
            await race(request, work)  # who left, as for a newer search, holds nobody up
        else:
            await work()

    async def follow(self, request: Request) -> None:
        """Give an answer that is under way: what has come, joined, and what comes."""
        wish = await read_wish(request, self._settings, RequestName)
        await self.give(request, self._operations.follow(wish.request))

    async def stop(self, request: Request) -> None:
        """End an answer that is under way."""
        wish = await read_wish(request, self._settings, RequestName)
        done = self._operations.stop_answer(wish.request)
        await request.reply(200, msgspec.json.encode(done))

    async def keep(self, request: Request, submission: Submission, ask: Ask) -> str:
        """Begin an answer that is kept, and write what comes of it; or say why it is not kept.

        A face that left before it heard the answer's name could neither follow nor stop it: the
        answer is stopped for it.

        Raises:
            AiplatError: it cannot be given at all.
            ClientGone: the face left.
        """
        why = ""
        begun: list[Followed] = []

        async def work() -> None:
            nonlocal why
            assert ask.keep is not None
            kept = await self._operations.keep(submission, ask.keep, ask.peer)
            if isinstance(kept, str):
                why = kept
                return
            begun.append(kept)
            with kept:
                await self._begin(request, kept)
                await trio.lowlevel.checkpoint()  # where one who left meanwhile is noticed
                begun.clear()
                await self._write(request, kept)

        try:
            await race(request, work)
        finally:
            if begun:
                self._operations.stop_answer(submission.id)
        return why

    async def give(self, request: Request, followed: Followed) -> None:
        """Write what comes of a kept answer, until its end or until the face leaves.

        Raises:
            ClientGone: the face left; the answer goes on.
        """

        async def work() -> None:
            await self._begin(request, followed)
            await self._write(request, followed)

        with followed:
            await race(request, work)

    async def _begin(self, request: Request, followed: Followed) -> None:
        await begin_stream(request)
        await request.write(event(followed.accepted))

    async def _write(self, request: Request, followed: Followed) -> None:
        while not followed.ended:
            batch = await next_batch(
                request, followed, self._settings.comment_seconds, lambda: COMMENT
            )
            await request.write(b"".join(map(event, batch)), last=followed.ended)

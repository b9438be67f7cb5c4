"""The control API's routes about conversations, and answers that the node keeps in them."""

from __future__ import annotations

import msgspec

from aiplat.control.history import HistoryCall
from aiplat.control.messages import RequestName
from aiplat.control.ports import Followed, NodeOperations
from aiplat.http.answers import begin_stream, next_batch
from aiplat.http.asgi import Request, race
from aiplat.http.events import COMMENT, event
from aiplat.http.reading import decode, read_json
from aiplat.http.settings import HttpSettings


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
        call = decode(await read_json(request, self._settings), HistoryCall)
        await request.reply(200, msgspec.json.encode(await self._operations.history(call)))

    async def follow(self, request: Request) -> None:
        """Give an answer that is under way: what has come, joined, and what comes."""
        wish = decode(await read_json(request, self._settings), RequestName)
        await self.give(request, self._operations.follow(wish.request))

    async def stop(self, request: Request) -> None:
        """End an answer that is under way."""
        wish = decode(await read_json(request, self._settings), RequestName)
        done = self._operations.stop_answer(wish.request)
        await request.reply(200, msgspec.json.encode(done))

    async def give(self, request: Request, followed: Followed) -> None:
        """Write what comes of a kept answer, until its end or until the face leaves.

        Raises:
            ClientGone: the face left; the answer goes on.
        """

        async def work() -> None:
            await begin_stream(request)
            await request.write(event(followed.accepted))
            while not followed.ended:
                batch = await next_batch(
                    request, followed, self._settings.comment_seconds, lambda: COMMENT
                )
                await request.write(b"".join(map(event, batch)), last=followed.ended)

        with followed:
            await race(request, work)

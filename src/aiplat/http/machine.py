"""The control API's routes about the node's own machine: its log, a look at it, its models."""

from __future__ import annotations

import msgspec

from aiplat.control.machine import LogAsk, PullWish, ServeWish
from aiplat.control.ports import NodeOperations
from aiplat.http.asgi import Request
from aiplat.http.reading import read_wish
from aiplat.http.settings import HttpSettings


class MachineControl:
    """The routes.

    Arguments:
        operations: the node.
        settings: bounds.
    """

    def __init__(self, operations: NodeOperations, settings: HttpSettings) -> None:
        self._operations = operations
        self._settings = settings

    async def log(self, request: Request) -> None:
        """The newest lines of its log."""
        ask = await read_wish(request, self._settings, LogAsk)
        await _reply(request, self._operations.log(ask))

    async def doctor(self, request: Request) -> None:
        """A look at each step from here to an answer."""
        await _reply(request, await self._operations.doctor())

    async def shelf(self, request: Request) -> None:
        """The models that it has or could have."""
        await _reply(request, await self._operations.shelf())

    async def pull(self, request: Request) -> None:
        """Bring a model, or end that."""
        wish = await read_wish(request, self._settings, PullWish)
        await _reply(request, await self._operations.pull_model(wish))

    async def serve(self, request: Request) -> None:
        """Offer a model, or no more."""
        wish = await read_wish(request, self._settings, ServeWish)
        await _reply(request, await self._operations.serve_model(wish))


async def _reply(request: Request, answer: msgspec.Struct) -> None:
    await request.reply(200, msgspec.json.encode(answer))

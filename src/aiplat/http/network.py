"""The control API's routes about the network and the peers in it."""

from __future__ import annotations

import msgspec

from aiplat.control.messages import (
    DrainWish,
    InviteRequest,
    JoinRequest,
    NetworkCreate,
    PeerName,
    RequestName,
    ShareWish,
)
from aiplat.control.ports import NodeOperations
from aiplat.http.asgi import Request
from aiplat.http.reading import read_wish
from aiplat.http.settings import HttpSettings


class NetworkControl:
    """The routes. What they are told may hold secrets: it is never logged.

    Arguments:
        operations: the node.
        settings: bounds.
    """

    def __init__(self, operations: NodeOperations, settings: HttpSettings) -> None:
        self._operations = operations
        self._settings = settings

    async def create(self, request: Request) -> None:
        """Make a network."""
        wish = await read_wish(request, self._settings, NetworkCreate)
        await _reply(request, await self._operations.create_network(wish))

    async def join(self, request: Request) -> None:
        """Join a network."""
        wish = await read_wish(request, self._settings, JoinRequest)
        await _reply(request, await self._operations.join_network(wish))

    async def leave(self, request: Request) -> None:
        """Leave it."""
        await _reply(request, await self._operations.leave_network())

    async def invite(self, request: Request) -> None:
        """Make a token."""
        wish = await read_wish(request, self._settings, InviteRequest)
        await _reply(request, self._operations.invite(wish))

    async def members(self, request: Request) -> None:
        """Who is in it."""
        await _reply(request, self._operations.members())

    async def revoke(self, request: Request) -> None:
        """Take a certificate away."""
        peer = await read_wish(request, self._settings, PeerName)
        await _reply(request, self._operations.revoke(peer))

    async def peers(self, request: Request) -> None:
        """The peers."""
        await _reply(request, await self._operations.peers())

    async def drain(self, request: Request) -> None:
        """Place no more on a processor, or take no more at all; or end that."""
        wish = await read_wish(request, self._settings, DrainWish)
        await _reply(request, self._operations.drain(wish))

    async def share(self, request: Request) -> None:
        """How the machine is shared."""
        await _reply(request, await self._operations.share())

    async def set_share(self, request: Request) -> None:
        """Share it on other terms."""
        wish = await read_wish(request, self._settings, ShareWish)
        await _reply(request, self._operations.set_share(wish))

    async def block(self, request: Request) -> None:
        """Shut a peer out."""
        peer = await read_wish(request, self._settings, PeerName)
        await _reply(request, self._operations.block(peer))

    async def unblock(self, request: Request) -> None:
        """Let a peer in again."""
        peer = await read_wish(request, self._settings, PeerName)
        await _reply(request, self._operations.unblock(peer))

    async def explain(self, request: Request) -> None:
        """Why a request went where it went."""
        name = await read_wish(request, self._settings, RequestName)
        await _reply(request, await self._operations.explain(name.request))


async def _reply(request: Request, body: msgspec.Struct) -> None:
    await request.reply(200, msgspec.json.encode(body))

"""Two sockets that connect to each other at the same moment (RFC 9293, 3.5, simultaneous open).

Each leaves from the port that its node listens on, which its NAT maps as it did before. To a NAT
the other's SYN is then the answer to its own.
"""

from __future__ import annotations

import socket as sockets
from collections.abc import Callable, Sequence

import trio

from aiplat.node.addresses import Endpoint

PAUSE_SECONDS = 0.02
"""Before the next try where the other side's NAT says that nobody listens."""


class Connects:
    """How often one crossing may still connect, all its places together.

    Arguments:
        most: how often in all.
        spent: called once, when one more is wanted.
    """

    def __init__(self, most: int, spent: Callable[[], None]) -> None:
        self._left = most
        self._spent = spent

    def take(self) -> bool:
        """Tell whether once more is allowed."""
        self._left -= 1
        if self._left == -1:
            self._spent()
        return self._left >= 0


async def cross(
    listeners: Sequence[trio.SocketListener],
    places: Sequence[Endpoint],
    seconds: float,
    connects: Connects,
) -> trio.SocketStream | None:
    """Connect to the first of these places that answers.

    Arguments:
        listeners: of this node; a socket leaves from the port of one.
        places: where to.
        seconds: for all of it.
        connects: how often it may try.

    Returns:
        What stands; None when nothing did in time, or `connects` are spent.
    """
    found: list[trio.SocketStream] = []
    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:

            async def try_one(place: Endpoint) -> None:
                stream = await _connect(listeners, place, connects)
                if stream is not None and not found:
                    found.append(stream)
                    nursery.cancel_scope.cancel()
                elif stream is not None:
                    stream.socket.close()

            for place in places:
                nursery.start_soon(try_one, place)
    return found[0] if found else None


async def _connect(
    listeners: Sequence[trio.SocketListener], place: Endpoint, connects: Connects
) -> trio.SocketStream | None:
    """Try until it stands, may no more or is cancelled; None when there is no socket."""
    while connects.take():
        socket = _bound(listeners, place)
        if socket is None:
            return None
        try:
            await socket.connect((place.ip, place.port))
        except ConnectionError:
            socket.close()
            await trio.sleep(PAUSE_SECONDS)
        except OSError:  # the other side's SYN was taken by our listener, or there is no way
            socket.close()
            return None
        except BaseException:
            socket.close()
            raise
        else:
            return trio.SocketStream(socket)
    return None


def _bound(
    listeners: Sequence[trio.SocketListener], place: Endpoint
) -> trio.socket.SocketType | None:
    """A socket on the port of a listener of the same family.

    Two may share a port when both say SO_REUSEPORT. The listener says so for this moment only:
    else a second node could listen there too, and would get half of the connections.
    """
    family = sockets.AF_INET6 if ":" in place.ip else sockets.AF_INET
    for listener in listeners:
        if listener.socket.family != family:
            continue
        ours = listener.socket.getsockname()
        socket = trio.socket.socket(family)
        share = (sockets.SOL_SOCKET, sockets.SO_REUSEPORT)
        try:
            socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
            socket.setsockopt(*share, 1)
            listener.socket.setsockopt(*share, 1)
            try:
                # At once: the address is numeric, so nothing has to be looked up.
                sockets.socket.bind(socket._sock, ours[:2])  # type: ignore[attr-defined]  # trio's bind is async
            finally:
                listener.socket.setsockopt(*share, 0)
        except OSError:
            socket.close()
            continue
        return socket
    return None

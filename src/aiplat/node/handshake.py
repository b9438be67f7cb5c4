"""The two Hellos at the start of a channel.

The one who dialed speaks first. The other decides on what it heard, and answers with its own
Hello or with a Goodbye: so a Hello that comes back means that the channel stands.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import trio

from aiplat.node.link import Pipe
from aiplat.protocol.channel import ChannelMachine, Received
from aiplat.protocol.errors import RemoteProtocolError, VersionMismatch
from aiplat.protocol.messages import CODEC, Goodbye, Hello

LINGER_SECONDS = 0.5
"""For a peer that was turned away to close: closing first could destroy what we said."""


class HandshakeFailed(Exception):
    """There is no channel. The text is a clause about the peer.

    Arguments:
        clause: what went wrong, such as ``it sent garbage``.
        goodbye: the peer's own last words, if it had any.
        hostile: whether the peer broke the protocol.
    """

    def __init__(
        self, clause: str, *, goodbye: Goodbye | None = None, hostile: bool = False
    ) -> None:
        super().__init__(clause)
        self.clause = clause
        self.goodbye = goodbye
        self.hostile = hostile


async def offer(pipe: Pipe, machine: ChannelMachine, seconds: float) -> list[Received]:
    """Say Hello, and hear one, within `seconds`; gives what came behind it."""
    with _deadline(seconds):
        await pipe.write(machine.hello())
        return await _hear_hello(pipe, machine)


async def accept(
    pipe: Pipe,
    machine: ChannelMachine,
    seconds: float,
    decide: Callable[[Hello], Awaitable[Goodbye | None]],
) -> list[Received]:
    """Hear a Hello within `seconds`, decide, and say one; gives what came behind it.

    Arguments:
        decide: gives the Goodbye to say in place of a Hello, or None.
    """
    with _deadline(seconds):
        early = await _hear_hello(pipe, machine)
        assert machine.remote is not None
        goodbye = await decide(machine.remote)
        if goodbye is not None:
            await say_goodbye(pipe, goodbye)
            raise HandshakeFailed(f"it was turned away: {goodbye.message or goodbye.code}")
        await pipe.write(machine.hello())
        return early


async def say_goodbye(pipe: Pipe, goodbye: Goodbye) -> None:
    """Try to say why there will be no channel, and let the peer read it and close."""
    try:
        await pipe.write(CODEC.encode(goodbye))
        with trio.move_on_after(LINGER_SECONDS):
            while await pipe.read():
                pass
    except Exception:  # noqa: BLE001  # of libp2p's many kinds; it is gone, which is what we want
        return


async def _hear_hello(pipe: Pipe, machine: ChannelMachine) -> list[Received]:
    received: list[Received] = []
    while machine.remote is None:
        try:
            data = await pipe.read()
        except Exception:  # noqa: BLE001  # of libp2p's many kinds: it is gone (guard 4)
            data = b""
        if not data:
            raise HandshakeFailed("it ended the connection without a word")
        try:
            received += machine.receive(data)
        except RemoteProtocolError as fault:
            code = "version" if isinstance(fault, VersionMismatch) else "protocol_error"
            await say_goodbye(pipe, Goodbye(code, str(fault)))
            raise HandshakeFailed(str(fault), hostile=True) from None
        if machine.goodbye is not None and machine.remote is None:
            raise HandshakeFailed("it refused", goodbye=machine.goodbye)
    return [item for item in received if not isinstance(item.message, Hello)]


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    with trio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise HandshakeFailed(f"it said no Hello within {seconds:g} s")

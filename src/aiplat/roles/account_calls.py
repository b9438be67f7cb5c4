"""What is asked of accounts over a channel: answered at a gateway, and asked of one elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from aiplat.accounts.accounts import Accounts
from aiplat.control.accounts import METHODS
from aiplat.domain.answers import Failed
from aiplat.domain.errors import AiplatError, InvalidRequest, NoPeer
from aiplat.domain.ids import short
from aiplat.protocol.framing import UNREADABLE
from aiplat.protocol.messages import Call, Reply

if TYPE_CHECKING:
    from aiplat.node.channel import Channel

PREFIX = "accounts."


async def answer_call(accounts: Accounts, channel: Channel, call: Call) -> Reply | None:
    """Do what a peer asks of the accounts; None when it asks for something else."""
    if not call.method.startswith(PREFIX):
        return None
    name = call.method.removeprefix(PREFIX)
    try:
        method = METHODS.get(name)
        if method is None:
            raise InvalidRequest("This gateway's accounts know no such call: it may be older.")
        wish = msgspec.msgpack.decode(call.body, type=method.wish)
        reply = await accounts.answer(name, wish, call.credential, channel.peer)
    except UNREADABLE:
        return Reply(failed=Failed.of(InvalidRequest(f"The call {name} has a body that is none.")))
    except AiplatError as refusal:
        return Reply(failed=Failed.of(refusal))
    return Reply(body=msgspec.Raw(msgspec.msgpack.encode(reply)))


async def ask_elsewhere(
    channel: Channel, name: str, wish: msgspec.Struct, credential: str, seconds: float
) -> msgspec.Struct:
    """Ask a gateway on another machine.

    Arguments:
        name: one of `METHODS`.
        credential: a session's token or an API key of that gateway's.
        seconds: how long it may take.

    Raises:
        AiplatError: it refuses, or gives no answer that can be read.
    """
    body = msgspec.Raw(msgspec.msgpack.encode(wish))
    reply = await channel.call(Call(PREFIX + name, body, credential), seconds)
    if reply.failed is not None:
        raise reply.failed.error()
    try:
        told: msgspec.Struct = msgspec.msgpack.decode(reply.body, type=METHODS[name].reply)
    except UNREADABLE as fault:
        raise NoPeer(
            f"The gateway {short(channel.peer)} gave what cannot be read: {fault}."
        ) from None
    return told

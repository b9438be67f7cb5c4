"""What is said on a stream of the relay's before it carries bytes: one ask, one answer.

Each is a length (u16) and MessagePack. `/aiplat/relay/1/hop` is opened at a relay by who wants to
reach a peer, `/aiplat/relay/1/stop` by the relay at that peer. After a good answer the two streams
are one pipe.
"""

from __future__ import annotations

import struct
from typing import Literal

import msgspec
import trio

from aiplat.node.pipe import StreamPipe

HOP = "/aiplat/relay/1/hop"
STOP = "/aiplat/relay/1/stop"

MAX_FRAME = 1024
LINGER_SECONDS = 2.0
"""For a peer that was refused to read so, and hang up."""

Refusal = Literal["off", "not_a_member", "not_connected", "stranger", "full", "too_many", "refused"]


class Ask(msgspec.Struct, frozen=True, omit_defaults=True):
    """To the relay: whom to reach. To the target: who wants to reach it, and the ip of that one.

    Arguments:
        peer: who.
        ip: at which the relay sees it; empty when it cannot tell, and to the relay.
    """

    peer: str
    ip: str = ""


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether the circuit stands; if not, the word for why.

    Arguments:
        refused: that word, or empty.
        ip: at which the relay sees the target; empty when it cannot tell, and to the relay.
    """

    refused: Refusal | str = ""
    ip: str = ""


_HEAD = struct.Struct("!H")
_ASK = msgspec.msgpack.Decoder(Ask)
_ANSWER = msgspec.msgpack.Decoder(Answer)


async def say(pipe: StreamPipe, what: Ask | Answer) -> None:
    """Send it. Not to be cancelled half-way: that breaks the connection below (guard 2)."""
    body = msgspec.msgpack.encode(what)
    with trio.CancelScope(shield=True):
        await pipe.write(_HEAD.pack(len(body)) + body)


async def refuse(pipe: StreamPipe, word: Refusal | str) -> None:
    """Say why not, and let the peer read it: a reset would overtake the word."""
    await say(pipe, Answer(word))
    with trio.move_on_after(LINGER_SECONDS):
        await pipe.finish()
        while await pipe.read():
            pass


async def hear_ask(pipe: StreamPipe) -> tuple[Ask, bytes]:
    """An ask, and the bytes that came behind it.

    Raises:
        EOFError, UNREADABLE: there is no ask.
    """
    body, rest = await _hear(pipe)
    return _ASK.decode(body), rest


async def hear_answer(pipe: StreamPipe) -> tuple[Answer, bytes]:
    """An answer, and the bytes that came behind it.

    Raises:
        EOFError, UNREADABLE: there is no answer.
    """
    body, rest = await _hear(pipe)
    return _ANSWER.decode(body), rest


async def _hear(pipe: StreamPipe) -> tuple[bytes, bytes]:
    data = b""
    while len(data) < _HEAD.size or len(data) < _HEAD.size + _length(data):
        more = await pipe.read()
        if not more:
            raise EOFError("the stream ended")
        data += more
        if len(data) >= _HEAD.size and _length(data) > MAX_FRAME:
            raise EOFError(f"a frame of {_length(data)} bytes; {MAX_FRAME} are allowed")
    end = _HEAD.size + _length(data)
    return data[_HEAD.size : end], data[end:]


def _length(data: bytes) -> int:
    (length,) = _HEAD.unpack_from(data)
    return int(length)

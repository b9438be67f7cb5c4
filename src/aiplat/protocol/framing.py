"""How a message lies in bytes: a length, a tag, a request's number, a MessagePack body.

::

    0        4     5         9
    | length | tag | request | body …      big-endian; length counts all that follows it

The number stands before the body so that a relay can tell whose a frame is without decoding
it. 0 belongs to the channel itself.
"""

from __future__ import annotations

import struct
from typing import Generic, TypeVar

import msgspec

from aiplat.protocol.errors import FrameTooLarge, LocalProtocolError, RemoteProtocolError

_HEAD = struct.Struct("!IBI")
_LENGTH = 4
_TAG_AND_NUMBER = _HEAD.size - _LENGTH

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError)
"""What decoding raises for bytes that a peer made up. msgspec alone does not cover it."""

DEFAULT_MAX_FRAME = 1024 * 1024
"""Bytes of one frame, its length field not counted."""

M = TypeVar("M", bound=msgspec.Struct)


class Codec(Generic[M]):
    """Numbered messages. A number or a type used twice fails when the module is imported.

    Arguments:
        types: tag (1 to 255) → the struct that it stands for.
        max_frame: the largest frame taken or made, in bytes.
    """

    def __init__(self, types: dict[int, type[M]], max_frame: int = DEFAULT_MAX_FRAME) -> None:
        if len(set(types.values())) != len(types) or not all(0 < tag < 256 for tag in types):
            raise ValueError("a message has two tags, or a tag is not from 1 to 255")
        self.max_frame = max_frame
        self._types = types
        self._tags: dict[type[M], int] = {struct_: tag for tag, struct_ in types.items()}
        self._decoders = {tag: msgspec.msgpack.Decoder(type_) for tag, type_ in types.items()}
        self._encode = msgspec.msgpack.Encoder().encode

    def with_bound(self, max_frame: int) -> Codec[M]:
        """The same messages with another largest frame."""
        return Codec(self._types, max_frame)

    def encode(self, message: M, number: int = 0) -> bytes:
        """One frame.

        Raises:
            FrameTooLarge: the frame would be over its bound.
            LocalProtocolError: the message has no tag, or holds a number over 64 bits.
        """
        tag = self._tags.get(type(message))
        if tag is None:
            raise LocalProtocolError(f"{type(message).__name__} has no tag on this wire")
        try:
            body = self._encode(message)
        except OverflowError as fault:
            raise LocalProtocolError(
                f"a {type(message).__name__} cannot be sent: {fault}"
            ) from None
        length = _TAG_AND_NUMBER + len(body)
        if length > self.max_frame:
            raise FrameTooLarge(
                f"A {type(message).__name__} of {length} bytes is over the bound of "
                f"{self.max_frame} bytes for one frame."
            )
        return _HEAD.pack(length, tag, number) + body

    def decode(self, tag: int, body: memoryview) -> M | None:
        """The message of a frame; None for a tag that this version does not know.

        Raises:
            RemoteProtocolError: the body is not what the tag promises.
        """
        decoder = self._decoders.get(tag)
        if decoder is None:
            return None
        try:
            return decoder.decode(body)
        except UNREADABLE as fault:
            name = self._types[tag].__name__
            raise RemoteProtocolError(f"The body of a {name} frame is malformed: {fault}") from None


class FrameReader:
    """Cuts a stream of bytes, however it was chopped, into frames; keeps at most one frame.

    `whole` counts the frames that became whole.
    """

    def __init__(self, max_frame: int = DEFAULT_MAX_FRAME) -> None:
        self._max_frame = max_frame
        self.whole = 0
        self._rest = bytearray()

    def __len__(self) -> int:
        """Bytes kept of a frame that is not whole yet."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[tuple[int, int, memoryview]]:
        """Take bytes; give the frames that became whole as (tag, number, body).

        Raises:
            RemoteProtocolError: a length below the least or over the bound.
        """
        whole = bytes(self._rest) + data if self._rest else data
        view, size, most = memoryview(whole), len(whole), self._max_frame
        frames: list[tuple[int, int, memoryview]] = []
        at = 0
        while size - at >= _HEAD.size:
            length, tag, number = _HEAD.unpack_from(whole, at)
            if not _TAG_AND_NUMBER <= length <= most:
                raise self._out_of_bounds(length)
            end = at + _LENGTH + length
            if end > size:
                break
            frames.append((tag, number, view[at + _HEAD.size : end]))
            at = end
        else:
            if size - at >= _LENGTH:  # it is known before the rest of the head
                length = int.from_bytes(view[at : at + _LENGTH], "big")
                if not _TAG_AND_NUMBER <= length <= most:
                    raise self._out_of_bounds(length)
        self._rest = bytearray(view[at:])
        self.whole += len(frames)
        return frames

    def _out_of_bounds(self, length: int) -> RemoteProtocolError:
        return RemoteProtocolError(
            f"A frame says that it has {length} bytes; "
            f"{_TAG_AND_NUMBER} to {self._max_frame} are allowed."
        )

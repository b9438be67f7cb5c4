"""What is mended in libp2p for the whole process."""

from __future__ import annotations

from typing import Any

import pytest
from libp2p.exceptions import ParseError
from libp2p.io import msgio
from libp2p.io.abc import Reader
from libp2p.io.exceptions import IncompleteReadError
from libp2p.protocol_muxer.exceptions import MultiselectCommunicatorError
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from libp2p.security.pnet.psk_conn import PskConn
from libp2p.stream_muxer.yamux import yamux
from libp2p.utils import varint

from aiplat.node.mends import MAX_LINE, _read_exactly, _read_line, mend_libp2p


class Bytes(Reader):
    """A reader of these bytes, in pieces, that notes how many were asked for at most."""

    def __init__(self, data: bytes, piece: int = 2**32) -> None:
        self.data = data
        self.piece = piece
        self.most = 0

    async def read(self, n: int | None = None) -> bytes:
        assert n is not None
        self.most = max(self.most, n)
        n = min(n, self.piece)
        piece, self.data = self.data[:n], self.data[n:]
        return piece


class Written:
    """Keeps what was written."""

    def __init__(self) -> None:
        self.data = b""

    async def write(self, data: bytes) -> None:
        self.data += data


KEY = "ab" * 32


@pytest.mark.trio
async def test_a_line_is_read() -> None:
    assert await _read_line(Bytes(b"\x07/noise\n")) == b"/noise"


@pytest.mark.trio
@pytest.mark.parametrize(
    "data",
    [b"\xff\xff\xff\xff\x7f" + b"x" * 100, b"\x00", b"\x03abc", b"\x03\xff\xfe\n"],
    ids=["huge", "empty", "endless", "no text"],
)
async def test_a_bad_line_is_refused_and_nothing_huge_is_asked_for(data: bytes) -> None:
    """The original reads as many bytes as the peer says, and lets a UnicodeDecodeError pass."""
    reader = Bytes(data)
    with pytest.raises(ParseError):
        await _read_line(reader)
    assert reader.most <= MAX_LINE


@pytest.mark.trio
async def test_libp2p_reads_lines_so() -> None:
    mend_libp2p()
    with pytest.raises(MultiselectCommunicatorError):
        await MultiselectCommunicator(Bytes(b"\x03\xff\xfe\n")).read()  # type: ignore[arg-type]  # a fake


@pytest.mark.trio
@pytest.mark.parametrize("reads", [msgio, varint, yamux], ids=lambda module: module.__name__)
@pytest.mark.parametrize("piece", [1, 7, 536, 2**32])
async def test_a_message_may_come_in_any_number_of_pieces(reads: Any, piece: int) -> None:
    """The original calls it the end of the connection after 101 of them."""
    mend_libp2p()
    message = bytes(range(250)) * 240
    assert await reads.read_exactly(Bytes(message, piece), len(message)) == message


@pytest.mark.trio
async def test_a_connection_that_ends_in_a_message_is_said_to() -> None:
    with pytest.raises(IncompleteReadError, match="after 3 of 7 bytes"):
        await _read_exactly(Bytes(b"abc"), 7)


@pytest.mark.trio
async def test_a_piece_with_nothing_in_it_is_no_end() -> None:
    """A Noise message may be empty."""

    class Hesitant(Bytes):
        async def read(self, n: int | None = None) -> bytes:
            self.data, empty = self.data[1:], not self.data[0]
            return b"" if empty else b"x"

    assert await _read_exactly(Hesitant(b"\x01\x00\x00\x01"), 2) == b"xx"


@pytest.mark.trio
@pytest.mark.parametrize("piece", [1, 3, 2**32])
async def test_the_nonce_of_the_fence_may_come_in_pieces(piece: int) -> None:
    """The original takes it for a key that does not fit."""
    mend_libp2p()
    sent = Written()
    await PskConn(sent, KEY).write(b"Hello")  # type: ignore[arg-type]  # a fake
    fenced = PskConn(Bytes(sent.data, piece), KEY)  # type: ignore[arg-type]  # a fake
    heard = b""
    while len(heard) < 5:
        heard += await fenced.read(5)
    assert heard == b"Hello"
    with pytest.raises(IncompleteReadError):
        await PskConn(Bytes(b"1234"), KEY).read(5)  # type: ignore[arg-type]  # a fake

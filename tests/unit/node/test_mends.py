"""What is mended in libp2p for the whole process."""

from __future__ import annotations

import pytest
from libp2p.exceptions import ParseError
from libp2p.io.abc import Reader
from libp2p.protocol_muxer.exceptions import MultiselectCommunicatorError
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator

from aiplat.node.mends import MAX_LINE, _read_line, mend_libp2p


class Bytes(Reader):
    """A reader of these bytes, that notes how many were asked for at most."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.most = 0

    async def read(self, n: int | None = None) -> bytes:
        assert n is not None
        self.most = max(self.most, n)
        piece, self.data = self.data[:n], self.data[n:]
        return piece


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
        await MultiselectCommunicator(Bytes(b"\x03\xff\xfe\n")).read()  # type: ignore[arg-type]

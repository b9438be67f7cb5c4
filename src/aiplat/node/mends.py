"""Faults of py-libp2p 0.8.1 that are mended for the whole process, before a host is made."""

from __future__ import annotations

import logging

from Crypto.Cipher import Salsa20
from libp2p.exceptions import ParseError
from libp2p.io import msgio
from libp2p.io.abc import Reader
from libp2p.io.exceptions import IncompleteReadError
from libp2p.network.connection import swarm_connection
from libp2p.protocol_muxer import multiselect_communicator
from libp2p.security.pnet.psk_conn import PskConn
from libp2p.stream_muxer.yamux import yamux
from libp2p.utils import varint
from libp2p.utils.varint import decode_uvarint_from_stream

from aiplat.node.muxing import hold_to_windows

MAX_LINE = 64 * 1024
"""Bytes of one line of a negotiation, as go-libp2p has it."""

_NONCE_BYTES = 8

MAX_EMPTY_READS = 100
"""In a row, before they count as the end: a Noise message may be empty."""


def mend_libp2p() -> None:
    """Put them right; again is no harm."""
    _route_loggers()
    hold_to_windows()
    vars(multiselect_communicator)["read_delim"] = _read_line
    for reads in (msgio, varint, yamux):
        vars(reads)["read_exactly"] = _read_exactly
    PskConn.read = _read_fenced  # type: ignore[method-assign]  # see there


def _route_loggers() -> None:
    """Send its loggers where logging goes, and nowhere else (guard 11).

    At import it takes its root logger off the tree, so that its warnings go to stderr by
    Python's last resort; and one of its modules calls `logging.debug`, which puts a handler
    for stderr on the root when there is none.
    """
    root = logging.getLogger("libp2p")
    root.handlers.clear()
    root.propagate = True
    vars(swarm_connection)["logging"] = logging.getLogger(swarm_connection.__name__)


async def _read_line(reader: Reader) -> bytes:
    """One line of a negotiation. The original reads as many bytes as the peer says."""
    length = await decode_uvarint_from_stream(reader)
    if not 0 < length <= MAX_LINE:
        raise ParseError(f"a line of {length} bytes; 1 to {MAX_LINE} are allowed")
    line = await _read_exactly(reader, length)
    if line[-1:] != b"\n":
        raise ParseError("a line without its end")
    try:
        line.decode()  # the caller will, and lets what that raises pass
    except UnicodeDecodeError as fault:
        raise ParseError("a line that is no text") from fault
    return line[:-1]


async def _read_fenced(self: PskConn, n: int | None = None) -> bytes:
    """Some bytes past the pre-shared key's fence.

    The original takes a nonce that comes in pieces for a wrong one.

    Raises:
        IncompleteReadError: the connection ended within the nonce.
    """
    if self.read_cipher is None:
        nonce = await _read_exactly(self._conn, _NONCE_BYTES)
        self.read_cipher = Salsa20.new(key=self._psk, nonce=nonce)
    data = await self._conn.read(n)
    return self.read_cipher.decrypt(data) if data else b""


async def _read_exactly(reader: Reader, n: int) -> bytes:
    """So many bytes, in however many pieces they come.

    The original gives up after 101 pieces and calls it the end of the connection: a message of
    60 KB over a slow link with small segments has more.

    Raises:
        IncompleteReadError: the connection ended before.
    """
    data = await reader.read(n)
    if len(data) == n:
        return bytes(data)
    buffer, empty = bytearray(data), 0
    while len(buffer) < n:
        data = await reader.read(n - len(buffer))
        buffer += data
        empty = 0 if data else empty + 1
        if empty >= MAX_EMPTY_READS:
            raise IncompleteReadError(
                f"the connection ended after {len(buffer)} of {n} bytes",
                expected_bytes=n, received_bytes=len(buffer),
            )  # fmt: skip
    return bytes(buffer)

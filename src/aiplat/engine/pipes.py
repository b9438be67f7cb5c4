"""The engine's side of its pipes: frames in and out, and its end with its node. Blocking."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable

import msgspec

from aiplat.protocol.framing import Codec, FrameReader

_READ = 256 * 1024


def take_standard_pipes() -> tuple[int, int]:
    """Move standard input and output away, so that no library reads or writes the frames.

    What is printed from here on goes to stderr, the engine's log.
    """
    incoming, outgoing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return incoming, outgoing


def end_with(lifeline: int) -> None:
    """Have the kernel end this process when nobody holds the other end of `lifeline` any more.

    It does so even while a library holds the interpreter's lock: at import, in a forward. (Not
    PR_SET_PDEATHSIG: that would end it with the parent's *thread* that started it.)
    """
    if lifeline < 0 or not hasattr(fcntl, "F_SETOWN"):
        return
    signal.signal(signal.SIGIO, signal.SIG_DFL)  # which is to end
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC | os.O_NONBLOCK)
    try:
        if os.read(lifeline, 1) == b"":  # it was gone before we asked
            os._exit(0)
    except BlockingIOError:
        pass


class Outgoing:
    """Writes frames, from any thread; what is given at once leaves in one write."""

    def __init__(self, file: int, codec: Codec[msgspec.Struct]) -> None:
        self._file = file
        self._codec = codec
        self._lock = threading.Lock()

    def write(self, messages: Iterable[tuple[int, msgspec.Struct]]) -> None:
        """Write (request's number, message) in order; the node's end ends this process."""
        data = b"".join(self._codec.encode(message, number) for number, message in messages)
        with self._lock:
            try:
                while data:
                    data = data[os.write(self._file, data) :]
            except OSError:
                os._exit(0)


def read_frames(
    file: int, codec: Codec[msgspec.Struct], take: Callable[[int, msgspec.Struct], None]
) -> None:
    """Give each message with its request's number to `take`; the end of input ends the process."""
    try:
        reader = FrameReader(codec.max_frame)
        while data := os.read(file, _READ):
            for tag, number, body in reader.feed(data):
                message = codec.decode(tag, body)
                if message is not None:
                    take(number, message)
    except BaseException as error:  # noqa: BLE001  # whatever it is, the process must not go deaf
        sys.stderr.write(f"the node's pipe broke: {type(error).__name__}: {error}\n")
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)

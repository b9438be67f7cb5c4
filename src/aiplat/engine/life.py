"""One life of an engine's process, as its node sees it: frames to and fro, and a watch on it."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec
import trio

from aiplat.engine.child import Child, how_it_ended
from aiplat.engine.messages import LoadFailed, Numbers, Ready
from aiplat.engine.settings import EngineSettings
from aiplat.protocol.errors import RemoteProtocolError
from aiplat.protocol.framing import Codec, FrameReader
from aiplat.protocol.messages import Ping, Pong

_READ = 256 * 1024
_PING_SECONDS = 1.0
_LOADING_SILENCE = 30.0  # seconds: imports hold the interpreter's lock for long
_GRACE = 0.5
_LAG = 0.25

log = logging.getLogger("aiplat.engine.life")


class Died(Exception):
    """The process is of no use any more; the text follows its name in a sentence."""


class Life:
    """Runs until the process is dead, silent, hung or breaks the protocol.

    Arguments:
        take: called with each message and its request's number; raises `RemoteProtocolError`
            for what may not come now.
        busy: tells whether the engine has work, so that making no step is a fault.
    """

    def __init__(
        self,
        child: Child,
        settings: EngineSettings,
        codec: Codec[msgspec.Struct],
        take: Callable[[int, msgspec.Struct], None],
        busy: Callable[[], bool],
    ) -> None:
        self._child = child
        self._settings = settings
        self._codec = codec
        self._take = take
        self._busy = busy
        self._out: list[bytes] = []
        self._wake = trio.Event()
        self.ready = False
        self._began = self._heard = self._stepped = trio.current_time()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._child.process.pid

    def send(self, message: msgspec.Struct, number: int) -> None:
        """Send a frame, after those that wait.

        Raises:
            LocalProtocolError: it is over the bound.
        """
        self.send_bytes(self._codec.encode(message, number))

    def send_bytes(self, frame: bytes) -> None:
        """Send a frame that is encoded already."""
        self._out.append(frame)
        self._wake.set()

    async def run(self) -> None:
        """Raise `Died` when it is over; never returns."""
        cause: list[str] = []
        async with trio.open_nursery() as nursery:

            async def part(work: Callable[[], object]) -> None:
                try:
                    await work()  # type: ignore[misc]  # each is an async function
                except Died as died:
                    cause.append(str(died))
                    nursery.cancel_scope.cancel()

            nursery.start_soon(part, self._read)
            nursery.start_soon(part, self._write)
            nursery.start_soon(part, self._watch)
        raise Died(cause[0] if cause else "was stopped")

    async def _read(self) -> None:
        stream = self._child.process.stdout
        assert stream is not None  # it is a pipe
        reader = FrameReader(self._codec.max_frame)
        while True:
            try:
                data = bytes(await stream.receive_some(_READ))
            except (trio.BrokenResourceError, OSError):
                data = b""
            if not data:
                raise Died(await self._ending())
            self._heard = trio.current_time()
            self._feed(reader, data)

    def _feed(self, reader: FrameReader, data: bytes) -> None:
        try:
            for tag, number, body in reader.feed(data):
                self._message(tag, number, body)
        except RemoteProtocolError as error:
            raise Died(f"broke the protocol: {error}") from None
        except Died:
            raise
        except Exception:  # ours: it must cost the engine's requests and not the node
            log.exception("what the engine said was not taken")
            raise Died("was given up for a fault of this node, which its log tells") from None

    def _message(self, tag: int, number: int, body: memoryview) -> None:
        message = self._codec.decode(tag, body)
        if message is None:
            raise RemoteProtocolError(f"it sent a frame with the unknown tag {tag}")
        if isinstance(message, Pong):
            return
        if isinstance(message, Numbers | Ready):
            self._stepped = trio.current_time()
        if isinstance(message, Ready):
            self.ready = True
        self._take(number, message)
        if isinstance(message, LoadFailed):
            raise Died("could not load its model")

    async def _write(self) -> None:
        stream = self._child.process.stdin
        assert stream is not None  # it is a pipe
        while True:
            if not self._out:
                self._wake = trio.Event()
                await self._wake.wait()
            data, self._out = b"".join(self._out), []
            try:
                await stream.send_all(data)
            except (trio.BrokenResourceError, OSError):
                raise Died(await self._ending()) from None

    async def _watch(self) -> None:
        settings, nonce = self._settings, 0
        pause = min(_PING_SECONDS, settings.silence_seconds / 4)
        while True:
            slept = trio.current_time()
            await trio.sleep(pause)
            nonce += 1
            self.send(Ping(nonce), 0)
            now = trio.current_time()
            self._discount(now - slept - pause)
            silence = settings.silence_seconds
            if not self.ready:
                silence = max(silence, _LOADING_SILENCE)
                if now - self._began > settings.load_seconds:
                    raise Died(f"did not load its model within {settings.load_seconds:g} s")
            if now - self._heard > silence:
                raise Died(f"did not answer for {silence:g} s")
            if not self._busy():
                continue
            if self.ready and now - self._stepped > settings.hang_seconds:
                raise Died(f"made no step for {settings.hang_seconds:g} s")

    def _discount(self, lag: float) -> None:
        """Do not blame the engine for seconds in which this node itself stood still."""
        if lag > _LAG:
            self._began += lag
            self._heard += lag
            self._stepped += lag

    async def _ending(self) -> str:
        """How the process ended, which may take it a moment after its pipe closed."""
        with trio.move_on_after(_GRACE):
            await self._child.process.wait()
        return how_it_ended(self._child.process.returncode)

"""The blocking client of the faces: a node's control API over its Unix socket, or its port.

On `http.client` rather than httpx, whose import takes longer than most commands run. `aio` is the
same for asyncio.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from aiplat.control import calls
from aiplat.control.accounts import KeyringState
from aiplat.control.calls import Call, Reply
from aiplat.control.events import Event, EventReader
from aiplat.control.faults import Faults, NodeLost, NodeSilent, NoNode
from aiplat.control.machine import DoctorReply, LogAsk, LogReply, PullWish, ServeWish, Shelf
from aiplat.control.messages import (
    Access,
    Ask,
    Done,
    DrainWish,
    Explanation,
    Invitation,
    InviteRequest,
    JoinRequest,
    MemberList,
    ModelList,
    ModelName,
    ModelStatus,
    NetworkCreate,
    PeerList,
    PeerName,
    ShareStatus,
    ShareWish,
    Status,
    Stop,
    Stopping,
)
from aiplat.control.series import SeriesAsk, SeriesReply
from aiplat.control.ways import LOOPBACK, ControlPort, told_port
from aiplat.domain.answers import Failed, Finished
from aiplat.domain.errors import DeadlineExceeded

if TYPE_CHECKING:
    import http.client

__all__ = ["ControlClient", "Event", "NoNode", "NodeLost", "NodeSilent", "Reply"]

MAX_REPLY = 16 * 1024 * 1024
SLACK = 5.0
"""Seconds past an answer's deadline in which the node may say that it passed."""
SILENCE = 4.0
"""Seconds for what a node answers by itself, from memory: one that takes longer is frozen."""
STREAM_SILENCE = 30.0
"""Seconds in which a stream may say nothing; the node sends comments more often."""
_READ = 64 * 1024


class ControlClient:
    """Asks the node at one socket. Holds nothing open between calls.

    Arguments:
        path: the control socket, or the file that tells a port (`ways`).
        timeout: seconds that the node may take to answer a question about itself.
        silence: seconds that it may say nothing at all while it gives an answer; it sends
            comments while it waits itself.
        log: where the node writes; a person is told when it is lost.
        credential: an API key of the face's environment, which goes with each call; the node
            neither keeps nor logs it.
    """

    def __init__(
        self,
        path: Path,
        *,
        timeout: float = SILENCE,
        silence: float = STREAM_SILENCE,
        log: Path | None = None,
        credential: str = "",
    ) -> None:
        self.path = path
        self._credential = credential
        self._faults = Faults(path, log)
        self._timeout = timeout
        self._silence = silence

    def call(self, call: Call[Reply]) -> Reply:
        """Put one question.

        Raises:
            NoNode: there is none.
            NodeLost: it does not answer.
            AiplatError: what it answers instead. So do all methods here.
        """
        seconds = max(self._timeout, call.seconds)
        connection, headers = self._connect(seconds)
        try:
            response = self._send(connection, headers, call.method, call.path, call.body)
            data = self._read(response, seconds)
            if response.status != 200:
                raise self._faults.refused(data, response.status)
            try:
                return msgspec.json.decode(data, type=call.reply)
            except msgspec.MsgspecError as error:
                raise self._faults.strange(str(error)) from None
        finally:
            connection.close()

    def status(self) -> Status:
        """The node, now."""
        return self.call(calls.status())

    def models(self) -> tuple[ModelStatus, ...]:
        """The models that can be asked for."""
        return self.model_list().models

    def model_list(self) -> ModelList:
        """Those, and what else lies on the node's machine."""
        return self.call(calls.model_list())

    def remove_model(self, model: ModelName) -> Done:
        """Remove a pulled model from the disk."""
        return self.call(calls.remove_model(model))

    def shelf(self) -> Shelf:
        """The models that the machine has or could have, and what is being brought."""
        return self.call(calls.shelf())

    def pull_model(self, wish: PullWish) -> Done:
        """Begin to bring a model onto the machine, or end that."""
        return self.call(calls.pull_model(wish))

    def serve_model(self, wish: ServeWish) -> Done:
        """Offer a model that lies there, or no more."""
        return self.call(calls.serve_model(wish))

    def access(self) -> Access:
        """How programs reach its HTTP door."""
        return self.call(calls.access())

    def stop(self, stop: Stop) -> Stopping:
        """End it, as `stop` says."""
        return self.call(calls.stop(stop))

    def log(self, ask: LogAsk) -> LogReply:
        """The node's log."""
        return self.call(calls.log(ask))

    def doctor(self) -> DoctorReply:
        """Look at each step from there to an answer."""
        return self.call(calls.doctor())

    def create_network(self, wish: NetworkCreate) -> Done:
        """Make a network; comes back when the node listens again."""
        return self.call(calls.create_network(wish))

    def join_network(self, wish: JoinRequest) -> Done:
        """Join a network; comes back when the node listens again."""
        return self.call(calls.join_network(wish))

    def leave_network(self) -> Done:
        """Belong to no network any more."""
        return self.call(calls.leave_network())

    def invite(self, wish: InviteRequest) -> Invitation:
        """Make a token."""
        return self.call(calls.invite(wish))

    def members(self) -> MemberList:
        """Everyone with a certificate."""
        return self.call(calls.members())

    def revoke(self, peer: PeerName) -> Done:
        """Take a member's certificate away."""
        return self.call(calls.revoke(peer))

    def peers(self) -> PeerList:
        """The peers that the node has, or wants, a channel to."""
        return self.call(calls.peers())

    def drain(self, wish: DrainWish) -> Done:
        """Place no more on a processor; with an empty name, take no more at all. Or end that."""
        return self.call(calls.drain(wish))

    def series(self, ask: SeriesAsk) -> SeriesReply:
        """What the graphs show."""
        return self.call(calls.series(ask))

    def share(self) -> ShareStatus:
        """How the machine is shared with others, and who uses it."""
        return self.call(calls.share())

    def set_share(self, wish: ShareWish) -> Done:
        """Share it on other terms."""
        return self.call(calls.set_share(wish))

    def block(self, peer: PeerName) -> Done:
        """Shut a peer out."""
        return self.call(calls.block(peer))

    def unblock(self, peer: PeerName) -> Done:
        """Let a peer in again."""
        return self.call(calls.unblock(peer))

    def explain(self, request: str) -> Explanation:
        """Why a request went where it went."""
        return self.call(calls.explain(request))

    def keyring(self) -> KeyringState:
        """Where the node keeps secrets, and whether it can."""
        return self.call(calls.keyring())

    def stop_answer(self, request: str) -> Done:
        """End an answer that the node keeps."""
        return self.call(calls.stop_answer(request))

    def accounts(
        self,
        method: str,
        wish: msgspec.Struct,
        wanted: type[Reply],
        *,
        gateway: str = "",
        insecure: bool = False,
    ) -> Reply:
        """Ask something of a gateway's accounts (`calls.accounts`)."""
        return self.call(calls.accounts(method, wish, wanted, gateway=gateway, insecure=insecure))

    def history(self, method: str, wish: msgspec.Struct, wanted: type[Reply]) -> Reply:
        """Ask something of the conversations (`calls.history`)."""
        return self.call(calls.history(method, wish, wanted))

    def ask(self, ask: Ask) -> Iterator[Event]:
        """Ask a prompt; gives `Accepted`, then events up to `Finished`.

        Closing the iterator early cancels the answer, unless the node keeps it. Deltas may come
        joined.

        Raises:
            AiplatError: the leaf that a refusal or a `Failed` tells of: `Failed` is never given.
            DeadlineExceeded: the deadline passed, also when the node does not say so.
        """
        connection, headers = self._connect(self._silence)
        try:
            body = msgspec.json.encode(ask)
            response = self._send(connection, headers, "POST", "/control/ask", body)
            if response.status != 200:
                data = self._read(response, self._silence)
                raise self._faults.refused(data, response.status)
            yield from self._events(response, ask.deadline_ms / 1000)
        finally:
            connection.close()

    # -- the way there -----------------------------------------------------------------------

    def _connect(self, timeout: float) -> tuple[http.client.HTTPConnection, dict[str, str]]:
        """A connection, and the headers that each request on it needs."""
        import http.client  # 28 ms, and some commands ask no node

        connection = http.client.HTTPConnection("localhost")
        try:
            told = told_port(self.path)
            connection.sock = self._open(timeout, told)
        except (FileNotFoundError, ConnectionRefusedError):
            raise self._faults.absent() from None
        except TimeoutError:
            raise self._faults.silent(timeout) from None
        except OSError as error:
            raise self._faults.unusable(error) from None
        return connection, {} if told is None else told.headers

    def _open(self, timeout: float, told: ControlPort | None) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX if told is None else socket.AF_INET)
        sock.settimeout(timeout)
        try:
            sock.connect(os.fspath(self.path) if told is None else (LOOPBACK, told.port))
        except BaseException:
            sock.close()
            raise
        return sock

    def _send(
        self,
        connection: http.client.HTTPConnection,
        headers: dict[str, str],
        method: str,
        path: str,
        body: bytes | None,
    ) -> http.client.HTTPResponse:
        import http.client  # as above

        headers = dict(headers)
        if body is not None:
            headers["content-type"] = "application/json"
        if self._credential:
            headers["authorization"] = f"Bearer {self._credential}"
        try:
            connection.request(method, path, body, headers)
            return connection.getresponse()
        except TimeoutError:
            raise self._faults.silent(connection.sock.gettimeout()) from None
        except (OSError, http.client.HTTPException):
            raise self._faults.ended() from None

    def _read(self, response: http.client.HTTPResponse, seconds: float) -> bytes:
        import http.client  # as above

        try:
            return response.read(MAX_REPLY)
        except TimeoutError:
            raise self._faults.silent(seconds) from None
        except (OSError, http.client.HTTPException):
            raise self._faults.ended() from None

    def _events(self, response: http.client.HTTPResponse, seconds: float) -> Iterator[Event]:
        import http.client  # as above

        reader, end = EventReader(), time.monotonic() + seconds + SLACK
        while True:
            try:
                data = response.read1(_READ)
            except TimeoutError:
                raise self._faults.silent(self._silence) from None
            except (OSError, ValueError, http.client.HTTPException):
                raise self._faults.ended() from None
            if time.monotonic() > end:
                raise DeadlineExceeded(f"The answer did not end within {seconds:g} seconds.")
            if not data:
                raise self._faults.ended()
            try:
                events = list(reader.feed(data))
            except ValueError as error:
                raise self._faults.strange(str(error)) from None
            for event in events:
                if isinstance(event, Failed):
                    raise event.error()
                yield event
                if isinstance(event, Finished):
                    return

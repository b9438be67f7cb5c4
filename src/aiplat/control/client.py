"""The one client of the faces: a node's control API over its Unix socket. Blocking.

On `http.client` rather than httpx, whose import takes longer than most commands run.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from aiplat.control.accounts import METHODS, AccountsCall, KeyringState
from aiplat.control.messages import (
    Accepted,
    Access,
    Ask,
    Done,
    DrainWish,
    ErrorReply,
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
    RequestName,
    ShareStatus,
    ShareWish,
    Status,
    Stop,
    Stopping,
)
from aiplat.control.series import SeriesAsk, SeriesReply
from aiplat.domain.answers import Delta, Failed, Finished, Queued, Started
from aiplat.domain.errors import DeadlineExceeded, NotReady

if TYPE_CHECKING:
    import http.client

Reply = TypeVar("Reply", bound=msgspec.Struct)
Event = Accepted | Queued | Started | Delta | Finished

_EVENTS: msgspec.json.Decoder[Event | Failed] = msgspec.json.Decoder(
    Accepted | Queued | Started | Delta | Finished | Failed
)
_NAMES = frozenset({"accepted", "queued", "started", "delta", "finished", "failed"})
_MAX_REPLY = 16 * 1024 * 1024
_SLACK = 5.0
_SILENCE = 4.0
"""Seconds for what a node answers by itself, from memory: one that takes longer is frozen."""
_ASKING_OTHERS = 15.0
"""Seconds for what it may ask another node for; it gives up before (`http.call_seconds`)."""
_ACCOUNTS = 60.0
"""Seconds for a question about accounts: a password's hash and its queue, a keyring that hangs (3 s
and again), a gateway to be reached; a backup has to be done by then too."""
_CHANGING = 150.0
"""Seconds for taking up a network: joining asks at up to eight addresses, one after the other
(`node.connect_seconds` each), and then the node listens anew (`node.rejoin_seconds`)."""


class NoNode(NotReady):
    """No node runs at the socket."""


class NodeLost(NotReady):
    """The node is there, but does not answer, or ended in the middle of an answer."""


class NodeSilent(NodeLost):
    """The node is there, and says nothing at all: it is frozen, or this machine is overloaded."""


class ControlClient:
    """Asks the node at one socket. Holds nothing open between calls.

    Arguments:
        path: the control socket.
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
        timeout: float = _SILENCE,
        silence: float = 30.0,
        log: Path | None = None,
        credential: str = "",
    ) -> None:
        self.path = path
        self._credential = credential
        self._log = f" Its log is {log}." if log is not None else ""
        self._timeout = timeout
        self._silence = silence

    def status(self) -> Status:
        """The node, now.

        Raises:
            NoNode: there is none.
            NodeLost: it does not answer.
            AiplatError: what it answers instead. So do all methods here.
        """
        return self._call("GET", "/control/status", Status)

    def models(self) -> tuple[ModelStatus, ...]:
        """The models that can be asked for."""
        return self.model_list().models

    def model_list(self) -> ModelList:
        """Those, and what else lies on the node's machine."""
        seconds = max(self._timeout, _ASKING_OTHERS)
        return self._call("GET", "/control/models", ModelList, seconds=seconds)

    def remove_model(self, model: ModelName) -> Done:
        """Remove a pulled model from the disk."""
        return self._tell("/control/models/remove", model, seconds=_ASKING_OTHERS)

    def access(self) -> Access:
        """How programs reach its HTTP door."""
        return self._call("GET", "/control/access", Access)

    def stop(self, stop: Stop) -> Stopping:
        """End it, as `stop` says."""
        return self._call("POST", "/control/stop", Stopping, msgspec.json.encode(stop))

    def create_network(self, wish: NetworkCreate) -> Done:
        """Make a network; comes back when the node listens again."""
        return self._tell("/control/network/create", wish, seconds=_CHANGING)

    def join_network(self, wish: JoinRequest) -> Done:
        """Join a network; comes back when the node listens again."""
        return self._tell("/control/network/join", wish, seconds=_CHANGING)

    def leave_network(self) -> Done:
        """Belong to no network any more."""
        return self._tell("/control/network/leave", None, seconds=_CHANGING)

    def invite(self, wish: InviteRequest) -> Invitation:
        """Make a token."""
        body = msgspec.json.encode(wish)
        return self._call("POST", "/control/network/invite", Invitation, body)

    def members(self) -> MemberList:
        """Everyone with a certificate."""
        return self._call("GET", "/control/network/members", MemberList)

    def revoke(self, peer: PeerName) -> Done:
        """Take a member's certificate away."""
        return self._tell("/control/network/revoke", peer)

    def peers(self) -> PeerList:
        """The peers that the node has, or wants, a channel to."""
        return self._call("GET", "/control/peers", PeerList)

    def drain(self, wish: DrainWish) -> Done:
        """Place no more on a processor; with an empty name, take no more at all. Or end that."""
        return self._tell("/control/drain", wish)

    def series(self, ask: SeriesAsk) -> SeriesReply:
        """What the graphs show."""
        return self._call("POST", "/control/series", SeriesReply, msgspec.json.encode(ask))

    def share(self) -> ShareStatus:
        """How the machine is shared with others, and who uses it."""
        return self._call("GET", "/control/share", ShareStatus)

    def set_share(self, wish: ShareWish) -> Done:
        """Share it on other terms."""
        return self._tell("/control/share", wish)

    def block(self, peer: PeerName) -> Done:
        """Shut a peer out."""
        return self._tell("/control/block", peer)

    def unblock(self, peer: PeerName) -> Done:
        """Let a peer in again."""
        return self._tell("/control/unblock", peer)

    def explain(self, request: str) -> Explanation:
        """Why a request went where it went."""
        seconds = max(self._timeout, _ASKING_OTHERS)
        body = msgspec.json.encode(RequestName(request=request))
        return self._call("POST", "/control/explain", Explanation, body, seconds=seconds)

    def accounts(
        self,
        method: str,
        wish: msgspec.Struct,
        wanted: type[Reply],
        *,
        gateway: str = "",
        insecure: bool = False,
    ) -> Reply:
        """Ask something of a gateway's accounts.

        Arguments:
            method: a name of `METHODS`; `wish` and `wanted` are its structs.
            gateway: which (`AccountsCall`).
            insecure: whether what is to be kept may be kept in the clear.
        """
        assert METHODS[method].reply is wanted
        call = AccountsCall(
            method=method, wish=msgspec.Raw(msgspec.json.encode(wish)), gateway=gateway,
            insecure=insecure,
        )  # fmt: skip
        body = msgspec.json.encode(call)
        return self._call("POST", "/control/accounts", wanted, body, seconds=_ACCOUNTS)

    def keyring(self) -> KeyringState:
        """Where the node keeps secrets, and whether it can."""
        seconds = max(self._timeout, _ASKING_OTHERS)
        return self._call("GET", "/control/keyring", KeyringState, seconds=seconds)

    def _tell(
        self, path: str, body: msgspec.Struct | None, *, seconds: float | None = None
    ) -> Done:
        return self._call("POST", path, Done, msgspec.json.encode(body or {}), seconds=seconds)

    def ask(self, ask: Ask) -> Iterator[Event]:
        """Ask a prompt; gives `Accepted`, then events up to `Finished`.

        Closing the iterator early cancels the answer. Deltas may come joined.

        Raises:
            AiplatError: the leaf that a refusal or a `Failed` tells of: `Failed` is never given.
            DeadlineExceeded: the deadline passed, also when the node does not say so.
        """
        connection = self._connect(self._silence)
        try:
            response = self._send(connection, "POST", "/control/ask", msgspec.json.encode(ask))
            if response.status != 200:
                raise self._error(self._read(response, self._silence), response.status)
            yield from self._events(response, ask.deadline_ms / 1000)
        finally:
            connection.close()

    # -- the way there -----------------------------------------------------------------------

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        import http.client  # 28 ms, and some commands ask no node

        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        try:
            sock.connect(os.fspath(self.path))
        except (FileNotFoundError, ConnectionRefusedError):
            sock.close()
            raise NoNode(
                f"No node runs here (nothing listens at {self.path}). Start one with "
                "`aiplat serve`."
            ) from None
        except TimeoutError:
            sock.close()
            raise self._silent(timeout) from None
        except OSError as error:
            sock.close()
            raise NoNode(
                f"The node's control socket {self.path} cannot be used: {error.strerror or error}."
            ) from None
        connection = http.client.HTTPConnection("localhost")
        connection.sock = sock
        return connection

    def _send(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None
    ) -> http.client.HTTPResponse:
        import http.client  # as above

        headers = {"content-type": "application/json"} if body is not None else {}
        if self._credential:
            headers["authorization"] = f"Bearer {self._credential}"
        try:
            connection.request(method, path, body, headers)
            return connection.getresponse()
        except TimeoutError:
            raise self._silent(connection.sock.gettimeout()) from None
        except (OSError, http.client.HTTPException):
            raise self._ended() from None

    def _call(
        self,
        method: str,
        path: str,
        wanted: type[Reply],
        body: bytes | None = None,
        *,
        seconds: float | None = None,
    ) -> Reply:
        connection = self._connect(seconds or self._timeout)
        try:
            response = self._send(connection, method, path, body)
            data = self._read(response, seconds or self._timeout)
            if response.status != 200:
                raise self._error(data, response.status)
            try:
                return msgspec.json.decode(data, type=wanted)
            except msgspec.MsgspecError as error:
                raise self._strange(str(error)) from None
        finally:
            connection.close()

    def _read(self, response: http.client.HTTPResponse, seconds: float) -> bytes:
        import http.client  # as above

        try:
            return response.read(_MAX_REPLY)
        except TimeoutError:
            raise self._silent(seconds) from None
        except (OSError, http.client.HTTPException):
            raise self._ended() from None

    def _events(self, response: http.client.HTTPResponse, seconds: float) -> Iterator[Event]:
        end = time.monotonic() + seconds + _SLACK
        for name, data in self._named(response, end, seconds):
            if name not in _NAMES:
                continue  # of a newer node
            try:
                event = _EVENTS.decode(data)
            except msgspec.MsgspecError as error:
                raise self._strange(str(error)) from None
            if isinstance(event, Failed):
                raise event.error()
            yield event
            if isinstance(event, Finished):
                return
        raise self._ended()

    def _named(
        self, response: http.client.HTTPResponse, end: float, seconds: float
    ) -> Iterator[tuple[str, bytes]]:
        """The events of a stream, by name; each has one line of data (HTML standard, 9.2.6)."""
        import http.client  # as above

        name = ""
        while True:
            try:
                line = response.readline(_MAX_REPLY)
            except TimeoutError:
                raise self._silent(self._silence) from None
            except (OSError, ValueError, http.client.HTTPException):
                raise self._ended() from None
            if time.monotonic() > end:
                raise DeadlineExceeded(f"The answer did not end within {seconds:g} seconds.")
            if not line:
                return
            field, _, value = line.rstrip(b"\r\n").partition(b": ")
            if field == b"event":
                name = value.decode("utf-8", "replace")
            elif field == b"data":
                yield name, value

    # -- what can go wrong -------------------------------------------------------------------

    def _error(self, data: bytes, status: int) -> Exception:
        try:
            return msgspec.json.decode(data, type=ErrorReply).error.error()
        except msgspec.MsgspecError:
            return self._strange(f"status {status}")

    def _silent(self, seconds: float | None) -> NodeSilent:
        return NodeSilent(
            f"The node of this home has not answered for {seconds or 0:g} seconds: it is frozen, "
            f"or overloaded. `aiplat stop --now` ends it.{self._log}"
        )

    def _ended(self) -> NodeLost:
        return NodeLost(
            "The node of this home ended before its answer was whole: it was stopped or killed. "
            f"Ask again.{self._log}"
        )

    def _strange(self, what: str) -> NodeLost:
        return NodeLost(
            f"What answers at {self.path} is no node of this version ({what}). Stop it and start "
            "it again."
        )

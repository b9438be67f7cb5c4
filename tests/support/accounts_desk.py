"""A node that answers about accounts what a test wrote down, behind the real `ControlClient`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from aiplat.cli.face import Face
from aiplat.control.accounts import METHODS, AccountsCall, KeyringState, UserStatus
from aiplat.control.calls import Call, Reply
from aiplat.control.client import ControlClient
from aiplat.control.messages import Status
from tests.support.fake_node import PEER

GATEWAY = "12D3KooWGatewayGatewayGatewayGatewayGatewayGate1234"
KEY = "sk-aip-abcdefghijklabcdefghijkl-ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopq"
PASSWORD = "correct horse ñ"
ANN = UserStatus(id="u1", name="ann", created=1_795_000_000)

STATUS = Status(
    peer_id=PEER, addresses=(), http="", control="", roles=("client", "gateway"), models=(),
    peers=(), version="0", pid=1,
)  # fmt: skip


class Asked(NamedTuple):
    """What the desk was asked, as it came over the socket."""

    method: str
    wish: Any
    gateway: str = ""
    insecure: bool = False


class Desk(ControlClient):
    """Answers in the order that a test put down; an exception is raised.

    Arguments:
        answers: by method; the last one stays.
    """

    def __init__(self, answers: dict[str, list[Any]] | None = None) -> None:
        super().__init__(Path("/nowhere"))
        self.answers = answers or {}
        self.asked: list[Asked] = []
        self.ring = KeyringState(backend="fake", usable=True)

    def put(self, method: str, *answers: Any) -> None:
        """Answer `method` with these, one after the other."""
        self.answers[method] = list(answers)

    def wish(self) -> Any:
        """What was asked last."""
        return self.asked[-1].wish

    def call(self, call: Call[Reply]) -> Reply:
        wanted, asked = call.reply, call.wish
        if call.path == "/control/keyring":
            assert isinstance(self.ring, wanted)
            return self.ring
        assert (call.method, call.path) == ("POST", "/control/accounts")
        assert isinstance(asked, AccountsCall)
        assert call.body  # made as for a real node: what is no text cannot be sent
        known = METHODS[asked.method]
        wish = msgspec.json.decode(asked.wish, type=known.wish)
        self.asked.append(Asked(asked.method, wish, asked.gateway, asked.insecure))
        ready = self.answers[asked.method]
        answer = ready.pop(0) if len(ready) > 1 else ready[0]
        if isinstance(answer, BaseException):
            raise answer
        return msgspec.json.decode(msgspec.json.encode(answer), type=wanted)


def desk_at(monkeypatch: pytest.MonkeyPatch, desk: Desk, status: Status = STATUS) -> Desk:
    """Let every command find this desk's node."""
    found: Callable[[Face], Any] = lambda face: (desk, status)  # noqa: E731 - it is a method
    monkeypatch.setattr(Face, "running", found)
    return desk

"""A channel and a node with nothing behind them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec

from aiplat.domain.answers import AnswerSink, Submission
from aiplat.domain.errors import NoPeer
from aiplat.domain.ids import PeerId
from aiplat.protocol.messages import Call, Hello, Reply
from tests.support.scripted import ScriptedProcessor, Work


class FakeChannel:
    """What roles see of a `Channel`; requests go to a scripted inference."""

    def __init__(self, peer: str, *roles: str, latency: float | None = None) -> None:
        self.peer = PeerId(peer)
        self.hello = Hello(roles=roles)  # type: ignore[arg-type]  # test data
        self.roles = roles
        self.latency = latency
        self.address = f"/ip4/127.0.0.1/tcp/1/p2p/{peer}"
        self.is_ended = self.draining = False
        self.dialed = True
        self.closed = ""
        self.said: list[Any] = []
        self.behind = ScriptedProcessor()
        self.reply = Reply(body=msgspec.Raw(msgspec.msgpack.encode(())))

    def say(self, message: object) -> None:
        self.said.append(message)

    def submit(self, submission: Submission, sink: AnswerSink) -> Work:
        return self.behind.submit(submission, sink)

    def close(self, code: str, message: str) -> None:
        self.closed = code

    async def call(self, call: Call, deadline_seconds: float) -> Reply:
        return self.reply


class FakeIncoming(SimpleNamespace):
    """A request that came over a channel."""

    def __init__(self, submission: Submission, *roles: str) -> None:
        asker = SimpleNamespace(peer=PeerId("asker"), roles=roles or ("client", "gateway"))
        super().__init__(submission=submission, events=[], asking=None, channel=asker)

    def deliver(self, event: object) -> None:
        self.events.append(event)

    def attach(self, asking: object) -> None:
        self.asking = asking


class FakeNode:
    """What a client sees of a `Node`: addresses that lead to fake channels."""

    def __init__(self, **reachable: Any) -> None:
        self.reachable = reachable
        self.kept: list[str] = []
        self.wanted: list[Any] = []
        self.membership = SimpleNamespace(blocked=frozenset())

    async def reach(self, address: str) -> Any:
        if address not in self.reachable:
            raise NoPeer(f"{address} refused the connection.")
        return self.reachable[address]

    def keep(self, address: str) -> None:
        self.kept.append(address)

"""Nodes that speak through a relay, and one that believes itself behind a NAT."""

from __future__ import annotations

from aiplat.domain.answers import Finished
from tests.unit.node.helpers import Handler, Sink, submission
from tests.unit.node.nodes import Peer, until

NOWHERE = "/ip4/127.0.0.1/tcp/1/p2p/"


def hide(peer: Peer) -> Peer:
    """Let a node believe that it listens where nothing does, as one behind a NAT finds."""
    peer.node.nat._own = lambda: (NOWHERE + peer.node.peer_id,)
    return peer


def through(relay: Peer, peer: Peer) -> str:
    return f"{relay.address}/p2p-circuit/p2p/{peer.node.peer_id}"


async def answer_a_request(asker: Peer, server: Peer, text: str = "Hello") -> Sink:
    """One request and its answer on the channel that stands between them."""
    channel = asker.node.channels[server.node.peer_id]
    handler = handler_of(server, asker)
    sink, before = Sink(), len(handler.requests)
    channel.submit(submission(text=text), sink)
    await until(lambda: len(handler.requests) > before)
    serving = handler.requests[-1]
    serving.start()
    serving.say(1, 2, text="the secret answer")
    serving.finish(2)
    await until(lambda: sink.end)
    assert isinstance(sink.end, Finished)
    return sink


def handler_of(at: Peer, of: Peer) -> Handler:
    return [h for c, h in at.handlers if c.peer == of.node.peer_id][-1]

"""A request of this node's own on its way through one gateway or the next."""

from __future__ import annotations

from aiplat.domain.answers import Failed, Started
from aiplat.domain.errors import GatewayLost
from aiplat.domain.ids import PeerId
from aiplat.roles.roaming import Roaming
from tests.support.dialogue import submission
from tests.support.scripted import Kept, ScriptedProcessor


class Gateway(ScriptedProcessor):
    """A gateway that does what the test says."""

    def __init__(self, peer: str) -> None:
        super().__init__()
        self.peer = PeerId(peer)


def test_each_gateway_that_was_tried_counts() -> None:
    one, two, sink = Gateway("one"), Gateway("two"), Kept()
    roaming = Roaming(
        submission(), sink, lambda tried: two if tried == ["one"] else None, lambda: 0.0,
        lambda roaming: None,
    )  # fmt: skip
    roaming.begin(one)
    one.work[0].starts()
    assert sink.events == []  # until its first token another may take its place
    one.work[0].sink.deliver(Failed.of(GatewayLost("it died")))
    two.work[0].starts().says("Paris").finishes()
    assert isinstance(sink.events[0], Started)
    assert sink.events[0].attempts == 2
    assert sink.text == "Paris"
    assert roaming.tried == ["one", "two"]

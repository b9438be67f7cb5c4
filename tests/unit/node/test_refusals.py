"""Who turns this node away is remembered, whenever it says so, until it takes this node."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from aiplat.domain.ids import PeerId
from aiplat.node.refusals import MAX_REFUSALS, Refusals
from aiplat.protocol.messages import Goodbye

PEER = PeerId("peer")


def ended(goodbye: Goodbye | None) -> Any:
    """A channel to the peer, and how the peer ended it."""
    return SimpleNamespace(peer=PEER, goodbye=goodbye)


@pytest.mark.parametrize(
    ("goodbye", "reasons"),
    [
        (Goodbye("refused", "The node blocks the peer."), {PEER: "The node blocks the peer."}),
        (Goodbye("bye", "The node stops."), {}),
        (None, {}),
    ],
)
def test_a_channel_that_ends_with_a_refusal_is_one(
    goodbye: Goodbye | None, reasons: dict[PeerId, str]
) -> None:
    refusals = Refusals(lambda signed: None)
    refusals.ended(ended(goodbye), "it said goodbye")
    assert refusals.reasons == reasons


def test_it_holds_until_the_peer_takes_this_node() -> None:
    refusals = Refusals(lambda signed: None)
    refusals.refused(PEER, Goodbye("refused", "It blocks me."))
    refusals.refused(PEER, Goodbye("draining", "It stops."))
    assert refusals.reasons == {PEER: "It blocks me."}
    refusals.opened(ended(None))
    assert not refusals.reasons


def test_the_list_that_came_with_it_is_handed_on() -> None:
    lists: list[bytes] = []
    Refusals(lists.append).refused(PEER, Goodbye("refused", "Revoked.", b"signed"))
    assert lists == [b"signed"]


def test_of_too_many_the_oldest_is_forgotten() -> None:
    refusals = Refusals(lambda signed: None)
    for number in range(MAX_REFUSALS + 1):
        refusals.refused(PeerId(f"p{number}"), Goodbye("refused", "No."))
    assert (len(refusals.reasons), "p0" in refusals.reasons) == (MAX_REFUSALS, False)

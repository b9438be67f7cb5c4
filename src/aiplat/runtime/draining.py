"""Placing no more on a processor that a person names, and placing on it again."""

from __future__ import annotations

from aiplat.control.messages import Done, DrainWish
from aiplat.domain.errors import InvalidRequest
from aiplat.domain.ids import PeerId
from aiplat.roles.gateway import Gateway
from aiplat.runtime.networks import match_peer


def drain_processor(gateway: Gateway, wish: DrainWish) -> Done:
    """Have a gateway place no more on a processor, or end that.

    Raises:
        InvalidRequest: it has no such processor, or that is not drained here.
    """
    processors = [processor.peer for processor in gateway.processors]
    found = match_peer(wish.peer, processors, "processor of this gateway")
    if wish.off:
        _refuse_to_undrain(gateway, found)
    gateway.drain_processor(found, off=wish.off)
    if wish.off:
        return Done(message=f"Requests are placed on {found} again.", peer_id=found)
    return Done(message=f"Nothing new is placed on {found} until `aiplat drain --off "
                f"{found[-8:]}`, or until it or this gateway is started again.",
                peer_id=found)  # fmt: skip


def _refuse_to_undrain(gateway: Gateway, peer: PeerId) -> None:
    processor = gateway.processors.get(peer)
    if processor is not None and not processor.held_back:
        raise InvalidRequest(
            f"The peer {peer} drains by its own word: `drain --off` there ends that."
            if processor.drains else f"The peer {peer} is not drained here."
        )  # fmt: skip

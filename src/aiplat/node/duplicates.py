"""Two channels to one peer: which one stays. Pure, and the same at both ends."""

from __future__ import annotations

from dataclasses import dataclass

from aiplat.domain.ids import PeerId


@dataclass(frozen=True)
class Claim:
    """What is known of a channel: which life of the peer it is of, and who opened it."""

    incarnation: int
    dialed_by: PeerId


def replaces(new: Claim, old: Claim, us: PeerId, peer: PeerId) -> bool:
    """Tell whether `new` takes the place of `old`.

    A newer life of the peer wins. Within one life the channel that the smaller peer id dialed
    wins, so that both ends keep the same one. When one side dials twice, it does so because
    its first is gone: the second wins.
    """
    if new.incarnation != old.incarnation:
        return new.incarnation > old.incarnation
    return new.dialed_by == old.dialed_by or new.dialed_by == min(us, peer)

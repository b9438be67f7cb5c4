"""Whom NAT believes and helps: members, by a certificate of the network's owner.

In a public network a channel proves nothing: anyone may have one, as a client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiplat.protocol.membership import Certificate, SealError, unseal

if TYPE_CHECKING:
    from aiplat.node.channel import Channel
    from aiplat.node.membership.membership import Membership


class Members:
    """Tells members from strangers.

    Arguments:
        membership: this node's place in a network, or in none.
    """

    def __init__(self, membership: Membership) -> None:
        self._membership = membership

    def certified(self, channel: Channel) -> bool:
        """Whether the peer showed a certificate of this node's network; never in none.

        Its time is not looked at here: the channel ends when the certificate does
        (`membership/lasting.py`).
        """
        membership = self._membership
        if membership.record is None or channel.is_ended:
            return False
        if channel.peer in membership.revoked | membership.blocked:
            return False
        try:
            shown = unseal(channel.hello.certificate, Certificate, membership.record.network)
        except SealError:
            return False
        return shown.peer == channel.peer

    def trusted(self, channel: Channel) -> bool:
        """Whether it is a member; in no network, where all are on this machine, everyone is."""
        if self._membership.record is None:
            return not channel.is_ended
        return self.certified(channel)

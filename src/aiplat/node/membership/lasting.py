"""Certificates while channels live: who renewed says so, and who did not is let go.

A `Service` of the node. A channel may outlive the certificate that its Hello showed: so each is
looked at again and again, by the same rule as at first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec
import trio
from msgspec.structs import replace

from aiplat.domain.answers import Failed
from aiplat.domain.errors import AiplatError, NotAMember
from aiplat.domain.ids import PeerId
from aiplat.node.membership.membership import Membership
from aiplat.node.membership.service import MembershipService
from aiplat.node.settings import NodeSettings
from aiplat.protocol.framing import UNREADABLE
from aiplat.protocol.messages import Addresses, Call, Reply, Revocations
from aiplat.protocol.news import MAX_CERTIFICATE
from aiplat.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from aiplat.node.channel import Channel
    from aiplat.node.host import Host

log = logging.getLogger("aiplat.node.membership")

CERTIFICATE = "network.certificate"
"""The call that shows the caller's new certificate; its body is the sealed bytes."""
CALL_SECONDS = 5.0

_SEALED = msgspec.msgpack.Decoder(bytes)


class LastingMembers:
    """Sees that those with a channel are members still.

    Arguments:
        settings: how often it looks.
        membership: this node's place in a network.
        members: tells the others of a list of the revoked that this node made.
        metrics: where ended channels are counted.
        channels: gives the live channels, by peer.
    """

    def __init__(
        self,
        settings: NodeSettings,
        membership: Membership,
        members: MembershipService,
        metrics: Metrics,
        channels: Callable[[], Mapping[PeerId, Channel]],
    ) -> None:
        self._settings = settings
        self._membership = membership
        self._members = members
        self._metrics = metrics
        self._channels = channels

    # -- `Service` -------------------------------------------------------------------------------

    async def run(self, host: Host) -> None:
        """Look again and again."""
        while self._membership.record is not None:
            self._members.enforce_new()
            await self._show_all()
            self.look()
            await trio.sleep(self._settings.certificates_seconds)

    def opened(self, channel: Channel) -> None:
        """It was looked at when it said Hello."""

    def told(self, channel: Channel, news: Revocations | Addresses) -> None:
        """A newer list may say that an older certificate of some peer holds no more."""
        if isinstance(news, Revocations):
            self.look()

    async def called(self, channel: Channel, call: Call) -> Reply | None:
        """Take a peer's new certificate in the place of the one of its Hello."""
        if call.method != CERTIFICATE:
            return None
        try:
            self._take(channel, call)
        except AiplatError as refusal:
            return Reply(failed=Failed.of(refusal))
        return Reply()

    def ended(self, channel: Channel, reason: str) -> None:
        """Nothing is kept of a channel here."""

    # -- others' ---------------------------------------------------------------------------------

    def look(self) -> None:
        """End the channels of those who would not be let in now, or not in the same roles."""
        for channel in list(self._channels().values()):
            if self._membership.record is None or channel.is_ended:
                continue
            try:
                roles = self._membership.admit(channel.peer, channel.hello)
            except NotAMember as refusal:
                self._metrics.bound_hits.labels(bound="certificate_end").inc()
                channel.close("refused", str(refusal))
                continue
            if roles != channel.roles:
                channel.close("bye", "Its certificate gives it other roles now: come again.")

    def _take(self, channel: Channel, call: Call) -> None:
        if self._membership.record is None:
            raise NotAMember("The node belongs to no network.")
        try:
            certificate = _SEALED.decode(call.body)
        except UNREADABLE:
            raise NotAMember("The call does not show a certificate.") from None
        if not 1 <= len(certificate) <= MAX_CERTIFICATE:
            raise NotAMember(
                f"The certificate has {len(certificate)} bytes; 1 to {MAX_CERTIFICATE} are allowed."
            )
        hello = replace(channel.hello, certificate=certificate)
        roles = self._membership.admit(channel.peer, hello)
        channel.hello = hello
        if roles != channel.roles:  # the roles know it by the old ones
            channel.close("bye", "Its certificate gives it other roles now: come again.")

    # -- one's own -------------------------------------------------------------------------------

    async def _show_all(self) -> None:
        """Show this node's certificate to those that saw an older one."""
        own = self._membership.certificate
        async with trio.open_nursery() as nursery:
            for channel in list(self._channels().values()):
                if own and channel.shown != own and not channel.is_ended:
                    nursery.start_soon(self._show, channel, own)

    async def _show(self, channel: Channel, own: bytes) -> None:
        try:
            call = Call(CERTIFICATE, msgspec.Raw(msgspec.msgpack.encode(own)))
            reply = await channel.call(call, CALL_SECONDS)
            if reply.failed is not None:
                raise reply.failed.error()
        except AiplatError as fault:
            log.info("a peer did not take the new certificate: %s", fault)
            return
        channel.shown = own

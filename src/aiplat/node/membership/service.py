"""Membership as it lives: revocations that spread, certificates that are renewed, who is shut out.

A `Service` of the node: it hears of every channel before the roles do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec
import trio
from msgspec.structs import replace

from aiplat.domain.answers import Failed
from aiplat.domain.errors import AiplatError, NotAMember, Overloaded
from aiplat.domain.ids import PeerId, short
from aiplat.node.membership.joining import JoinDoor
from aiplat.node.membership.membership import Membership
from aiplat.node.membership.owner import CERTIFICATE_SECONDS, owner_of
from aiplat.node.places import Recent
from aiplat.node.settings import NodeSettings
from aiplat.protocol.framing import UNREADABLE
from aiplat.protocol.membership import Certificate, RevocationList, SealError, unseal
from aiplat.protocol.messages import Addresses, Call, Reply, Revocations
from aiplat.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from aiplat.node.channel import Channel
    from aiplat.node.host import Host

log = logging.getLogger("aiplat.node.membership")

RENEW = "network.renew"
CALL_SECONDS = 5.0
LOOK_SECONDS = 3600.0
FIRST_PAUSE_SECONDS = 30.0


class _Renewed(msgspec.Struct, frozen=True):
    certificate: bytes


_RENEWED = msgspec.msgpack.Decoder(_Renewed)
_PEER = msgspec.msgpack.Decoder(str)


class MembershipService:
    """The life of a node's membership.

    Arguments:
        membership: what it is.
        metrics: where hits of bounds are counted.
        channels: gives the live channels, by peer.
        addresses: gives where this node and those it knows are reached, best first.
    """

    def __init__(
        self,
        membership: Membership,
        metrics: Metrics,
        channels: Callable[[], Mapping[PeerId, Channel]],
        addresses: Callable[[], tuple[str, ...]],
    ) -> None:
        self.membership = membership
        self._channels = channels
        self._addresses = addresses
        self._door = JoinDoor(membership, metrics, addresses)
        self._metrics = metrics
        self._spread_last = b""
        self._settle(NodeSettings())

    def _settle(self, settings: NodeSettings) -> None:
        self._renewals = Recent(settings.renewals_per_minute, trio.current_time)

    # -- what a person does ----------------------------------------------------------------------

    def enforce(self) -> None:
        """The owner's list changed: tell everyone, and end the channels of those on it."""
        self._spread(None)
        self._enforce()

    def enforce_new(self) -> None:
        """Do so for a list that came to be by another way than a channel, once."""
        record = self.membership.record
        if record is not None and record.revocations not in (b"", self._spread_last):
            self.enforce()

    def block(self, peer: PeerId) -> None:
        """Shut a peer out of this node; it is remembered."""
        self._keep_blocked(self.membership.blocked | {peer})
        self._enforce()

    def unblock(self, peer: PeerId) -> None:
        """Let a peer in again."""
        self._keep_blocked(self.membership.blocked - {peer})

    def _keep_blocked(self, peers: frozenset[PeerId]) -> None:
        if self.membership.files is not None:
            self.membership.files.keep_blocked(set(peers))
        self.membership.blocked = peers

    # -- `Service` -------------------------------------------------------------------------------

    async def run(self, host: Host) -> None:
        """Open the door for newcomers, and renew the certificate when it is time."""
        self._door.open(host)
        self._settle(host.settings)
        pause = FIRST_PAUSE_SECONDS
        while True:
            if not self._is_due():
                await trio.sleep(LOOK_SECONDS)
                continue
            if await self._renew_safely() and not self._is_due():
                pause = FIRST_PAUSE_SECONDS
            else:  # the owner's clock, too, must say that it is time
                await trio.sleep(pause)
                pause = min(2 * pause, LOOK_SECONDS)

    def opened(self, channel: Channel) -> None:
        """Tell it who is revoked; both sides do."""
        record = self.membership.record
        if record is not None and record.revocations:
            channel.say(Revocations(record.revocations))

    def told(self, channel: Channel, news: Revocations | Addresses) -> None:
        """Take a newer list, and pass it on."""
        if isinstance(news, Revocations) and self._take(channel, news.signed):
            self._spread(channel)
            self._enforce()

    async def called(self, channel: Channel, call: Call) -> Reply | None:
        """Renew a member's certificate, or ask the owner's node to."""
        if call.method != RENEW:
            return None
        try:
            certificate = await self._renewed(channel, call)
        except AiplatError as refusal:
            return Reply(failed=Failed.of(refusal))
        return Reply(body=msgspec.Raw(msgspec.msgpack.encode(_Renewed(certificate))))

    def ended(self, channel: Channel, reason: str) -> None:
        """Nothing hangs on a channel here."""

    # -- revocations -----------------------------------------------------------------------------

    def _take(self, channel: Channel, signed: bytes) -> bool:
        """Keep a list if it is newer than ours; tells whether it is."""
        record, ours = self.membership.record, self.membership.revocations
        if record is None or signed == record.revocations:
            return False
        try:
            theirs = unseal(signed, RevocationList, record.network)
        except SealError as fault:
            channel.close("protocol_error", f"A list of revocations that does not hold: {fault}.")
            return False
        if ours is not None and theirs.version <= ours.version:
            return False
        record = replace(record, revocations=signed)
        self.membership.take(record)
        self._write()
        return True

    def _spread(self, source: Channel | None) -> None:
        record = self.membership.record
        assert record is not None
        self._spread_last = record.revocations
        for channel in list(self._channels().values()):
            if channel is not source:
                channel.say(Revocations(record.revocations))

    def _enforce(self) -> None:
        """End the channels of those who may not be here any more."""
        membership = self.membership
        revoked = membership.revoked
        if membership.peer in revoked and membership.record is not None:
            log.warning(
                "this node was revoked from the network %s by its owner: nobody there speaks "
                "with it any more", membership.record.name,
            )  # fmt: skip
        for peer, channel in list(self._channels().items()):
            if peer in revoked:
                channel.close("refused", "The network's owner revoked the peer.")
            elif peer in membership.blocked:
                channel.close("refused", "The node blocks the peer.")

    def turned_away(self, signed: bytes) -> None:
        """A peer refused this node with the list of the revoked: it is kept if it is newer."""
        record, ours = self.membership.record, self.membership.revocations
        if record is None or not signed:
            return
        try:
            theirs = unseal(signed, RevocationList, record.network)
            if ours is None or theirs.version > ours.version:
                self.membership.take(replace(record, revocations=signed))
                self._write()
                self._enforce()
        except SealError as fault:
            log.info("a list of revocations does not hold: %s", fault)

    # -- renewal ---------------------------------------------------------------------------------

    def _is_due(self) -> bool:
        own = self.membership.own
        if own is None or self.membership.peer in self.membership.revoked:
            return False
        return self.membership.clock() > own.expires - CERTIFICATE_SECONDS / 2

    async def _renew_safely(self) -> bool:
        """A full disk may have room again at the next try."""
        try:
            return await self.renew()
        except AiplatError as fault:
            log.warning("the certificate was not renewed: %s", fault)
            return False

    async def renew(self) -> bool:
        """Get a new certificate, from this node's own office or by a member's help."""
        own = self.membership.own
        assert own is not None
        owner = owner_of(self.membership)
        if owner is not None:
            self._adopt(owner.renew(own.peer))
            return True
        channels = self._channels()
        direct = channels.get(own.owner)
        for channel in [direct] if direct is not None else list(channels.values()):
            call = Call(RENEW, msgspec.Raw(msgspec.msgpack.encode(own.peer)))
            try:
                reply = await channel.call(call, CALL_SECONDS)
                if reply.failed is not None:
                    raise reply.failed.error()
                self._adopt(_RENEWED.decode(reply.body).certificate)
            except (AiplatError, SealError, *UNREADABLE) as fault:
                log.info("the certificate was not renewed: %s", fault)
                continue
            return True
        return False

    def _adopt(self, certificate: bytes) -> None:
        record = self.membership.record
        assert record is not None
        mine = unseal(certificate, Certificate, record.network)
        if mine.peer != self.membership.peer:
            raise SealError("it is the certificate of another")
        self.membership.take(replace(record, certificate=certificate))
        self._write()
        log.info("the certificate was renewed")

    async def _renewed(self, channel: Channel, call: Call) -> bytes:
        own = self.membership.own
        if own is None:
            raise NotAMember("The node belongs to no network.")
        try:
            peer = PeerId(_PEER.decode(call.body))
        except UNREADABLE:
            raise NotAMember("The call does not say whose certificate it is about.") from None
        self._check_rate(channel.peer)
        owner = owner_of(self.membership)
        if owner is not None:
            if peer != channel.peer and not owner.is_member(channel.peer):
                raise NotAMember("Only a member may ask for the certificate of another.")
            return owner.renew(peer)
        there = self._channels().get(own.owner)
        if peer != channel.peer or there is None or there is channel:
            raise NotAMember(f"The owner's node {short(own.owner)} is not connected here.")
        reply = await there.call(call, CALL_SECONDS)
        if reply.failed is not None:
            raise reply.failed.error()
        try:
            return _RENEWED.decode(reply.body).certificate
        except UNREADABLE as fault:
            raise NotAMember(f"The owner's node gave what cannot be read: {fault}.") from None

    def _check_rate(self, peer: PeerId) -> None:
        """Let one peer ask so often: each renewal costs a signature, and the owner's disk."""
        if not self._renewals.may(peer):
            self._metrics.bound_hits.labels(bound="renewals_per_minute").inc()
            raise Overloaded(
                f"The peer asked for over {self._renewals.bound} certificates within a minute, the "
                "bound of the node (renewals_per_minute). Try again in a minute.",
                retry_after=60.0,
            )

    def _write(self) -> None:
        """Keep what changed; a full disk is no reason to stop."""
        membership = self.membership
        if membership.files is None or membership.record is None:
            return
        try:
            membership.files.keep_record(membership.record)
        except AiplatError as fault:
            log.warning("%s", fault)
